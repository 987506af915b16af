"""Health: what drives say of themselves through smartctl, the grade it amounts to, and self-tests."""
