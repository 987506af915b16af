"""Simulated drives behind the real drivers of a booted image; one package, so that files share a machine."""
