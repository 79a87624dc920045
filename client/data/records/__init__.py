"""Longitudinal records: a patient's readings over time, on a grid from an anchor, with an outcome."""
