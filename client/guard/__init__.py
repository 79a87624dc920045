"""All that protects patients, in one room."""
