"""A sentence encoder in the shape of MiniLM (Wang et al., 2020): BERT's layers, mean pooling, length one.

Nobody trains it: it is there to be as heavy as a real one in a small file. A weight matrix is the sine of the outer
product of two random vectors, which the graph computes and ONNX Runtime folds into a constant when it loads the model.
Such a matrix has full rank and entries of variance 1/2, and the file holds two vectors instead of it.
"""

import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS, HIDDEN, HEADS, FEED_FORWARD = 6, 128, 4, 512
VOCABULARY, POSITIONS = 4096, 512
EPSILON = 1e-12
FAR = -1e4


def parameters(seed: int) -> dict[str, np.ndarray]:
    """The two vectors `<name>_rows` and `<name>_columns` of every matrix, and every bias and scale as it is."""
    chance = np.random.default_rng(seed)
    found = {}
    for name, (rows, columns) in _matrices().items():
        found[f"{name}_rows"] = chance.uniform(-60.0, 60.0, (rows, 1)).astype(np.float32)
        found[f"{name}_columns"] = chance.uniform(-60.0, 60.0, (1, columns)).astype(np.float32)
        if name not in ("words", "positions"):
            found[f"{name}_bias"] = (0.05 * chance.standard_normal(columns)).astype(np.float32)
    for name in ["embedded", *(f"{layer}.{part}" for layer in range(LAYERS) for part in ("attended", "fed"))]:
        found[f"{name}_gamma"] = (1.0 + 0.1 * chance.standard_normal(HIDDEN)).astype(np.float32)
        found[f"{name}_beta"] = (0.1 * chance.standard_normal(HIDDEN)).astype(np.float32)
    return found


