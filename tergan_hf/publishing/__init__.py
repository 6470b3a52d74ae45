"""Publishing: model cards, repositories and Spaces on the Hub, ONNX."""
