"""Erasing by the drive's own commands: one small state machine a technique."""