def encode(parameters: dict, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Embeddings `[n, HIDDEN]` of token ids `[n, sequence]` in NumPy, in double precision."""
    # The sine is of the product in single precision, as the graph takes it: another rounding is another matrix.
    matrix = {
        name: np.sin((parameters[f"{name}_rows"] * parameters[f"{name}_columns"]).astype(np.float64)) * _scale(name)
        for name in _matrices()
    }
    wide = {name: value.astype(np.float64) for name, value in parameters.items()}

    def linear(name: str, values: np.ndarray) -> np.ndarray:
        return values @ matrix[name] + wide[f"{name}_bias"]

    def norm(name: str, values: np.ndarray) -> np.ndarray:
        centred = values - values.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
        return centred / spread * wide[f"{name}_gamma"] + wide[f"{name}_beta"]

    def heads(values: np.ndarray) -> np.ndarray:
        return values.reshape(*ids.shape, HEADS, HIDDEN // HEADS).transpose(0, 2, 1, 3)

    hidden = norm("embedded", matrix["words"][ids] + matrix["positions"][: ids.shape[1]])
    away = (1.0 - mask[:, None, None, :]) * FAR
    for layer in range(LAYERS):
        query, key, value = (heads(linear(f"{layer}.{part}", hidden)) for part in ("query", "key", "value"))
        scores = query @ key.swapaxes(2, 3) / math.sqrt(HIDDEN // HEADS) + away
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (powers / powers.sum(axis=-1, keepdims=True)) @ value
        mixed = mixed.transpose(0, 2, 1, 3).reshape(hidden.shape)
        hidden = norm(f"{layer}.attended", hidden + linear(f"{layer}.out", mixed))
        fed = linear(f"{layer}.down", _gelu(linear(f"{layer}.up", hidden)))
        hidden = norm(f"{layer}.fed", hidden + fed)
    pooled = (hidden * mask[:, :, None]).sum(axis=1) / np.maximum(mask.sum(axis=1, keepdims=True), 1e-9)
    return pooled / np.maximum(np.sqrt((pooled**2).sum(axis=1, keepdims=True)), 1e-9)


def graph(parameters: dict) -> onnx.ModelProto:
    """The same as ONNX: `input_ids` and `attention_mask` INT64 [?, ?] to `embedding` FP32 [?, HIDDEN]."""
    built = _Graph(parameters)
    mask = built.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    away = built.add("Sub", built.constant(1.0), mask)
    away = built.add("Mul", built.add("Unsqueeze", away, built.constant([1, 2])), built.constant(FAR))
    length = built.add("Slice", built.add("Shape", "input_ids"), built.constant([1]), built.constant([2]))
    places = built.add("Slice", built.matrix("positions"), built.constant([0]), length, built.constant([0]))
    words = built.add("Gather", built.matrix("words"), "input_ids")
    hidden = built.norm("embedded", built.add("Add", words, places))
    for layer in range(LAYERS):
        mixed = built.attention(layer, hidden, away)
        hidden = built.norm(f"{layer}.attended", built.add("Add", hidden, built.linear(f"{layer}.out", mixed)))
        fed = built.linear(f"{layer}.down", built.gelu(built.linear(f"{layer}.up", hidden)))
        hidden = built.norm(f"{layer}.fed", built.add("Add", hidden, fed))
    built.pool(hidden, mask)
    return built.model()


class _Graph:
    """Nodes and constants as they come; every result has a name of its own."""

    def __init__(self, parameters: dict) -> None:
        self.nodes = []
        self.constants = dict(parameters)

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes) -> str:
        name = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, value) -> str:
        array = np.array(value, dtype=np.float32 if isinstance(value, float) else np.int64)
        name = f"constant_{value}".replace(" ", "")
        self.constants[name] = array
        return name

    def matrix(self, name: str) -> str:
        """The matrix `name`, out of its two vectors."""
        waves = self.add("Sin", self.add("Mul", f"{name}_rows", f"{name}_columns"))
        return self.add("Mul", waves, self.constant(_scale(name)))

    def linear(self, name: str, values: str) -> str:
        return self.add("Add", self.add("MatMul", values, self.matrix(name)), f"{name}_bias")

    def norm(self, name: str, values: str) -> str:
        weights = (f"{name}_gamma", f"{name}_beta")
        return self.add("LayerNormalization", values, *weights, axis=-1, epsilon=EPSILON)

    def gelu(self, values: str) -> str:
        """Written out, as an exporter does it."""
        wave = self.add("Erf", self.add("Div", values, self.constant(math.sqrt(2.0))))
        gate = self.add("Add", wave, self.constant(1.0))
        return self.add("Mul", self.add("Mul", values, gate), self.constant(0.5))

    def attention(self, layer: int, hidden: str, away: str) -> str:
        apart = self.constant([0, 0, HEADS, HIDDEN // HEADS])
        order = {"query": [0, 2, 1, 3], "key": [0, 2, 3, 1], "value": [0, 2, 1, 3]}
        heads = {}
        for part, perm in order.items():
            values = self.add("Reshape", self.linear(f"{layer}.{part}", hidden), apart)
            heads[part] = self.add("Transpose", values, perm=perm)
        scores = self.add("MatMul", heads["query"], heads["key"])
        scores = self.add("Div", scores, self.constant(math.sqrt(HIDDEN // HEADS)))
        weights = self.add("Softmax", self.add("Add", scores, away), axis=-1)
        mixed = self.add("Transpose", self.add("MatMul", weights, heads["value"]), perm=[0, 2, 1, 3])
        return self.add("Reshape", mixed, self.constant([0, 0, HIDDEN]))

    def pool(self, hidden: str, mask: str) -> None:
        """The mean over the tokens that the mask lets through, brought to length one."""
        tokens, tiny = self.constant([1]), self.constant(1e-9)
        seen = self.add("Mul", hidden, self.add("Unsqueeze", mask, self.constant([2])))
        count = self.add("Max", self.add("ReduceSum", mask, tokens), tiny)
        mean = self.add("Div", self.add("ReduceSum", seen, tokens, keepdims=0), count)
        length = self.add("Max", self.add("ReduceL2", mean, tokens), tiny)
        self.add("Div", mean, length, name="embedding")

    def model(self) -> onnx.ModelProto:
        def tokens(name: str):
            return helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])

        graph = helper.make_graph(
            self.nodes,
            "encoder",
            [tokens("input_ids"), tokens("attention_mask")],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", HIDDEN])],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _matrices() -> dict[str, tuple[int, int]]:
    """Rows and columns of every matrix."""
    shapes = {"words": (VOCABULARY, HIDDEN), "positions": (POSITIONS, HIDDEN)}
    for layer in range(LAYERS):
        shapes |= {f"{layer}.{part}": (HIDDEN, HIDDEN) for part in ("query", "key", "value", "out")}
        shapes |= {f"{layer}.up": (HIDDEN, FEED_FORWARD), f"{layer}.down": (FEED_FORWARD, HIDDEN)}
    return shapes


def _scale(name: str) -> float:
    """Brings a row's products to variance one: a sine's variance is 1/2."""
    return 1.0 if name in ("words", "positions") else math.sqrt(2.0 / _matrices()[name][0])


def _gelu(values: np.ndarray) -> np.ndarray:
    return 0.5 * values * (1.0 + np.vectorize(math.erf)(values / math.sqrt(2.0)))
