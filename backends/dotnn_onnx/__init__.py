"""The ONNX backend: a graph becomes a bundle that onnxruntime runs."""
