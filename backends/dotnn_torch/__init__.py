"""The PyTorch backend: a spec as one readable PyTorch file, and graphs run operation by operation with torch tensors."""
