"""The command layer: what is said to a drive, and what it answers."""
