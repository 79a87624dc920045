"""Checks a site before and while it runs; every red line has its fix."""
