"""Figures of a classifier from its score histograms and confusion counts, both of which add across sites."""
