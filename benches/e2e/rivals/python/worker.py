"""The Python rival: confluent-kafka, orjson, numpy and onnxruntime, as one who knows all four would write it.

    worker.py BROKERS GROUP REQUESTS_TOPIC RESULTS_TOPIC MODEL_FOLDER

Its place: one of the contestants of the end-to-end benchmark; it runs until it is killed. It takes what has arrived, gives
all requests of equal shapes to the session in one call, and answers each.

Guarantee: at least once. Offsets are committed once a second, and only after every answer to what they cover has been
acknowledged by all in-sync replicas; if one cannot be delivered, the process ends without a commit.
"""

import gc
import os
import struct
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

# What one poll may take, and what may wait for its acknowledgement.
POLL = 2_000
IN_FLIGHT = 20_000
COMMIT_SECONDS = 1.0
# A run of many thousand rows costs more by the row; big models want fewer, and the harness says so.
MAX_BATCH_ROWS = int(os.environ.get("MAX_BATCH_ROWS", "2048"))
# Full batches leave at once; at full speed 0, 5 and 20 ms cost the same CPU, and nothing below it gets faster by waiting.
LINGER = os.environ.get("LINGER_MS", "0")

# OIP v2's datatypes: as numpy names them, and as struct packs one.
DATATYPES = {"FP32": (np.float32, "f"), "FP64": (np.float64, "d"), "INT64": (np.int64, "q"), "INT32": (np.int32, "i"), "BOOL": (np.bool_, "?")}
DATATYPE_OF = {np.dtype(kind): name for name, (kind, _) in DATATYPES.items()} | {np.dtype(object): "BYTES"}


def main() -> None:
    brokers, group, requests, results, folder = sys.argv[1:]
    model = Model(Path(folder))
    # Nothing here makes a cycle, and the collector would look through every parsed request for one.
    gc.disable()
    Worker(model, brokers, group, requests, results).run()


