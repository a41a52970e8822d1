"""The resident's phone page: static files and the blueprint that serves them."""
