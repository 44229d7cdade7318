"""The student as ONNX, and the proof that it answers as the trained model does."""
