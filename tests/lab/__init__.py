"""A place to send to: an SMTP server that does as it is told, and remembers every byte."""
