"""NVMe admin commands, encoded and decoded; pure, no I/O (NVM Express Base Specification 2.1)."""
