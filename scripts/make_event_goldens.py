"""Makes requests with the real CloudEvents SDK, and reads answers of ours with it.

    pip install cloudevents==1.13.0 && python scripts/make_event_goldens.py
    pip install cloudevents==2.2.0 && python scripts/make_event_goldens.py

Writes tests/data/cloudevents/requests-1.jsonl and requests-2.jsonl, by the SDK's version: a request to the iris model in each
mode, with JSON, binary tensors and protobuf (from tests/data/grpc) for data, as the SDK's Kafka binding writes it.
src/codec/cloudevents/tests decodes them, tests/journey/cloudevents.rs sends them through a worker.

Reads tests/data/cloudevents/answers-1.jsonl and answers-2.jsonl, which those unit tests write (MODELMILL_UPDATE_GOLDENS=1), with
the SDK, and fails if anything in them is not what was put there.
"""

import base64
import json
import pathlib
import struct
from datetime import datetime, timezone
from importlib.metadata import version

MAJOR = int(version("cloudevents").split(".")[0])
if MAJOR == 1:
    from cloudevents.http import CloudEvent
    from cloudevents.kafka import KafkaMessage, from_binary, from_structured, to_binary, to_structured
else:
    from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka, to_binary, to_structured
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data"
FOLDER = ROOT / "cloudevents"
TIME = datetime(2026, 1, 1, tzinfo=timezone.utc)
FLOWER = [5.1, 3.5, 1.4, 0.2]
LENGTH = "inference-header-content-length"


def bodies(mode):
    """Name, content-type, data, and the length of the JSON that they begin with."""
    tensor = {"name": "X", "shape": [1, 4], "datatype": "FP32"}
    yield "tensors", "application/json", {"inputs": [tensor | {"data": FLOWER}]}, None
    yield "rows", "application/json", {"id": f"own-{mode}-{MAJOR}", "instances": [FLOWER]}, None
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": 16}}],
                       "parameters": {"binary_data_output": True}}).encode()
    yield "binary", "application/octet-stream", head + struct.pack("<4f", *FLOWER), len(head)
    lines = map(json.loads, (ROOT / "grpc" / "requests.jsonl").read_text().splitlines())
    golden = next(line for line in lines if line["id"] == "iris-0-raw")
    id = golden["id"].encode()  # field 3: without it, the event's id is the request's
    protobuf = bytes.fromhex(golden["body"]).replace(bytes([0x1A, len(id)]) + id, b"")
    yield "protobuf", "application/x-protobuf", protobuf, None
    yield "broken", "application/json", {"inputs": 7}, None


def message(mode, name, content_type, data):
    id = f"{mode}-{name}-{MAJOR}"
    attributes = {"id": id, "type": "com.example.ask", "source": "/greenhouse", "datacontenttype": content_type,
                  "subject": "flower/17", "tenant": "blue", "time": TIME if MAJOR == 2 else TIME.isoformat()}
    event = CloudEvent(attributes, data)
    if MAJOR == 2:
        return id, (to_binary if mode == "binary" else to_structured)(event, JSONFormat())
    marshaller = (lambda value: value) if isinstance(data, bytes) else None
    return id, (to_binary if mode == "binary" else to_structured)(event, data_marshaller=marshaller)


def write_requests():
    lines = []
    for mode in ("binary", "structured"):
        for name, content_type, data, header in bodies(mode):
            id, made = message(mode, name, content_type, data)
            headers = {key: value.decode() for key, value in made.headers.items()}
            if header is not None:
                headers[LENGTH] = str(header)
            value = made.value if isinstance(made.value, bytes) else made.value.encode()
            lines.append(json.dumps({"event": id, "mode": mode, "data": name, "headers": headers, "body": value.hex()}))
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"requests-{MAJOR}.jsonl").write_text("\n".join(lines) + "\n")
    print(len(lines), "requests of SDK", MAJOR)


def read(made, mode):
    """Attributes and data of an answer."""
    if MAJOR == 2:
        event = from_kafka(made, JSONFormat())
        return event.get_attributes(), event.get_data()
    raw = mode == "binary" and made.headers["content-type"] != b"application/json"
    unmarshaller = (lambda value: value) if raw else None
    event = (from_binary if mode == "binary" else from_structured)(made, data_unmarshaller=unmarshaller)
    return event.get_attributes(), event.get_data()


def read_answers():
    lines = (FOLDER / f"answers-{MAJOR}.jsonl").read_text().splitlines()
    for line in map(json.loads, lines):
        headers = {key: value.encode() for key, value in line["headers"].items()}
        value = bytes.fromhex(line["body"])
        attributes, data = read(KafkaMessage(headers=headers, key=line["key"], value=value), line["mode"])
        failed = line["data"] == "broken"
        assert attributes["id"] == line["key"], attributes
        assert attributes["specversion"] == "1.0" and attributes["time"], attributes
        assert attributes["type"] == "com.example.ask" + (".error" if failed else ".response"), attributes
        assert attributes["source"] == "/modelmill/iris", attributes
        assert (attributes["tenant"], attributes["subject"]) == ("blue", "flower/17"), attributes
        if line["data"] in ("tensors", "rows", "broken"):
            data = json.loads(data) if isinstance(data, (str, bytes)) else data
            assert data["id"] == line["key"] and (("error" in data) == failed), data
        else:
            data = data.encode() if isinstance(data, str) else data
            assert base64.b64encode(data).decode() == line["content"], data
    print(len(lines), "answers are right for SDK", MAJOR)


write_requests()
read_answers()
