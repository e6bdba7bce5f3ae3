"""Broadcaster: statements in several languages, sent to everyone once, with a record of every copy."""

__version__ = "0.1.0"
