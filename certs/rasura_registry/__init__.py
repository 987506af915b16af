"""The registry: an append-only log of certificates that nobody can rewrite unseen."""
