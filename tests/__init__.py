"""The tests. `tests.lab` is a server to send to."""
