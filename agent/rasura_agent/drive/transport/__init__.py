"""The only module family that issues ioctls and opens devices."""
