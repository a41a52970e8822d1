"""The application: decides, remembers, reports."""
