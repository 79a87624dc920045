"""A hospital: its data, its GPU, its policy, its ledger."""
