"""Random changes of training samples, `[training] augment`, one family a file; each sample changes by itself."""
