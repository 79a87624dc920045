"""Waveforms: WFDB, EDF and CSV recordings, cut into windows with a label."""
