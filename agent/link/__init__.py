"""The parts of the link to the broker; agent/mqtt_link.py puts them together."""
