"""The models that benchmarks run and no demo needs: the loads that others measure with, of seeded, untrained weights.

Each is `(name, ONNX graph, requests for the goldens, reference)`, as in `variants.py`; text and image come from the demo.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from . import cnn, encoder
from .artefacts import requests_of

PIXELS, WIDTH, CLASSES = 784, 32, 10
TOKENS = 64


def all_of_them():
    """Every bench model in turn."""
    yield _ffnn()
    yield _encoder()


def _ffnn():
    """The feed-forward network of the Crayfish benchmark (Horchidan et al., EDBT 2024): 28 × 28 pixels, three hidden
    layers of 32, ten classes; 27,562 parameters."""
    chance = np.random.default_rng(784)
    widths = [PIXELS, WIDTH, WIDTH, WIDTH, CLASSES]
    # Variance 2 / fan-in (He et al., 2015), the last layer wider so that the rows' answers are far apart.
    weights = [
        (chance.standard_normal((rows, columns)) * np.sqrt(2.0 / rows) * (4.0 if columns == CLASSES else 1.0))
        for rows, columns in zip(widths, widths[1:])
    ]
    weights = [matrix.astype(np.float32) for matrix in weights]
    biases = [(0.05 * chance.standard_normal(columns)).astype(np.float32) for columns in widths[1:]]
    images = chance.integers(0, 1000, (8, PIXELS)).astype(np.float32) / np.float32(1000.0)

    def reference(request: dict) -> dict:
        values = request["input"].astype(np.float64)
        for layer, (matrix, bias) in enumerate(zip(weights, biases, strict=True)):
            values = values @ matrix.astype(np.float64) + bias
            values = np.maximum(values, 0.0) if layer < len(weights) - 1 else values
        return {"probabilities": cnn.softmax(values).tolist()}

    return "ffnn", _dense_graph(weights, biases), requests_of({"input": images}, 4, 4), reference


def _dense_graph(weights: list[np.ndarray], biases: list[np.ndarray]) -> onnx.ModelProto:
    node, nodes, constants, last = helper.make_node, [], [], "input"
    for layer, (matrix, bias) in enumerate(zip(weights, biases, strict=True)):
        names = [f"weights_{layer}", f"bias_{layer}"]
        constants += [numpy_helper.from_array(array, name) for array, name in zip((matrix, bias), names, strict=True)]
        nodes.append(node("Gemm", [last, *names], [f"sum_{layer}"]))
        last = f"sum_{layer}"
        if layer < len(weights) - 1:
            nodes.append(node("Relu", [last], [f"active_{layer}"]))
            last = f"active_{layer}"
    nodes.append(node("Softmax", [last], ["probabilities"], axis=-1))
    graph = helper.make_graph(
        nodes,
        "ffnn",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", PIXELS])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", CLASSES])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _encoder():
    """A transformer that swamps everything else a request costs; half of the golden rows are padded."""
    parameters = encoder.parameters(64)
    chance = np.random.default_rng(65)
    ids = chance.integers(0, encoder.VOCABULARY, (8, TOKENS))
    lengths = np.where(np.arange(8) % 2, TOKENS, chance.integers(1, TOKENS, 8))
    mask = (np.arange(TOKENS) < lengths[:, None]).astype(np.int64)
    rows = {"input_ids": ids * mask, "attention_mask": mask}

    def reference(request: dict) -> dict:
        found = encoder.encode(parameters, request["input_ids"], request["attention_mask"])
        return {"embedding": found.tolist()}

    requests = requests_of(rows, 4, 4)
    # A sentence of another length, without padding.
    requests.append({"input_ids": ids[:2, :9], "attention_mask": np.ones((2, 9), dtype=np.int64)})
    return "encoder", encoder.graph(parameters), requests, reference
