"""Runs the Python examples of docs/formats.md with the libraries that they are written for.

    pip install 'tritonclient[http,grpc]==2.73.0' && python scripts/make_document_goldens.py 'Binary tensors' Protobuf
    pip install cloudevents==2.2.0 && python scripts/make_document_goldens.py CloudEvents
    pip install mlserver==1.7.1 && python scripts/make_document_goldens.py 'Open Inference Protocol v2' Tables 'Compressed bodies'

Arguments: sections of the page. Writes into tests/data/documented/requests.jsonl what the example of each hands to its producer, beside
the example itself. tests/journey/documented.rs sends that, and fails if the page says something else by now; with
MODELMILL_UPDATE_GOLDENS=1 it writes the answers to tests/data/documented/answers.jsonl, which the example is given as its record when this
runs again: what it then prints must be right.
"""

import contextlib
import gzip
import io
import json
import sys

from goldens import ROOT, read_lines, write_lines

PAGE = (ROOT.parent.parent / "docs" / "formats.md").read_text()
FILES = {"requests": "documented/requests.jsonl", "answers": "documented/answers.jsonl"}
# What an example prints of its answer, somewhere; others print nothing, and are asked for what they have read.
PRINTED = {"Binary tensors": "[0 2]", "Protobuf": "flower-1 [[", "CloudEvents": "e-1 flower.seen.response"}


class Unanswered(Exception):
    pass


class Producer:
    """Keeps what it is to send."""

    def __init__(self):
        self.sent = []

    def produce(self, topic, value=None, key=None, headers=None):
        self.sent.append((topic, value, key, headers or {}))


class Record:
    """The answer, if it is known."""

    def __init__(self, answer):
        self.answer = answer

    def known(self):
        if self.answer is None:
            raise Unanswered
        return self.answer

    def key(self):
        return self.known()["id"].encode()

    def value(self):
        return bytes.fromhex(self.known()["body"])

    def headers(self):
        return [(name, value.encode()) for name, value in self.known()["headers"].items()]


def example(section):
    """The first Python block of a section."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return text.split("\n```python\n")[1].split("\n```")[0]


def given(section):
    """What the example takes as given."""
    flowers = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
    if section == "Open Inference Protocol v2":
        import pandas
        texts = {"Port": ["Atlantis", "Queenstown"], "Cabin_class": ["first", "third"]}
        columns = {"Age": [14.0, 30.0], "Fare__GBP_": [68.07, 7.25]}
        columns |= {name: pandas.Series(column, dtype=object) for name, column in texts.items()}
        return {"json": json, "passengers": pandas.DataFrame(columns)}
    if section == "Tables":
        import pandas
        return {"pandas": pandas, "x": flowers}
    if section == "Compressed bodies":
        return {"gzip": gzip, "json": json, "request": {"id": "small", "instances": flowers}}
    return {}


def octets(value):
    return value if isinstance(value, bytes) else (value or "").encode()


def run(section, answer):
    """The line of a section's request; and, if the answer is known, whether the example reads it."""
    code, producer, output = example(section), Producer(), io.StringIO()
    names = given(section) | {"producer": producer, "record": Record(answer)}
    with contextlib.redirect_stdout(output), contextlib.suppress(Unanswered):
        exec(compile(code, section, "exec"), names)  # noqa: S102
    [(topic, value, key, headers)] = producer.sent
    if answer is not None:
        assert PRINTED.get(section, "") in output.getvalue(), (section, output.getvalue())
        if "probabilities" in names:
            assert names["probabilities"].shape == (2, 2) and names["response"].id == "p-1", names["probabilities"]
    print(section, "is", "sent" if answer is None else "sent and its answer read")
    headers = {name: octets(value).decode() for name, value in headers.items()}
    return {"section": section, "code": code, "topic": topic, "key": key, "headers": headers, "body": octets(value).hex()}


def known(file):
    return read_lines(FILES[file]) if (ROOT / FILES[file]).exists() else []


def main():
    answers = {line["section"]: line for line in known("answers")}
    requests = {line["section"]: line for line in known("requests")}
    requests |= {section: run(section, answers.get(section)) for section in sys.argv[1:]}
    write_lines(FILES["requests"], [requests[section] for section in sorted(requests)])


if __name__ == "__main__":
    main()
