"""The running site: takes tasks from its SuperNodes, decides, answers."""
