"""The roster's file and everything that is done with it; clerk.py is the thread that owns it."""
