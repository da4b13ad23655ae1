"""Claims: what the author says must hold of a trained net, as graphs that measure it and say whether it does."""
