"""How an erasure is checked without trusting the drive's word."""
