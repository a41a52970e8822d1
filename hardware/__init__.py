"""Drivers: know pins and cameras, nothing about people."""
