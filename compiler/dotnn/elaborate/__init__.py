"""Elaboration: what definitions, statements and expressions mean, worked out onto a tape."""
