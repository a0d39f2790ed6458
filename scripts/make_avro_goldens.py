"""Makes requests with Confluent's own Avro serializer, and reads answers of ours with its deserializer.

    pip install 'confluent-kafka[avro]==2.15.1' numpy
    python scripts/make_avro_goldens.py

Writes tests/data/avro/values.jsonl: random schemas and values as the serializer writes them (in hexadecimal, behind the id that
a registry in memory gave), with the columns that they must become, worked out here from schema and value;
src/codec/avro/tests.rs reads them. And tests/data/avro/requests.jsonl: for cases of the models under tests/data/fixtures and
tests/data/trained, a record whose fields are the inputs; tests/journey/avro.rs sends them through a worker and holds the
answers against the goldens of Python's onnxruntime.

Reads tests/data/avro/answer.json, which src/codec/avro/tests.rs writes (MODELMILL_UPDATE_GOLDENS=1), as the deserializer reads an
answer, and fails if anything in it is not what was put there.
"""

import datetime
import decimal
import json
import random
import struct

from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from golden_records import LARGEST_IN_DOUBLE, column, is_one_row, registry
from goldens import ROOT, array, goldens, write_lines

CASES = 400
# Models of several rows a case, each of which may stand alone.
ROW_BY_ROW = {"image", "many_inputs_and_outputs", "one_text"}
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
DATATYPES = {"int": "INT32", "long": "INT64", "float": "FP32", "double": "FP64", "boolean": "BOOL", "string": "BYTES",
             "bytes": "BYTES", "enum": "BYTES", "fixed": "BYTES", "decimal": "FP64", "date": "INT64", "time": "INT64",
             "millis": "INT64", "micros": "INT64"}
NUMBERS = {"int", "long", "float", "double", "decimal", "date", "time", "millis", "micros"}


