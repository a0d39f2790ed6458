"""Makes requests with the client libraries of MLServer and of KServe, and reads answers of ours with them.

    pip install mlserver==1.7.1 && python scripts/make_server_goldens.py mlserver
    pip install kserve==0.16.0 && python scripts/make_server_goldens.py kserve

each in an environment of its own, as the two want different versions of the same packages.

Writes tests/data/mlserver/requests.jsonl and tests/data/kserve/requests.jsonl: for cases of the models under tests/data/fixtures and
tests/data/trained, what the library sends (headers, and the body in hexadecimal) in each of its ways, and what Python's onnxruntime
answers. MLServer's codecs write JSON, of NumPy arrays and strings or of a pandas DataFrame; KServe's InferRequest writes JSON, JSON with
binary tensors, and protobuf. tests/journey/servers.rs sends them through a worker.

Reads tests/data/mlserver/answers.jsonl and tests/data/kserve/answers.jsonl, which that journey writes
(MODELMILL_UPDATE_GOLDENS=1), with the library's decoders, and fails if anything in them is not what onnxruntime answered.
"""

import json
import sys

import numpy as np

from goldens import DTYPES, array, expected, goldens, read_lines, some, write_lines

CASES = 2  # of a model, besides one without rows
JSON = {"content-type": "application/json"}


def texts(tensor):
    return [text.decode() for text in array(tensor).reshape(-1)]


def has_words(case):
    """Not-a-number and the infinities have no place in the JSON of either library."""
    return any(tensor["datatype"] != "BYTES" and isinstance(number, str)
               for tensor in case["inputs"] for number in np.ravel(np.array(tensor["data"], dtype=object)))


class Mlserver:
    """Requests as its documentation posts them; the model is chosen by the address there and by a header here."""

    def __init__(self):
        import pandas
        from mlserver import codecs, types
        self.pandas, self.codecs, self.types = pandas, codecs, types

    def ways(self, case):
        # Its codec gives every vector a second axis, which a model of vectors takes from a pipeline with the step `reshape` alone.
        if not has_words(case) and all(len(tensor["shape"]) > 1 for tensor in case["inputs"]):
            yield "codecs", self.of_codecs
            if case["inputs"] and all(tensor["shape"][1:] == [1] for tensor in case["inputs"]):
                yield "pandas", self.of_frame

    def dump(self, request):
        return JSON, json.dumps(request.model_dump()).encode()

    def of_codecs(self, id, case, asked):
        inputs = []
        for tensor in case["inputs"]:
            if tensor["datatype"] == "BYTES" and tensor["shape"][1:] == [1]:
                inputs.append(self.codecs.StringCodec.encode_input(tensor["name"], texts(tensor), use_bytes=False))
            elif tensor["datatype"] == "BYTES":
                # The codec of strings has no other shape; so a caller says it by hand.
                parameters = self.types.Parameters(content_type="str")
                inputs.append(self.types.RequestInput(name=tensor["name"], shape=tensor["shape"], datatype="BYTES",
                                                      data=texts(tensor), parameters=parameters))
            else:
                inputs.append(self.codecs.NumpyCodec.encode_input(tensor["name"], array(tensor)))
        outputs = [self.types.RequestOutput(name=name) for name in asked] or None
        return self.dump(self.types.InferenceRequest(id=id, inputs=inputs, outputs=outputs))

    def of_frame(self, id, case, asked):
        # The codec knows texts as objects, and not as the datatype of their own that pandas 3 gives them.
        columns = {tensor["name"]: self.pandas.Series(texts(tensor), dtype=object) if tensor["datatype"] == "BYTES"
                   else array(tensor).reshape(-1) for tensor in case["inputs"]}
        request = self.codecs.PandasCodec.encode_request(self.pandas.DataFrame(columns), use_bytes=False)
        request.id = id
        return self.dump(request)

    def read(self, way, headers, body):
        response = self.types.InferenceResponse.model_validate_json(body)
        arrays = {}
        for output in response.outputs:
            is_text = output.datatype == "BYTES"
            decode = (self.codecs.StringCodec if is_text else self.codecs.NumpyCodec).decode_output
            arrays[output.name] = np.array(decode(output), dtype=object if is_text else None).reshape(output.shape)
        if way == "pandas" and all(len(output.shape) < 3 for output in response.outputs):
            frame = self.codecs.PandasCodec.decode_response(response)
            assert list(frame.columns) == [output.name for output in response.outputs], frame
        return response.id, arrays


