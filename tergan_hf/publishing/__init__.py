"""Publishing: model cards, model repositories and Spaces on the Hub, and ONNX."""
