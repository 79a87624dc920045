"""What every party of a study must agree on. Imports none of the other packages."""
