"""Makes requests with Confluent's own protobuf serializer, of types that protoc compiles.

    pip install 'confluent-kafka[protobuf,schemaregistry]==2.15.1' grpcio-tools numpy
    python scripts/make_protobuf_goldens.py

Writes tests/data/protobuf/values.jsonl: random schemas and messages as the serializer writes them (in hexadecimal, behind the id that
a registry in memory gave), with the schema's text, what the serializer registered in its place, what it refers to, and the columns
that the message must become, worked out here from schema and values; src/codec/protobuf/schema/tests.rs reads them. And
tests/data/protobuf/requests.jsonl: for cases of the models under tests/data/fixtures and tests/data/trained, a message whose fields are
the inputs; tests/journey/protobuf_schema.rs sends them through a worker and holds the answers against the goldens of Python's
onnxruntime.
"""

import json
import pathlib
import random
import struct
import tempfile

import grpc_tools
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

from golden_records import LARGEST_IN_DOUBLE, column, records, registry
from goldens import ROOT

CASES = 250
WELL_KNOWN = pathlib.Path(grpc_tools.__file__).parent / "_proto"
DATATYPES = {"int32": "INT32", "sint32": "INT32", "sfixed32": "INT32", "int64": "INT64", "sint64": "INT64", "sfixed64": "INT64",
             "uint32": "UINT32", "fixed32": "UINT32", "uint64": "UINT64", "fixed64": "UINT64", "float": "FP32", "double": "FP64",
             "bool": "BOOL", "string": "BYTES", "bytes": "BYTES", "Colour": "BYTES"}
WRAPPERS = {"DoubleValue": "double", "FloatValue": "float", "Int64Value": "int64", "UInt64Value": "uint64", "Int32Value": "int32",
            "UInt32Value": "uint32", "BoolValue": "bool", "StringValue": "string", "BytesValue": "bytes"}
COLOURS = {"COLOUR_NONE": 0, "COLOUR_RED": 1, "COLOUR_BLUE": 9, "COLOUR_ODD": -3}
IMPORTS = {"protobuf.Timestamp": "google/protobuf/timestamp.proto", "protobuf.Duration": "google/protobuf/duration.proto",
           "Value ": "google/protobuf/wrappers.proto", "protobuf.Struct": "google/protobuf/struct.proto", "shared.": "shared/place.proto"}
SHARED = {
    "shared/unit.proto": 'syntax = "proto3";\npackage shared;\nenum Unit { METRE = 0; MILE = 1; }\n',
    "shared/place.proto": 'syntax = "proto3";\npackage shared;\nimport "shared/unit.proto";\n'
                          "message Place { string city = 1; optional double far = 2; Unit unit = 3; }\n",
}


