"""The page at the door, loopback only."""
