"""Uses a trained model at a site: predictions on new cases. Nothing is sent, and nothing is charged."""
