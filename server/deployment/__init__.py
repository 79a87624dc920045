"""The coordinator on real machines: its folder, its processes, the sites it knows, the runs it starts."""
