"""The training-info backend: the net and how it is trained as one standard ONNX file."""