class Maker:
    """Random types, each with a maker of values: (schema, kind, value as the serializer takes it, value as we do)."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.names = 0

    def name(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    def scalar(self):
        kind = self.random.choice(list(DATATYPES))
        schema = {
            "enum": lambda: {"type": "enum", "name": self.name("E"), "symbols": ["RED", "GREEN", "BLUE"]},
            "fixed": lambda: {"type": "fixed", "name": self.name("F"), "size": 5},
            "decimal": lambda: {"type": "bytes", "logicalType": "decimal", "precision": 25, "scale": 4},
            "date": lambda: {"type": "int", "logicalType": "date"},
            "time": lambda: {"type": "int", "logicalType": "time-millis"},
            "millis": lambda: {"type": "long", "logicalType": "timestamp-millis"},
            "micros": lambda: {"type": "long", "logicalType": "timestamp-micros"},
        }.get(kind, lambda: kind)()
        return schema, kind

    def value(self, kind):
        r = self.random
        if kind == "int":
            number = r.choice([0, -1, 2**31 - 1, -(2**31), r.randrange(-1000, 1000)])
            return number, number
        if kind == "long":
            number = r.choice([0, -1, 2**63 - 1, -(2**63), 2**53, 2**53 + 1, r.randrange(-(10**12), 10**12)])
            return number, number
        if kind == "float":
            number = r.choice([0.0, -0.5, 1.5, 3.25e10, 0.1, float("nan"), float("inf")])
            return number, struct.unpack("<f", struct.pack("<f", number))[0]
        if kind == "double":
            number = r.choice([0.0, -0.1, 1e300, r.random(), float("-inf")])
            return number, number
        if kind == "boolean":
            return (flag := r.random() < 0.5), flag
        if kind == "string":
            return (text := "".join(r.choice("aß☃😀 ") for _ in range(r.randrange(70)))), text.encode().hex()
        if kind in ("bytes", "fixed"):
            return (data := r.randbytes(5 if kind == "fixed" else r.randrange(9))), data.hex()
        if kind == "enum":
            return (symbol := r.choice(["RED", "GREEN", "BLUE"])), symbol.encode().hex()
        if kind == "decimal":
            whole = r.choice([0, -1, 1234567, -(2**53) - 1, 10**24 + 7, r.randrange(-(10**20), 10**20)])
            return decimal.Decimal(whole).scaleb(-4), whole / 10**4
        if kind == "date":
            days = r.randrange(-1000, 30000)
            return (EPOCH + datetime.timedelta(days=days)).date(), days
        if kind == "time":
            millis = r.randrange(86_400_000)
            return (EPOCH + datetime.timedelta(milliseconds=millis)).time(), millis
        unit = {"millis": 1000, "micros": 1_000_000}[kind]
        count = r.randrange(-(10**9), 2 * 10**9) * unit + r.randrange(unit)
        return EPOCH + datetime.timedelta(microseconds=count * 1_000_000 // unit), count

    def field(self, name, depth, nullable):
        """Schema, value, the columns that it makes, and those that it makes if what it is in is null."""
        r = self.random
        shape = r.choice(["scalar"] * 6 + ["list", "list", "record", "record", "map", "either", "records"])
        if shape == "record" and depth < 3:
            optional = r.random() < 0.4
            fields = [self.field(f"{name}.f{index}", depth + 1, nullable or optional) for index in range(r.randrange(1, 4))]
            schema = {"type": "record", "name": self.name("R"),
                      "fields": [{"name": f"f{index}", "type": field[0]} for index, field in enumerate(fields)]}
            value = {f"f{index}": field[1] for index, field in enumerate(fields)}
            columns = [column for field in fields for column in field[2]]
            if optional:
                schema = r.choice([["null", schema], [schema, "null"]])
            if optional and r.random() < 0.4:
                value, columns = None, [column for field in fields for column in field[3]]
            return schema, value, columns, [column for field in fields for column in field[3]]
        elif shape == "list":
            item, kind = self.scalar()
            missing = kind in NUMBERS and r.random() < 0.3
            made = [self.value(kind) for _ in range(r.randrange(6))]
            if missing:
                item = r.choice([["null", item], [item, "null"]])
                # Beside missing ones no number may be beyond 2^53.
                made = [pair for pair in made if kind != "long" or abs(pair[1]) <= LARGEST_IN_DOUBLE]
                made = [(None, None) if r.random() < 0.3 else pair for pair in made]
            datatype = DATATYPES[kind]
            if missing and datatype.startswith("INT"):
                datatype = "FP64"
            schema, value = {"type": "array", "items": item}, [pair[0] for pair in made]
            columns = [column(name, datatype, [1, len(made)], [pair[1] for pair in made])]
        elif shape == "map":
            schema, value, columns = {"type": "map", "values": "long"}, {"a": 1, "b": -5}, []
        elif shape == "either":
            schema, value, columns = ["null", "string", "long"], r.choice([None, "x", 7]), []
        elif shape == "records":
            schema = {"type": "array", "items": {"type": "record", "name": self.name("R"), "fields": [
                {"name": "a", "type": "string"}, {"name": "b", "type": ["null", "double"]}]}}
            value, columns = [{"a": "x", "b": 1.5}, {"a": "", "b": None}], []
        else:
            schema, kind = self.scalar()
            value, ours = self.value(kind)
            datatype = DATATYPES[kind]
            optional = not isinstance(schema, list) and r.random() < 0.3
            if (nullable or optional) and datatype.startswith("INT"):
                datatype = "INT64" if abs(ours) > LARGEST_IN_DOUBLE else "FP64"
            there = [column(name, datatype, [1, 1], [ours])]
            missing = column(name, "FP32" if kind == "float" else "FP64", [1, 1], [None])
            missing = [missing] if kind in NUMBERS else []
            if not optional:
                return schema, value, there, missing
            schema = r.choice([["null", schema], [schema, "null"]])
            return (schema, value, there, missing) if r.random() < 0.5 else (schema, None, missing, missing)
        return schema, value, columns, []


def serialize(client, subject, schema, value):
    serializer = AvroSerializer(client, json.dumps(schema), conf={"auto.register.schemas": True})
    return serializer(value, SerializationContext(subject, MessageField.VALUE))


def write_values(client):
    lines = []
    for case in range(CASES):
        maker = Maker(case)
        fields = [maker.field(f"f{index}", 0, False) for index in range(maker.random.randrange(1, 7))]
        schema = {"type": "record", "name": "Case", "namespace": "modelmill.test",
                  "fields": [{"name": f"f{index}", "type": field[0]} for index, field in enumerate(fields)]}
        value = {f"f{index}": field[1] for index, field in enumerate(fields)}
        body = serialize(client, f"case-{case}", schema, value)
        columns = [column for field in fields for column in field[2]]
        lines.append(json.dumps({"schema": schema, "body": body.hex(), "columns": columns}, ensure_ascii=False))
    (ROOT / "avro" / "values.jsonl").write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} values")


def rows_of(model, cases):
    """Cases of one row; those of models whose rows do not touch each other are taken apart."""
    for case in cases:
        tensors = case["inputs"] + case["outputs"]
        rows = tensors[0]["shape"][0] if tensors[0]["shape"] else 0
        if model not in ROW_BY_ROW or rows < 2 or any(tensor["shape"][0] != rows for tensor in tensors):
            yield case
            continue
        for row in range(rows):
            one = {key: [tensor | {"shape": [1, *tensor["shape"][1:]], "data": parts(tensor, rows)[row]}
                         for tensor in case[key]] for key in ("inputs", "outputs")}
            yield one


def parts(tensor, rows):
    width = len(tensor["data"]) // rows
    return [tensor["data"][row * width:(row + 1) * width] for row in range(rows)]


def write_requests(client):
    avro = {"FP32": "float", "FP64": "double", "INT32": "int", "INT64": "long", "BOOL": "boolean", "BYTES": "string"}
    lines = []
    for model, place, cases in goldens():
        taken = 0
        for case in rows_of(model, cases):
            inputs, outputs = case["inputs"], case["outputs"]
            if taken == 2 or not is_one_row(case, avro):
                continue
            taken += 1
            fields, value, steps = [], {}, []
            for tensor in inputs:
                kind, name, axes = avro[tensor["datatype"]], tensor["name"], tensor["shape"][1:]
                data = array(tensor).reshape(-1).tolist()
                data = [text.decode() for text in data] if kind == "string" else data
                fields.append({"name": name, "type": kind if len(data) == 1 else {"type": "array", "items": kind}})
                value[name] = data[0] if len(data) == 1 else data
                if len(axes) != 1:
                    steps.append({"reshape": {"column": name, "shape": axes}})
            schema = {"type": "record", "name": "Request", "fields": fields}
            body = serialize(client, f"{model}-{taken}", schema, value)
            line = {"model": model, "place": place, "schema": schema, "body": body.hex(), "outputs": outputs}
            lines.append(line | ({"steps": steps} if steps else {}))
    write_lines("avro/requests.jsonl", lines)


def read_answer(client):
    path = ROOT / "avro" / "answer.json"
    if not path.exists():
        print("no answer.json yet: run the tests of src/codec/avro with MODELMILL_UPDATE_GOLDENS=1")
        return
    answer = json.loads(path.read_text())
    client.register_schema("answer", Schema(answer["schema"], "AVRO"))
    registered = client.lookup_schema("answer", Schema(answer["schema"], "AVRO")).schema_id
    body = bytearray.fromhex(answer["body"])
    body[1:5] = registered.to_bytes(4, "big")
    value = AvroDeserializer(client)(bytes(body), SerializationContext("answer", MessageField.VALUE))
    value = {name: int(one) if isinstance(one, decimal.Decimal) else one for name, one in value.items()}
    assert value == answer["value"], (value, answer["value"])
    print("the answer is read as it was written")


def main():
    client = registry()
    write_values(client)
    write_requests(client)
    read_answer(client)


if __name__ == "__main__":
    main()
