"""Where a trained model goes: a version in a repository, and the golden answers that its tests compare with.

A golden is what Python's ONNX Runtime answers for the very file that is written here, in the JSON of the Open Inference
Protocol, and beside it what the library that trained the model says to the same rows. Numbers are written with the
fewest digits that give the same value back, so that a reader gets exactly the tensor that was computed.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

DATATYPES = {"float32": "FP32", "float64": "FP64", "int64": "INT64", "int32": "INT32", "bool": "BOOL"}
AGREEMENT = 1e-5


def write_model(folder: Path, model: onnx.ModelProto, labels: list[str] | None = None, manifest: bool = False) -> Path:
    """Writes `model.onnx`, `labels.txt` if there are labels, and last, if asked for, `manifest.json`."""
    model.producer_name, model.producer_version = "modelmill/scripts/train_models.py", ""
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    written = ["model.onnx"]
    if labels is not None:
        (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
        written.append("labels.txt")
    if manifest:
        _write_manifest(folder, written)
    return folder / "model.onnx"


def write_goldens(path: Path, model: Path, requests: list[dict], reference, prepare=lambda request: request) -> None:
    """Writes one golden for each of `requests`, a map of input names to arrays whose first axis counts rows.

    `reference` maps what the model gets to `{"label": [...], "probabilities": [[...]]}` as the training library
    computes it; the model's own first and last outputs must agree with it, or nothing is written. `prepare` does to a
    request what steps before `predict` do.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    goldens = []
    for request in requests:
        ready = prepare(request)
        outputs = [_output(*pair) for pair in zip(names, session.run(names, ready), strict=True)]
        expected = reference(ready)
        _must_agree(model, outputs, expected)
        inputs = [_tensor(name, array) for name, array in request.items()]
        goldens.append({"inputs": inputs, "outputs": outputs, "reference": expected})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(json.dumps(golden, ensure_ascii=False) for golden in goldens) + "\n]\n")


def write_requests(path: Path, name: str, requests: list[dict], classes: list[str]) -> None:
    """Writes requests as a client sends them, one a line, with ids of their own, and beside them the class that the
    training library gives each, in `<name>.classes.txt`."""
    lines = []
    for number, request in enumerate(requests, start=1):
        inputs = [_short(_tensor(column, array)) for column, array in request.items()]
        lines.append(json.dumps({"id": f"{name}-{number}", "inputs": inputs}, ensure_ascii=False) + "\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))
    path.with_suffix(".classes.txt").write_text("".join(f"{name}\n" for name in classes))


def requests_of(rows: dict[str, np.ndarray], singles: int = 20, together: int = 8) -> list[dict]:
    """The first `singles` rows as a request each, and the `together` rows after them as one request."""
    alone = [{name: array[row : row + 1] for name, array in rows.items()} for row in range(singles)]
    return [*alone, {name: array[singles : singles + together] for name, array in rows.items()}]


def _write_manifest(folder: Path, names: list[str]) -> None:
    files = []
    for name in names:
        content = (folder / name).read_bytes()
        files.append({"path": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
    (folder / "manifest.json").write_text(json.dumps({"files": files}, indent=2) + "\n")


def _output(name: str, value) -> dict:
    """An output as modelmill answers it: ZipMap's list of maps is a dense tensor with its classes beside it."""
    if isinstance(value, list):
        classes = list(value[0])
        dense = np.array([[row[label] for label in classes] for row in value], dtype=np.float32)
        return {**_tensor(name, dense), "parameters": {"classes": classes}}
    return _tensor(name, value)


def _tensor(name: str, array: np.ndarray) -> dict:
    datatype = DATATYPES.get(array.dtype.name, "BYTES")
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": _plain(array.reshape(-1))}


def _short(tensor: dict) -> dict:
    """The tensor with whole numbers written as such, as a person would."""
    whole = tensor["datatype"].startswith("FP") and all(value.is_integer() for value in tensor["data"])
    return {**tensor, "data": [int(value) for value in tensor["data"]]} if whole else tensor


def _plain(values: np.ndarray) -> list:
    """The values with the fewest digits that name the same ones in the array's own precision."""
    if values.dtype == np.float32:
        return [float(str(value)) for value in values]
    return values.tolist()


def _must_agree(model: Path, outputs: list[dict], expected: dict) -> None:
    """The runtime and the library see the same rows, so their answers differ by rounding only."""
    ours = np.asarray(outputs[-1]["data"], dtype=np.float64)
    theirs = np.asarray(expected[list(expected)[-1]], dtype=np.float64).reshape(-1)
    difference = np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max())
    if difference > AGREEMENT:
        raise SystemExit(f"{model}: ONNX Runtime and the training library differ by {difference:.2g}")
    if "label" in expected and len(outputs) > 1 and outputs[0]["data"] != expected["label"]:
        raise SystemExit(f"{model}: ONNX Runtime says {outputs[0]['data']}, the training library {expected['label']}")
