"""On PYTHONPATH, it has training fail as it does when the GPU vanishes, while the file that GPU_GONE names is there."""

import importlib.abc
import importlib.util
import os
import sys
from pathlib import Path

MODULE = "client.training.private"


class Vanishing(importlib.abc.MetaPathFinder):
    """Changes the module as it is imported; nothing is imported before its time."""

    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def load_and_change(module):
            load(module)
            train = module.train_private

            def train_unless_gone(*args, **options):
                if Path(os.environ["GPU_GONE"]).exists():
                    raise module.torch.AcceleratorError("CUDA error: the device is lost")
                return train(*args, **options)

            module.train_private = train_unless_gone

        spec.loader.exec_module = load_and_change
        return spec


sys.meta_path.insert(0, Vanishing())
