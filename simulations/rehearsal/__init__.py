"""A rehearsal: the whole deployment on this machine, with real processes, TLS and node keys, on loopback only."""