class Worker:
    """From the request topic to acknowledged answers."""

    def __init__(self, model: "Model", brokers: str, group: str, requests: str, results: str):
        self.model, self.requests, self.results = model, requests, results
        self.consumer = Consumer(
            {
                "bootstrap.servers": brokers,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "partition.assignment.strategy": "cooperative-sticky",
                "fetch.queue.backoff.ms": 10,
                "enable.metrics.push": False,
            }
        )
        self.producer = Producer(
            {
                "bootstrap.servers": brokers,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": LINGER,
                "partitioner": "murmur2_random",
                # More than ever are in flight: produce_batch never meets a full queue.
                "queue.buffering.max.messages": 4 * IN_FLIGHT,
                # One counter in C; Python is called for failures alone.
                "delivery.report.only.error": True,
                "on_delivery": undelivered,
                "enable.metrics.push": False,
            }
        )
        # Partition to offset: the last one whose answer has been handed to the producer.
        self.answered: dict[int, int] = {}

    def run(self) -> None:
        self.consumer.subscribe([self.requests], on_revoke=self.revoked, on_lost=self.lost)
        consume, producer = self.consumer.consume, self.producer
        due = time.monotonic() + COMMIT_SECONDS
        while True:
            # A consume of many waits until it has them all or its time is up: wait for one, then take what is there.
            messages = consume(1, COMMIT_SECONDS)
            if messages:
                messages += consume(POLL - 1, 0)
                self.answer(messages)
                producer.poll(0)
                while len(producer) > IN_FLIGHT - POLL:
                    producer.poll(0.01)
            if time.monotonic() >= due:
                self.commit(self.answered)
                due = time.monotonic() + COMMIT_SECONDS

    def answer(self, messages: list) -> None:
        messages = [message for message in messages if not_failed(message)]
        for answers in self.model.answer(messages):
            # As dear as produce() for each, and shorter.
            if self.producer.produce_batch(self.results, answers) < len(answers):
                raise SystemExit("the client did not take an answer (too big for a record?); nothing is committed")
        self.answered.update({message.partition(): message.offset() for message in messages})

    def commit(self, answered: dict[int, int]) -> None:
        """Commits `answered`, after its answers have been acknowledged."""
        if not answered:
            return
        if self.producer.flush(60):
            raise SystemExit("answers were not acknowledged within a minute: the broker is gone; nothing is committed")
        offsets = [TopicPartition(self.requests, partition, offset + 1) for partition, offset in answered.items()]
        try:
            self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # The partitions have moved on meanwhile: their next owner answers once more.
            print(f"offsets were not committed: {error}", file=sys.stderr)
        answered.clear()

    # What was consumed but not yet answered is in nobody's map: its next owner answers it too.
    def revoked(self, _consumer, partitions: list[TopicPartition]) -> None:
        moved = (partition.partition for partition in partitions)
        self.commit({partition: self.answered.pop(partition) for partition in moved if partition in self.answered})

    def lost(self, _consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self.answered.pop(partition.partition, None)


def not_failed(message) -> bool:
    """Whether this is a record; errors travel among them, and the client retries what can be."""
    error = message.error()
    if error is None:
        return True
    if error.fatal() or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise SystemExit(f"cannot consume: {error}")
    return False


def undelivered(error, _message) -> None:
    if error is not None:
        raise SystemExit(f"an answer was not delivered: {error}; nothing is committed, start again")


class Model:
    """An ONNX Runtime session, and what of its answers is the same for all."""

    def __init__(self, folder: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        onnxruntime.disable_telemetry_events()
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.head = orjson.dumps({"model_name": folder.parent.name, "model_version": folder.name})[:-1].decode()
        dynamic = all(input.shape and not isinstance(input.shape[0], int) for input in self.session.get_inputs())
        # A model whose first axis is fixed takes one request at a time.
        self.max_rows = MAX_BATCH_ROWS if dynamic else 1

    def answer(self, messages: list):
        """The answers to `messages`, a list of {key, value} for each batch."""
        groups, refused = group(messages)
        for group_ in groups:
            each = max(1, self.max_rows // group_.rows)
            for start in range(0, len(group_.ids), each):
                yield self.predict(group_, start, start + each)
        if refused:
            yield refused

    def predict(self, group: "Group", start: int, end: int) -> list[dict]:
        """One run for requests `start` to `end` of a group; a request of the wrong lengths is refused alone."""
        ids = group.ids[start:end]
        try:
            feeds = group.columns(start, end)
            outputs = self.session.run(None, feeds)
        except Exception as error:
            if len(ids) == 1:
                return [refusal(ids[0], error)]
            middle = start + len(ids) // 2
            return self.predict(group, start, middle) + self.predict(group, middle, start + len(ids))
        template, texts = self.template(outputs, group.rows), [text_of(output, len(ids)) for output in outputs]
        quoted = [orjson.dumps(id).decode() for id in ids]
        return [{"key": id, "value": value} for id, value in zip(ids, map(template.__mod__, zip(quoted, *texts)))]

    def template(self, outputs: list[np.ndarray], rows: int) -> str:
        """The answer's text with a %s for the id and one for each output's data."""
        parts = []
        for name, output in zip(self.outputs, outputs):
            head = {"name": name, "shape": [rows, *output.shape[1:]], "datatype": DATATYPE_OF[output.dtype]}
            parts.append(orjson.dumps(head)[:-1].decode().replace("%", "%%") + ',"data":[%s]}')
        return self.head.replace("%", "%%") + ',"id":%s,"outputs":[' + ",".join(parts) + "]}"


def text_of(output: np.ndarray, requests: int) -> list[str]:
    """The data of each of the `requests` as JSON without brackets; orjson writes a float32 in its own shortest form."""
    each = output.reshape(requests, -1)
    if each.dtype == object:
        return [orjson.dumps(texts)[1:-1].decode() for texts in each.tolist()]
    # One call writes them all; between two requests stands what no number has in it.
    return orjson.dumps(np.ascontiguousarray(each), option=orjson.OPT_SERIALIZE_NUMPY)[2:-2].decode().split("],[")


class Group:
    """Requests that differ in ids and data alone."""

    def __init__(self, inputs: list[dict]):
        # Of each input what is left without its data: name, shape, datatype.
        self.inputs = inputs
        self.rows = inputs[0]["shape"][0]
        self.ids: list[str] = []
        # Request after request, of each the data of one input after the other.
        self.data: list[list] = []

    def columns(self, start: int, end: int) -> dict[str, np.ndarray]:
        """One array for each input: the rows of requests `start` to `end`, one after another."""
        many = len(self.inputs)
        return {
            input["name"]: concatenate(self.data[start * many + nth : end * many : many], input)
            for nth, input in enumerate(self.inputs)
        }


def concatenate(data: list[list], input: dict) -> np.ndarray:
    shape = [len(data) * input["shape"][0], *input["shape"][1:]]
    each = np.prod(input["shape"], dtype=int)
    if input["datatype"] == "BYTES":
        if any(len(texts) != each for texts in data):
            raise ValueError(f"{input['name']}: its shape {input['shape']} asks for {each} values")
        return np.array([text for texts in data for text in texts], dtype=object).reshape(shape)
    kind, code = DATATYPES[input["datatype"]]
    # struct turns a list into numbers two to four times as fast as numpy does, and refuses a wrong length.
    packer = struct.Struct(f"={each}{code}")
    column, pack, at = bytearray(packer.size * len(data)), packer.pack_into, 0
    for numbers in data:
        pack(column, at, *numbers)
        at += packer.size
    return np.frombuffer(column, kind).reshape(shape)


def group(messages: list) -> tuple[list[Group], list[dict]]:
    """The requests in groups of equal shapes, and the answers to what is no request."""
    groups, refused, current = {}, [], None
    loads = orjson.loads
    for message in messages:
        try:
            request = loads(message.value())
            id, inputs = request["id"], request["inputs"]
            data = [input.pop("data") for input in inputs]
            # Neighbours are mostly alike: compare first, look up what differs.
            if current is None or inputs != current.inputs:
                signature = repr([(input["name"], input["shape"], input["datatype"]) for input in inputs])
                current = groups.get(signature) or groups.setdefault(signature, Group(inputs))
        except Exception as error:
            refused.append(refusal((message.key() or b"").decode(errors="replace"), error))
            continue
        current.ids.append(id)
        current.data += data
    return list(groups.values()), refused


def refusal(id: str, error: Exception) -> dict:
    return {"key": id, "value": orjson.dumps({"id": id, "error": f"{type(error).__name__}: {error}"})}


if __name__ == "__main__":
    main()
