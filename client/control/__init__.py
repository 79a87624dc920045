"""The control plane: what the hospital's own people see of the running site, and how they steer it."""
