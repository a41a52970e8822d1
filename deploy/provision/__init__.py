"""The laptop's end of setting up a door over SSH. The device's end is deploy/device/."""
