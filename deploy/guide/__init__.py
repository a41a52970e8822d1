"""The installer's guide and its pictures."""
