"""Makes requests with Triton's real gRPC client and with the protocol's typed contents, and reads an answer of ours with it.

    pip install 'tritonclient[grpc]==2.73.0' numpy
    python scripts/make_grpc_goldens.py

Writes tests/data/grpc/requests.jsonl: for cases of the models under tests/data/fixtures and tests/data/trained, a serialised
`ModelInferRequest` (in hexadecimal), by turns as tritonclient builds it (raw_input_contents) and with typed contents, and what
Python's onnxruntime answers. tests/journey/protobuf.rs sends them through a worker.

Reads tests/data/grpc/answer.bin, which src/codec/protobuf/tests writes (MODELMILL_UPDATE_GOLDENS=1), as tritonclient reads an
answer, and fails if anything in it is not what was put there.
"""

import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.grpc._utils import _get_inference_request

from goldens import DTYPES, ROOT, array, expected, goldens, some, write_lines

CASES = 2  # of a model, besides one without rows
CONTENTS = {
    "BOOL": "bool_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}


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


def write_requests():
    lines = []
    for model, place, cases in goldens():
        for number, case in enumerate(some(cases, CASES)):
            has_halves = any(tensor["datatype"] == "FP16" for tensor in case["inputs"])
            names = [tensor["name"] for tensor in case["outputs"]]
            for way, make in (("raw", raw), ("typed", typed)):
                if way == "typed" and has_halves:
                    continue
                asked = names if number % 2 else []
                id = f"{model}-{number}-{way}"
                body = make(model, id, case, asked).SerializeToString(deterministic=True)
                lines.append({"model": model, "place": place, "id": id, "body": body.hex(), "outputs": expected(case)})
    write_lines("grpc/requests.jsonl", lines)


def read_answer():
    response = service_pb2.ModelInferResponse()
    response.ParseFromString((ROOT / "grpc" / "answer.bin").read_bytes())
    result = triton.InferResult(response)
    assert (response.model_name, response.model_version, response.id) == ("all", "1", "r-1"), response
    tiny = {"fp32": np.float32(1.17549435e-38), "fp64": np.float64(2.2250738585072014e-308)}
    put = {
        "bool": [True, False, True], "fp16": [0.5, -0.0, np.inf], "fp32": [tiny["fp32"], -0.0, np.inf],
        "fp64": [tiny["fp64"], -0.0, -np.inf], "bytes": [b"", "Käse".encode(), b"a\0b"],
    }
    for bits in (8, 16, 32, 64):
        put[f"uint{bits}"] = [0, 1, 2**bits - 1]
        put[f"int{bits}"] = [-(2 ** (bits - 1)), -1, 2 ** (bits - 1) - 1]
    for name, values in put.items():
        read = result.as_numpy(name)
        dtype = DTYPES.get(name.upper(), np.object_)
        assert read.shape == (3, 1) and read.dtype == dtype, (name, read.shape, read.dtype)
        assert list(read.reshape(-1)) == [dtype(value) if dtype is not np.object_ else value for value in values], (name, read)
    assert result.as_numpy("empty").shape == (0, 2)
    print("the answer is right")


write_requests()
read_answer()
