"""What runs on the door's computer itself: standard library only, as root, over SSH."""
