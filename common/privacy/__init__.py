"""Mechanism events, accountants, calibration, secure noise and the differentially private step."""
