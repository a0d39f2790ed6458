"""The image model of the demo: which digit is it, from 8 × 8 grey values of 0 to 16."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from . import cnn, scikit

DATA = "Optical recognition of handwritten digits (1,797 images), as scikit-learn ships it; UCI repository, CC BY 4.0"
EPOCHS = 60
BRIGHTEST = 16.0


def train():
    """The parameters, the ONNX graph, the test images `[n, 1, 8, 8]` and the accuracy on them."""
    data = load_digits()
    images = data.images.astype(np.float32)[:, None]
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, data.target, test_size=0.3, random_state=0, stratify=data.target
    )
    chance = np.random.default_rng(0)
    fitted = cnn.fit(train_images.astype(np.float64) / BRIGHTEST, train_labels, EPOCHS, chance)
    # What is written is what is tested: single precision from here on.
    parameters = {name: value.astype(np.float32) for name, value in fitted.items()}
    found = logits(parameters, test_images).argmax(axis=1)
    return parameters, _graph(parameters), {"image": test_images}, float((found == test_labels).mean())


def logits(parameters: dict, images: np.ndarray) -> np.ndarray:
    """What the network says in NumPy, in double precision."""
    wide = {name: value.astype(np.float64) for name, value in parameters.items()}
    return cnn.forward(wide, images.astype(np.float64) / BRIGHTEST)[0]


def labels() -> list[str]:
    """The digits in the order of their numbers."""
    return [str(digit) for digit in range(cnn.CLASSES)]


def _graph(parameters: dict) -> onnx.ModelProto:
    node, nodes, last = helper.make_node, [], "scaled"
    # Grey values are brought to 0..1 inside the graph, so that no client can forget it.
    nodes.append(node("Div", ["image", "brightest"], [last]))
    for layer in ("first", "second"):
        nodes.append(node("Conv", [last, layer, f"{layer}_bias"], [f"{layer}_out"], kernel_shape=[3, 3], pads=[1] * 4))
        nodes.append(node("Relu", [f"{layer}_out"], [f"{layer}_active"]))
        last = f"{layer}_pooled"
        nodes.append(node("MaxPool", [f"{layer}_active"], [last], kernel_shape=[2, 2], strides=[2, 2]))
    nodes.append(node("Flatten", [last], ["flat"]))
    nodes.append(node("Gemm", ["flat", "dense", "dense_bias"], ["logits"], transB=1))
    constants = {**parameters, "brightest": np.array(BRIGHTEST, dtype=np.float32)}
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", cnn.CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", scikit.OPSETS[""])
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)
