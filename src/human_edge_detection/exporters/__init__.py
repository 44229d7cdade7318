"""Export of the student to ONNX, and the check that it gives the same outputs as the trained model."""
