"""Speed and scale, reported as ratios within one run."""
