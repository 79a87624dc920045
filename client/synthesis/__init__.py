"""New images from a finished run of image synthesis, and what the house can say of them."""
