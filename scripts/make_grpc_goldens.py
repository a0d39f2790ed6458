"""Makes requests with Triton's real gRPC client and with the protocol's typed contents, and reads an answer of ours with it.

    pip install 'tritonclient[grpc]==2.73.0' numpy
    python scripts/make_grpc_goldens.py

Writes tests/data/grpc/requests.jsonl: for cases of the models under tests/data/fixtures and tests/data/trained, a serialised
`ModelInferRequest` (in hexadecimal), by turns as tritonclient builds it (raw_input_contents) and with typed contents, and what
Python's onnxruntime answers. tests/journey/protobuf.rs sends them through a worker.

Reads tests/data/grpc/answer.bin, which src/codec/protobuf/tests writes (MODELMILL_UPDATE_GOLDENS=1), as tritonclient reads an
answer, and fails if anything in it is not what was put there.
"""

import json
import pathlib

import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.grpc._utils import _get_inference_request

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data"
CASES = 2  # of a model, besides one without rows
DTYPES = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
}
CONTENTS = {
    "BOOL": "bool_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}


def array(tensor):
    """A tensor of a golden file."""
    data = list(np.ravel(np.array(tensor["data"], dtype=object)))
    if tensor["datatype"] == "BYTES":
        flat = np.empty(len(data), dtype=np.object_)
        flat[:] = [text.encode() for text in data]
    else:
        numbers = [float(number) if isinstance(number, str) else number for number in data]
        flat = np.array(numbers, dtype=DTYPES[tensor["datatype"]])
    return flat.reshape(tensor["shape"])


def raw(model, id, case, asked):
    """As tritonclient sends it."""
    inputs = []
    for tensor in case["inputs"]:
        given = triton.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        given.set_data_from_numpy(array(tensor))
        inputs.append(given)
    outputs = [triton.InferRequestedOutput(name) for name in asked] or None
    return _get_inference_request(
        model_name=model, inputs=inputs, model_version="", request_id=id, outputs=outputs, sequence_id=0,
        sequence_start=False, sequence_end=False, priority=0, timeout=None, parameters={"tenant": "blue", "n": 7})


def typed(model, id, case, asked):
    """With the data in the field that its datatype has."""
    request = service_pb2.ModelInferRequest(model_name=model, id=id)
    for tensor in case["inputs"]:
        given = request.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        getattr(given.contents, CONTENTS[tensor["datatype"]]).extend(array(tensor).reshape(-1).tolist())
    for name in asked:
        request.outputs.add(name=name)
    return request


def cases_of(path):
    golden = json.loads(path.read_text())
    return golden["cases"] if isinstance(golden, dict) else golden


def goldens():
    """Model, place of its version, and cases of every golden file."""
    for path in sorted(ROOT.glob("fixtures/*/golden.json")):
        yield path.parent.name, f"fixtures/{path.parent.name}/1", cases_of(path)
    for path in sorted(ROOT.glob("trained/*/1/golden.json")):
        yield path.parent.parent.name, f"trained/{path.parent.parent.name}/1", cases_of(path)


def write_requests():
    lines = []
    for model, place, cases in goldens():
        empty = [case for case in cases[CASES:] if case["inputs"] and case["inputs"][0]["shape"][:1] == [0]]
        for number, case in enumerate(cases[:CASES] + empty[:1]):
            has_halves = any(tensor["datatype"] == "FP16" for tensor in case["inputs"])
            names = [tensor["name"] for tensor in case["outputs"]]
            for way, make in (("raw", raw), ("typed", typed)):
                if way == "typed" and has_halves:
                    continue
                asked = names if number % 2 else []
                id = f"{model}-{number}-{way}"
                body = make(model, id, case, asked).SerializeToString(deterministic=True)
                expected = [{key: tensor[key] for key in ("name", "datatype", "shape", "data", "classes", "parameters") if key in tensor}
                            for tensor in case["outputs"]]
                lines.append(json.dumps({"model": model, "place": place, "id": id, "body": body.hex(), "outputs": expected}))
    (ROOT / "grpc").mkdir(exist_ok=True)
    (ROOT / "grpc" / "requests.jsonl").write_text("\n".join(lines) + "\n")
    print(len(lines), "requests")


def read_answer():
    response = service_pb2.ModelInferResponse()
    response.ParseFromString((ROOT / "grpc" / "answer.bin").read_bytes())
    result = triton.InferResult(response)
    assert (response.model_name, response.model_version, response.id) == ("all", "1", "r-1"), response
    tiny = {"fp32": np.float32(1.17549435e-38), "fp64": np.float64(2.2250738585072014e-308)}
    expected = {
        "bool": [True, False, True], "fp16": [0.5, -0.0, np.inf], "fp32": [tiny["fp32"], -0.0, np.inf],
        "fp64": [tiny["fp64"], -0.0, -np.inf], "bytes": [b"", "Käse".encode(), b"a\0b"],
    }
    for bits in (8, 16, 32, 64):
        expected[f"uint{bits}"] = [0, 1, 2**bits - 1]
        expected[f"int{bits}"] = [-(2 ** (bits - 1)), -1, 2 ** (bits - 1) - 1]
    for name, values in expected.items():
        read = result.as_numpy(name)
        dtype = DTYPES.get(name.upper(), np.object_)
        assert read.shape == (3, 1) and read.dtype == dtype, (name, read.shape, read.dtype)
        assert list(read.reshape(-1)) == [dtype(value) if dtype is not np.object_ else value for value in values], (name, read)
    assert result.as_numpy("empty").shape == (0, 2)
    print("the answer is right")


write_requests()
read_answer()
