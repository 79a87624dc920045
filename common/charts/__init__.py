"""Plots for self-contained pages: axes and curves as geometry, SVG by template, one look for all reports."""
