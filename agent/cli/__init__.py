"""The door-agent command."""
