"""ATA commands and data structures, encoded and decoded; no I/O."""
