"""The model as ONNX."""
