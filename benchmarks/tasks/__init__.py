"""`make bench-tasks`: what every study reaches, with and without privacy, together, in one place and alone."""
