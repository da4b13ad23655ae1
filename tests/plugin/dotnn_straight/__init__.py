"""A graph as one straight Python function, and some things more."""
