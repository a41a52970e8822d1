"""Provisioning, releases, lock files and the stand-in community server."""
