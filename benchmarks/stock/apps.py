"""A ServerApp and a ClientApp that do as little as an empty round needs: one evaluation and one training a round."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

client = ClientApp()
server = ServerApp()


@client.train()
def train(message: Message, context: Context) -> Message:
    """Reply with other arrays of the same shapes."""
    arrays = message.content.array_records["arrays"]
    moved = {name: Array(array.numpy() + np.float32(1)) for name, array in arrays.items()}
    content = RecordDict({"arrays": ArrayRecord(moved), "metrics": MetricRecord({"weight": 1.0})})
    return Message(content, reply_to=message)


@client.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Reply with a figure."""
    return Message(RecordDict({"metrics": MetricRecord({"loss": 1.0})}), reply_to=message)


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds and write down how long each took."""
    settings = context.run_config
    count, size = int(settings["tensors"]), int(settings["values"])
    arrays = {f"t{n:04d}": np.full(size // count, n, np.float32) for n in range(count)}
    while len(nodes := list(grid.get_node_ids())) < int(settings["sites"]):
        time.sleep(0.2)
    seconds = []
    for round_ in range(int(settings["rounds"])):
        began = time.perf_counter()
        for kind in ("evaluate", "train"):
            record = ArrayRecord({name: Array(array) for name, array in arrays.items()})
            content = RecordDict({"arrays": record, "config": ConfigRecord({"round": round_})})
            asked = [Message(content, node, kind) for node in nodes]
            replies = list(grid.send_and_receive(asked, timeout=600))
            if len(replies) < len(nodes) or any(reply.has_error() for reply in replies):
                raise RuntimeError("a stock site failed")
        parts = [reply.content.array_records["arrays"] for reply in replies]
        arrays = {name: np.mean([part[name].numpy() for part in parts], 0) for name in arrays}
        seconds.append(time.perf_counter() - began)
    Path(str(settings["result"])).write_text(json.dumps(seconds))
