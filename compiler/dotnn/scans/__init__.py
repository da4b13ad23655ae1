"""Scans as graphs: how the steps are taken apart, differentiated and written out, and passes inside of them."""
