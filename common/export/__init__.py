"""Hands a trained network over to other programs: ONNX and torch.export files, checked against the network itself."""
