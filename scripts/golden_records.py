"""What the makers of goldens share whose requests are records with a schema: columns, and the records that models' inputs make."""

import re

from confluent_kafka.schema_registry import SchemaRegistryClient

from goldens import goldens

LARGEST_IN_DOUBLE = 2**53
DATATYPES = {"FP32", "FP64", "INT32", "INT64", "BOOL", "BYTES"}


def registry():
    """A registry in memory."""
    return SchemaRegistryClient.new_client({"url": "mock://"})


def column(name, datatype, shape, data):
    """Floating-point numbers are texts: what reads them from JSON may round."""
    def text(element):
        return "NaN" if element is None else repr(float(element))
    data = [text(element) for element in data] if datatype.startswith("FP") else data
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def records():
    """Of each model under tests/data up to two cases that are one row, as a row form of the same features would be:
    (model, its folder, the number of the case, [(name, datatype, width, elements)], outputs)."""
    for model, place, cases in goldens():
        taken = 0
        for case in cases:
            inputs, outputs = case["inputs"], case["outputs"]
            fits = all(len(tensor["shape"]) == 2 and tensor["shape"][0] == 1 and tensor["datatype"] in DATATYPES
                       and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", tensor["name"])
                       and not any(isinstance(number, str) and tensor["datatype"] != "BYTES" for number in tensor["data"])
                       for tensor in inputs) and all(tensor["shape"][:1] == [1] for tensor in outputs)
            if not inputs or not fits or taken == 2:
                continue
            taken += 1
            fields = []
            for tensor in inputs:
                data = tensor["data"]
                while data and isinstance(data[0], list):
                    data = [element for row in data for element in row]
                fields.append((tensor["name"], tensor["datatype"], tensor["shape"][1], data))
            yield model, place, taken, fields, outputs
