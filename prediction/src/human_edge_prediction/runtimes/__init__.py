"""What computes a model file: ONNX Runtime, LiteRT or OpenVINO, each imported when a file of its kind is opened."""

from human_edge_prediction.runtimes.litert import LITERT
from human_edge_prediction.runtimes.onnx import CPU, REMOTE
from human_edge_prediction.runtimes.open import open_runtime
from human_edge_prediction.runtimes.openvino import OPENVINO
from human_edge_prediction.runtimes.runtime import Array, Runtime, TensorInfo
from human_edge_prediction.runtimes.sidecar import SHA256, files_of, sha256_of, sidecar_path

__all__ = [
    "CPU",
    "LITERT",
    "OPENVINO",
    "REMOTE",
    "SHA256",
    "Array",
    "Runtime",
    "TensorInfo",
    "files_of",
    "open_runtime",
    "sha256_of",
    "sidecar_path",
]