class Kserve:
    """Requests as InferRequest writes them, with the headers that its REST client sends with them."""

    def __init__(self):
        from kserve import InferInput, InferRequest, InferResponse
        from kserve.protocol.grpc import grpc_predict_v2_pb2
        from kserve.protocol.infer_type import RequestedOutput
        self.InferInput, self.InferRequest, self.InferResponse = InferInput, InferRequest, InferResponse
        self.RequestedOutput, self.messages = RequestedOutput, grpc_predict_v2_pb2

    def ways(self, case):
        has_halves = any(tensor["datatype"] == "FP16" for tensor in case["inputs"])
        if not has_halves and not has_words(case):
            yield "json", self.of_json
            yield "contents", self.of_contents
        if case["inputs"]:
            yield "binary", self.of_binary
            yield "raw", self.of_raw

    def request(self, id, case, asked, binary, **more):
        inputs = []
        for tensor in case["inputs"]:
            given = self.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
            given.set_data_from_numpy(array(tensor), binary_data=binary)
            inputs.append(given)
        outputs = [self.RequestedOutput(name) for name in asked]
        return self.InferRequest(model_name=None, request_id=id, infer_inputs=inputs, request_outputs=outputs, **more)

    def rest(self, request):
        body, length = request.to_rest()
        if length is None:
            return JSON, json.dumps(body).encode()
        return {"content-type": "application/octet-stream", "inference-header-content-length": str(length)}, body

    def grpc(self, request):
        return {"content-type": "application/x-protobuf"}, request.to_grpc().SerializeToString(deterministic=True)

    def of_json(self, id, case, asked):
        return self.rest(self.request(id, case, asked, False))

    def of_binary(self, id, case, asked):
        return self.rest(self.request(id, case, asked, True, parameters={"binary_data_output": True}))

    def of_contents(self, id, case, asked):
        return self.grpc(self.request(id, case, asked, False))

    def of_raw(self, id, case, asked):
        return self.grpc(self.request(id, case, asked, True))

    def read(self, way, headers, body):
        if way in ("raw", "contents"):
            response = self.InferResponse.from_grpc(self.messages.ModelInferResponse.FromString(body))
        elif "inference-header-content-length" in headers:
            response = self.InferResponse.from_bytes(body, int(headers["inference-header-content-length"]))
        else:
            response = self.InferResponse.from_rest(json.loads(body))
        return response.id, {output.name: output.as_numpy() for output in response.outputs}


def write_requests(library, name):
    lines = []
    for model, place, cases in goldens():
        for number, case in enumerate(some(cases, CASES)):
            names = [tensor["name"] for tensor in case["outputs"]] if number % 2 else []
            for way, make in library.ways(case):
                id = f"{model}-{number}-{way}"
                headers, body = make(id, case, names)
                lines.append({"model": model, "place": place, "id": id, "way": way, "headers": headers, "body": body.hex(),
                              "outputs": expected(case)})
    write_lines(f"{name}/requests.jsonl", lines)


def same(found, tensor):
    if tensor["datatype"] == "BYTES":
        found = [text.decode() if isinstance(text, bytes) else text for text in np.ravel(found)]
        return found == [text.decode() for text in np.ravel(array(tensor))]
    if tensor["datatype"].startswith("FP"):
        return np.allclose(np.asarray(found, dtype=np.float64), array(tensor).astype(np.float64), 1e-5, 1e-8, equal_nan=True)
    return found.dtype == DTYPES[tensor["datatype"]] and np.array_equal(found, array(tensor))


def read_answers(library, name):
    requests = {line["id"]: line for line in read_lines(f"{name}/requests.jsonl")}
    answers = read_lines(f"{name}/answers.jsonl")
    assert len(answers) == len(requests), (len(answers), len(requests))
    for line in answers:
        request = requests[line["id"]]
        id, found = library.read(request["way"], line["headers"], bytes.fromhex(line["body"]))
        assert id == line["id"], (id, line["id"])
        assert list(found) == [tensor["name"] for tensor in request["outputs"]], (id, list(found))
        for tensor in request["outputs"]:
            array_found = found[tensor["name"]]
            assert list(array_found.shape) == tensor["shape"], (id, tensor["name"], array_found.shape)
            assert same(array_found, tensor), (id, tensor["name"], array_found, tensor["data"])
    print(len(answers), "answers are what onnxruntime answered, as", name, "reads them")


def main():
    name = sys.argv[1]
    library = {"mlserver": Mlserver, "kserve": Kserve}[name]()
    write_requests(library, name)
    if (answers := sys.argv[2:]) != ["--requests"]:
        read_answers(library, name)


if __name__ == "__main__":
    main()
