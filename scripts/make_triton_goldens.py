"""Makes requests with the real Triton client, and reads an answer of ours with it.

    pip install 'tritonclient[http]==2.73.0' numpy
    python scripts/make_triton_goldens.py

Writes tests/data/triton/requests.jsonl: for cases of the models under tests/data/fixtures and tests/data/trained, the body
that tritonclient sends (in hexadecimal) and the length of its JSON. How inputs travel (as bytes or in the JSON) and how outputs are
asked for changes from case to case. tests/journey/binary.rs sends them through a worker and holds the answers against
the goldens of Python's onnxruntime.

Reads tests/data/triton/answer.bin, which src/codec/binary/tests.rs writes (MODELMILL_UPDATE_GOLDENS=1), as tritonclient
reads an answer, and fails if anything in it is not what was put there.
"""

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from goldens import ROOT, array, expected, goldens, some, write_lines

CASES = 3  # of a model, besides one without rows


def request(case, way):
    """The body of one request and the length of its JSON."""
    inputs = []
    for index, tensor in enumerate(case["inputs"]):
        given = InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        binary = way % 3 != 1 or index % 2 == 0 or tensor["datatype"] == "FP16"
        given.set_data_from_numpy(array(tensor), binary_data=binary)
        inputs.append(given)
    names = [tensor["name"] for tensor in case["outputs"]]
    outputs = None  # the client's default: all of them, binary
    if way % 3 == 1:
        outputs = [InferRequestedOutput(name, binary_data=True) for name in names]
    elif way % 3 == 2:
        outputs = [InferRequestedOutput(name, binary_data=index % 2 == 0) for index, name in enumerate(names)]
    return InferenceServerClient.generate_request_body(inputs, outputs=outputs)


def write_requests():
    lines = []
    for model, place, cases in goldens():
        for case in some(cases, CASES):
            body, header = request(case, len(lines))
            lines.append({"model": model, "place": place, "header": header, "body": body.hex(), "outputs": expected(case)})
    write_lines("triton/requests.jsonl", lines)


def read_answer():
    body = (ROOT / "triton" / "answer.bin").read_bytes()
    header = body.index(b"]}", body.index(b'"label"')) + len(b"]}]}")  # where the last output's data end
    result = InferenceServerClient.parse_response_body(body, header_length=header)
    put = {
        "word": np.array([["süß".encode()], [b""]], dtype=object),
        "scores": np.array([[0.25, 0.75], [1, 0]], dtype=np.float32),
        "text": np.array(["a", "b"], dtype=object),
        "count": np.array([-(2**63), 2**53 + 1], dtype=np.int64),
        "half": np.array([0.5, np.nan], dtype=np.float16),
        "flag": np.array([[True, False], [False, True]]),
        "none": np.zeros((2, 0), dtype=np.uint16),
        "label": np.array([1, -1], dtype=np.int32),
    }
    for name, values in put.items():
        found = result.as_numpy(name)
        assert list(found.shape) == list(values.shape), (name, found.shape)
        if values.dtype == object:
            texts = [text if isinstance(text, bytes) else str(text).encode() for text in found.ravel()]
            wanted = [text if isinstance(text, bytes) else text.encode() for text in values.ravel()]
            assert texts == wanted, (name, texts)
        else:
            assert found.dtype == values.dtype, (name, found.dtype)
            np.testing.assert_array_equal(found, values, err_msg=name)
    response = result.get_response()
    assert (response["model_name"], response["model_version"], response["id"]) == ('m"1', "3", "a"), response
    assert result.get_output("scores")["parameters"]["classes"] == ["no", "yes"]
    print("the answer is what was put there")


if __name__ == "__main__":
    write_requests()
    read_answer()
