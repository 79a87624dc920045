"""Prepared cohorts on disk: memory-mapped, bounded in size, safe against crashes and a second process."""
