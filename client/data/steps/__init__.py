"""The steps of a study's `[data] steps`, one family a file; each treats every sample by itself."""
