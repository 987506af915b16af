"""How the live image is built, written to sticks, and booted from the network."""
