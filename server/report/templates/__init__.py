"""Templates and style sheet of the run report (a package, so that they are installed)."""
