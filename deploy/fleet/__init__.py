"""Configuration of an existing broker cluster for a fleet of doors."""
