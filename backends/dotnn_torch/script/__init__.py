"""A spec as one PyTorch file: what a person would have written, in the spec's own words."""
