"""Sends requests and prints their answers, each as a line of id, status and body.

    pip install confluent-kafka
    python client.py localhost:9092 iris.requests iris.results '{"id": "flower-1", "instances": [[5.1, 3.5, 1.4, 0.2]]}'

Arguments: brokers, request topic, result topic, and the bodies of the requests, each with an id of its own. Ends with 1 if an
answer is missing after half a minute.
"""

import json
import sys
import time

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

PATIENCE = 30.0


def reader(brokers: str, results: str) -> Consumer:
    """Reads the result topic from where it ends now, all partitions of it, beside whoever else reads it."""
    # A client of librdkafka must name a group, also where none is joined and nothing is committed. What a worker with
    # delivery: exactly_once has aborted is no answer.
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": "client",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
    })
    partitions = consumer.list_topics(results, timeout=10).topics[results].partitions
    if not partitions:
        sys.exit(f"there is no topic {results}")
    # The ends are asked for before anything is sent: an answer that comes at once is not missed.
    ends = [consumer.get_watermark_offsets(TopicPartition(results, partition))[1] for partition in partitions]
    consumer.assign([TopicPartition(results, partition, end) for partition, end in zip(partitions, ends)])
    return consumer


def send(brokers: str, requests: str, bodies: list[str]) -> None:
    def delivered(error, _record):
        if error is not None:
            raise KafkaException(error)

    producer = Producer({"bootstrap.servers": brokers})
    for body in bodies:
        producer.produce(requests, value=body, headers={"content-type": "application/json"}, on_delivery=delivered)
    producer.flush()


def main() -> int:
    brokers, requests, results, *bodies = sys.argv[1:]
    consumer = reader(brokers, results)
    send(brokers, requests, bodies)
    waiting = {json.loads(body)["id"] for body in bodies}
    deadline = time.monotonic() + PATIENCE
    while waiting and time.monotonic() < deadline:
        record = consumer.poll(0.2)
        if record is None or record.error():
            continue
        # The key of an answer is the id of its request; others may send requests, too.
        name = record.key().decode()
        if name not in waiting:
            continue
        waiting.remove(name)
        status = dict(record.headers() or [])["status"].decode()
        print(name, status, record.value().decode(), sep="\t")
    consumer.close()
    for name in sorted(waiting):
        print(f"no answer to {name} within {PATIENCE:.0f} seconds", file=sys.stderr)
    return 1 if waiting else 0


if __name__ == "__main__":
    sys.exit(main())
