"""The compiler of .nn files: text becomes a spec, a spec a graph, a graph ONNX."""

__version__ = "0.1.0"
