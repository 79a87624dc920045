"""Molecules: SMILES become fingerprints or graphs, in processes that may hang or crash at a hostile one."""
