"""Making a site."""
