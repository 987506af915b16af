"""How fast erasing is, held against what the device can do."""
