"""The local trainer."""
