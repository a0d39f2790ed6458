"""From a fitted scikit-learn estimator to an ONNX model, the same bytes at every run."""

import numpy as np
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType

OPSETS = {"": 18, "ai.onnx.ml": 3}


def floats(name: str, width: int) -> tuple:
    """An input `FP32 [?, width]`."""
    return name, FloatTensorType([None, width])


def texts(name: str) -> tuple:
    """An input `BYTES [?, 1]`."""
    return name, StringTensorType([None, 1])


def convert(name: str, estimator, inputs: list[tuple], options: dict | None = None, outputs: list[str] | None = None):
    """The ONNX graph of `estimator`, its outputs renamed to `outputs` if given.

    `options` are those of the estimator's last step, `zipmap` and the like.
    """
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    model = to_onnx(
        estimator,
        initial_types=inputs,
        options={id(last): options} if options else None,
        target_opset=OPSETS,
        name=name,
    )
    _name_opsets_once(model)
    return _renamed(model, outputs) if outputs else model


def scores(estimator, inputs) -> dict:
    """What scikit-learn itself says to `inputs`, for a golden."""
    return {
        "label": np.asarray(estimator.predict(inputs)).tolist(),
        "probabilities": estimator.predict_proba(inputs).tolist(),
    }


def _renamed(model: onnx.ModelProto, outputs: list[str]) -> onnx.ModelProto:
    new = dict(zip((output.name for output in model.graph.output), outputs, strict=True))
    for output in model.graph.output:
        output.name = new[output.name]
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [new.get(name, name) for name in names]
    return model


def _name_opsets_once(model: onnx.ModelProto) -> None:
    """skl2onnx may import a domain twice; the specification asks for once."""
    versions = {}
    for opset in model.opset_import:
        versions[opset.domain] = max(opset.version, versions.get(opset.domain, 0))
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*opset) for opset in sorted(versions.items()))
