"""Stock Flower, for comparison: its own SuperLink, SuperNodes, SuperExec and send_and_receive."""
