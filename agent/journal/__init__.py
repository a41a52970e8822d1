"""The journal's file and everything that is done with it; agent/outbox.py is the thread that owns it."""
