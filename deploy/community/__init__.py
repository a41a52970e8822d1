"""The stand-in community server."""
