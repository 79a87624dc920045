"""Transfer learning: a network that starts from a checkpoint, of which only a part is trained and exchanged."""
