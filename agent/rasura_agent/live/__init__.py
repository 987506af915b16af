"""What runs on a machine that was booted from the live image."""