class Maker:
    """Random message types, each with what sets a message of it and the columns that this makes."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.types = 0

    def value(self, kind):
        """A value as protobuf takes it, and as we write it."""
        r = self.random
        if kind == "Colour":
            name = r.choice(list(COLOURS))
            return COLOURS[name], name.encode().hex()
        if kind == "float":
            number = struct.unpack("<f", struct.pack("<f", r.choice([0.0, -0.5, 1.5, 3.25e10, 0.1, float("nan"), float("inf")])))[0]
            return number, number
        if kind == "double":
            number = r.choice([0.0, -0.1, 1e300, r.random(), float("-inf")])
            return number, number
        if kind == "bool":
            return (flag := r.random() < 0.5), flag
        if kind == "string":
            return (text := "".join(r.choice("aß☃😀 ") for _ in range(r.randrange(70)))), text.encode().hex()
        if kind == "bytes":
            return (data := r.randbytes(r.randrange(9))), data.hex()
        bits = 64 if kind.endswith("64") else 32
        least, most = (0, 2**bits - 1) if kind in ("uint32", "uint64", "fixed32", "fixed64") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        number = r.choice([0, least, most, r.randrange(1000), min(most, 2**53), min(most, 2**53 + 1)])
        return number, number

    def column(self, name, kind, ours, nullable):
        datatype = DATATYPES[kind]
        if "INT" in datatype and nullable and abs(ours) <= LARGEST_IN_DOUBLE:
            datatype = "FP64"
        return [column(name, datatype, [1, 1], [ours])]

    def missing(self, name, kind):
        datatype = DATATYPES[kind]
        if datatype in ("BOOL", "BYTES"):
            return []
        return [column(name, "FP32" if datatype == "FP32" else "FP64", [1, 1], [None])]

    def zero(self, kind):
        return {"BOOL": False, "BYTES": b"COLOUR_NONE".hex() if kind == "Colour" else ""}.get(DATATYPES[kind], 0)

    def field(self, name, column_name, number, depth, nullable):
        """Text, what sets it in a message, the columns that this makes, and those where the message is not there."""
        r = self.random
        shape = r.choice(["plain"] * 4 + ["optional", "optional", "list", "list", "message", "message", "time", "wrapper", "either",
                                          "map", "messages", "struct", "shared"])
        kind = r.choice(list(DATATYPES))
        there = r.random() < 0.7
        if shape == "message" and depth < 3:
            self.types += 1
            type_name = f"Type{self.types}"
            text, fill, columns, absent = self.message(type_name, f"{column_name}.", depth + 1, True)
            def apply(message):
                if there:
                    getattr(message, name).SetInParent()
                    fill(getattr(message, name))
            return f"{text} {type_name} {name} = {number};", apply, columns if there else absent, absent
        if shape == "shared":
            def apply(message):
                if there:
                    getattr(message, name).city = "Oslo"
                    getattr(message, name).unit = 1
            absent = [column(f"{column_name}.far", "FP64", [1, 1], [None])]
            columns = absent + [column(f"{column_name}.city", "BYTES", [1, 1], [b"Oslo".hex()]),
                                column(f"{column_name}.unit", "BYTES", [1, 1], [b"MILE".hex()])]
            return f"shared.Place {name} = {number};", apply, columns if there else absent, absent
        if shape == "list":
            made = [self.value(kind) for _ in range(r.randrange(6))]
            def apply(message):
                getattr(message, name).extend(pair[0] for pair in made)
            option = " [packed = false]" if DATATYPES[kind] != "BYTES" and r.random() < 0.3 else ""
            columns = [column(column_name, DATATYPES[kind], [1, len(made)], [pair[1] for pair in made])]
            return f"repeated {kind} {name} = {number}{option};", apply, columns, []
        if shape == "time":
            kind = r.choice(["Timestamp", "Duration"])
            seconds, nanos = r.randrange(-(10**9), 2 * 10**9), r.randrange(10**9)
            if kind == "Duration" and seconds < 0:
                nanos = -nanos
            def apply(message):
                if there:
                    getattr(message, name).seconds, getattr(message, name).nanos = seconds, nanos
            micros = seconds * 10**6 + (abs(nanos) // 1000 if nanos >= 0 else -(abs(nanos) // 1000))
            absent = self.missing(column_name, "int64")
            columns = self.column(column_name, "int64", micros, True) if there else absent
            return f"google.protobuf.{kind} {name} = {number};", apply, columns, absent
        if shape == "wrapper":
            wrapper = r.choice(list(WRAPPERS))
            kind = WRAPPERS[wrapper]
            value, ours = self.value(kind)
            def apply(message):
                if there:
                    getattr(message, name).value = value
                    getattr(message, name).SetInParent()
            absent = self.missing(column_name, kind)
            return (f"google.protobuf.{wrapper} {name} = {number};", apply,
                    self.column(column_name, kind, ours, True) if there else absent, absent)
        if shape == "either":
            other = r.choice(list(DATATYPES))
            value, ours = self.value(kind)
            value2, _ = self.value(other)
            def apply(message):
                setattr(message, f"{name}_b", value2)
                if there:
                    setattr(message, f"{name}_a", value)
                else:
                    message.ClearField(f"{name}_b")
            text = f"oneof {name} {{ {kind} {name}_a = {number}; {other} {name}_b = {number + 50}; }}"
            absent = self.missing(f"{column_name}_a", kind) + self.missing(f"{column_name}_b", other)
            columns = self.column(f"{column_name}_a", kind, ours, True) + self.missing(f"{column_name}_b", other)
            return text, apply, columns if there else absent, absent
        if shape == "map":
            def apply(message):
                getattr(message, name)["a"] = 1.5
            return f"map<string, double> {name} = {number};", apply, [], []
        if shape == "messages":
            def apply(message):
                getattr(message, name).add().city = "Rome"
                getattr(message, name).add()
            return f"repeated shared.Place {name} = {number};", apply, [], []
        if shape == "struct":
            def apply(message):
                getattr(message, name).update({"a": 1, "b": [None, "x"]})
            return f"google.protobuf.Struct {name} = {number};", apply, [], []
        optional = shape == "optional"
        value, ours = self.value(kind)
        absent = self.missing(column_name, kind)
        def apply(message):
            if there:
                setattr(message, name, value)
        if there:
            columns = self.column(column_name, kind, ours, nullable or optional)
        else:
            columns = absent if optional else self.column(column_name, kind, self.zero(kind), nullable)
        return f"{'optional ' if optional else ''}{kind} {name} = {number};", apply, columns, absent

    def message(self, name, prefix, depth, nullable):
        numbers = self.random.sample(range(1, 40), self.random.randrange(1, 6))
        if self.random.random() < 0.1:
            numbers.append(2**29 - 1 - 50)
        fields = [self.field(f"f{number}", f"{prefix}f{number}", number, depth, nullable) for number in numbers]
        def fill(message):
            for field in fields:
                field[1](message)
        text = f"message {name} {{ {' '.join(field[0] for field in fields)} }}"
        return text, fill, [one for field in fields for one in field[2]], [one for field in fields for one in field[3]]


def message_of(type_name, files):
    """A message of this type, as protoc compiles the files."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        arguments = ["protoc", f"-I{folder}", f"-I{WELL_KNOWN}", "--include_imports", f"--descriptor_set_out={folder}/set"]
        assert protoc.main([*arguments, *(str(folder / name) for name in files)]) == 0, files
        compiled = descriptor_pb2.FileDescriptorSet.FromString((folder / "set").read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in compiled.file:
        pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(type_name))()


