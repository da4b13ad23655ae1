"""The grammar of .nn files: source text, problems in it, and the tree."""
