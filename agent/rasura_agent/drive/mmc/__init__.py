"""eMMC and SD commands and registers, encoded and decoded; pure, no I/O (JESD84-B51, SD Physical Layer)."""
