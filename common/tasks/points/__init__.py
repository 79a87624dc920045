"""Points with a size, as maps: what a network learns from them, and how its maps are read."""
