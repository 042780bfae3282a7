"""A network as a file that other programs run: ONNX and torch.export."""

import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from src.runs.trained import PixelClassifier

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Network = Callable[[Tensor], tuple[Tensor, Tensor]]  # images uint8 (N, H, W[, C]) -> logits, probabilities (N, classes)


def trace(network: PixelClassifier, image_shape: tuple[int, ...]) -> "ExportedProgram":
    """Return the network as a torch.export program that takes any number of images."""
    example = torch.zeros(2, *image_shape, dtype=torch.uint8)
    network = network.to(memory_format=torch.contiguous_format)  # torch.export.save warns of any other
    program = torch.export.export(network, (example,), dynamic_shapes={"images": {0: torch.export.Dim("N")}})
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names paths of this machine
    return program


def to_onnx(network: PixelClassifier, image_shape: tuple[int, ...], metadata: dict[str, Any]) -> bytes:
    """Return the content of an ONNX file, with the metadata as the file's properties, in text or JSON."""
    program = torch.onnx.export(
        trace(network, image_shape),
        input_names=["images"],
        output_names=["logits", "probabilities"],
        dynamic_shapes={"images": {0: "N"}},
        verbose=False,
    )
    assert program is not None
    program.model.doc_string = metadata["description"]
    for name, value in metadata.items():
        program.model.metadata_props[name] = value if isinstance(value, str) else json.dumps(value)
    content: bytes = program.model_proto.SerializeToString()
    return content


def open_onnx(content: bytes) -> Network:
    """Return the network of an ONNX file, run by ONNX Runtime."""
    import onnxruntime  # in an extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        logits, probabilities = session.run(["logits", "probabilities"], {"images": images.numpy()})
        return torch.from_numpy(logits), torch.from_numpy(probabilities)

    return run


def to_pt2(network: PixelClassifier, image_shape: tuple[int, ...], metadata: dict[str, Any]) -> bytes:
    """Return the content of a torch.export file, with the metadata in its extra file ``metadata.json``."""
    content = io.BytesIO()
    torch.export.save(trace(network, image_shape), content, extra_files={"metadata.json": json.dumps(metadata)})
    return content.getvalue()


def open_pt2(content: bytes) -> Network:
    """Return the network of a torch.export file."""
    network: Network = torch.export.load(io.BytesIO(content)).module()
    return network
