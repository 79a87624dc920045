"""Looks into the data themselves, and at what a study would make of them; counts only, never a name."""
