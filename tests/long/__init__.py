"""Tests that take long, as scripts: each prints what it found, and ends with a status."""
