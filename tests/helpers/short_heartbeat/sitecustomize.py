"""On PYTHONPATH, a SuperNode without contact is given up after 20 seconds, not 60: the least that Flower allows."""

import flwr.common.constant as constant

constant.HEARTBEAT_DEFAULT_INTERVAL = constant.HEARTBEAT_MIN_INTERVAL
