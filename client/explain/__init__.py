"""Explains a trained model's answers at a site: what of a case spoke for them. Nothing is sent or charged."""
