"""What Python's onnxruntime answered, for the scripts that make requests of it with client libraries.

The golden files lie under tests/data/fixtures and tests/data/trained; a tensor in them has name, datatype, shape and data, where
not-a-number and the infinities are texts.
"""

import json
import pathlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data"
DTYPES = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
}


def cases_of(path):
    golden = json.loads(path.read_text())
    return golden["cases"] if isinstance(golden, dict) else golden


def goldens():
    """Model, place of its version, and cases of every golden file."""
    for path in sorted(ROOT.glob("fixtures/*/golden.json")):
        yield path.parent.name, f"fixtures/{path.parent.name}/1", cases_of(path)
    for path in sorted(ROOT.glob("trained/*/1/golden.json")):
        yield path.parent.parent.name, f"trained/{path.parent.parent.name}/1", cases_of(path)


def some(cases, count):
    """The first so many cases, and one without rows."""
    empty = [case for case in cases[count:] if case["inputs"] and case["inputs"][0]["shape"][:1] == [0]]
    return cases[:count] + empty[:1]


def array(tensor):
    """A tensor of a golden file; texts as bytes."""
    data = list(np.ravel(np.array(tensor["data"], dtype=object)))
    if tensor["datatype"] == "BYTES":
        flat = np.empty(len(data), dtype=np.object_)
        flat[:] = [text.encode() for text in data]
    else:
        numbers = [float(number) if isinstance(number, str) else number for number in data]
        flat = np.array(numbers, dtype=DTYPES[tensor["datatype"]])
    return flat.reshape(tensor["shape"])


def expected(case):
    """What must come back."""
    keys = ("name", "datatype", "shape", "data", "classes", "parameters")
    return [{key: tensor[key] for key in keys if key in tensor} for tensor in case["outputs"]]


def write_lines(file, lines):
    """A file under tests/data, one JSON object a line."""
    path = ROOT / file
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    print(len(lines), "lines in", file)


def read_lines(file):
    return [json.loads(line) for line in (ROOT / file).read_text().splitlines()]