def serialize(client, subject, message):
    """The body, what was registered for it, and what that refers to."""
    body = ProtobufSerializer(type(message), client)(message, SerializationContext(subject, MessageField.VALUE))
    registered = client.get_schema(int.from_bytes(body[1:5], "big"))
    references, left = [], list(registered.references or [])
    while left:
        reference = left.pop(0)
        schema = client.get_version(reference.subject, reference.version).schema
        references.append({"name": reference.name, "text": SHARED[reference.name], "registered": schema.schema_str})
        left.extend(schema.references or [])
    return body, registered.schema_str, references


def write_values(client):
    lines = []
    for case in range(CASES):
        maker = Maker(case)
        text, fill, columns, _ = maker.message("Case", "", 0, False)
        name = f"case{case}.Case"
        # Not always is it the first type, or one that is in no other.
        if maker.random.random() < 0.3:
            text = f"message First {{ double x = 1; }}\n{text}"
        elif maker.random.random() < 0.3:
            text = f"message Outer {{ map<string, bool> before = 1; message First {{}} {text} }}"
            name = f"case{case}.Outer.Case"
        imports = "".join(f'import "{file}";\n' for word, file in IMPORTS.items() if word in text)
        colours = " ".join(f"{colour} = {number};" for colour, number in COLOURS.items())
        text = f'syntax = "proto3";\npackage case{case};\n{imports}enum Colour {{ {colours} }}\n{text}\n'
        message = message_of(name, {f"case{case}.proto": text, **SHARED})
        fill(message)
        body, registered, references = serialize(client, f"case-{case}", message)
        golden = {"text": text, "registered": registered, "references": references, "body": body.hex(), "columns": columns}
        lines.append(json.dumps(golden, ensure_ascii=False))
    (ROOT / "protobuf" / "values.jsonl").write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} values")


def write_requests(client):
    kinds = {"FP32": "float", "FP64": "double", "INT32": "int32", "INT64": "int64", "BOOL": "bool", "BYTES": "string"}
    lines = []
    for model, place, case, inputs, outputs in records():
        fields = [f"{'' if width == 1 else 'repeated '}{kinds[datatype]} {name} = {number};"
                  for number, (name, datatype, width, _) in enumerate(inputs, 1)]
        file = f"request_{model}_{case}".replace("-", "_")
        text = f'syntax = "proto3";\npackage {file};\nmessage Request {{\n  {chr(10).join(fields)}\n}}\n'
        message = message_of(f"{file}.Request", {f"{file}.proto": text})
        for name, _, width, data in inputs:
            setattr(message, name, data[0]) if width == 1 else getattr(message, name).extend(data)
        body, registered, _ = serialize(client, f"{model}-{case}", message)
        lines.append(json.dumps({"model": model, "place": place, "text": text, "registered": registered, "body": body.hex(),
                                 "outputs": outputs}))
    (ROOT / "protobuf" / "requests.jsonl").write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} requests")


def main():
    client = registry()
    write_values(client)
    write_requests(client)


if __name__ == "__main__":
    main()
