"""The reference backend: a graph run op by op in NumPy, slow and obvious."""
