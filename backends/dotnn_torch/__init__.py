"""The PyTorch backend: a spec as one readable PyTorch file; graphs run operation by operation with tensors."""
