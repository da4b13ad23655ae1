"""Looking into a trained net: what it makes of an example on the way, and what would change its mind."""
