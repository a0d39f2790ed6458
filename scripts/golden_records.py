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


def is_one_row(case, datatypes):
    """Whether a record can be a case: one row of fields that may be called so, of these datatypes, and no words among numbers."""
    def fits(tensor):
        is_text = tensor["datatype"] == "BYTES"
        return (tensor["datatype"] in datatypes and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", tensor["name"])
                and (is_text or not any(isinstance(number, str) for number in tensor["data"])))
    inputs = case["inputs"]
    return bool(inputs) and all(map(fits, inputs)) and all(
        tensor["shape"][:1] == [1] for tensor in [*inputs, *case["outputs"]])


def records():
    """Of each model under tests/data up to two cases that are one row, as a row form of the same features would be:
    (model, its folder, the number of the case, [(name, datatype, width, elements)], outputs)."""
    for model, place, cases in goldens():
        taken = 0
        for case in cases:
            inputs, outputs = case["inputs"], case["outputs"]
            if taken == 2 or not is_one_row(case, DATATYPES) or any(len(tensor["shape"]) != 2 for tensor in inputs):
                continue
            taken += 1
            fields = []
            for tensor in inputs:
                data = tensor["data"]
                while data and isinstance(data[0], list):
                    data = [element for row in data for element in row]
                fields.append((tensor["name"], tensor["datatype"], tensor["shape"][1], data))
            yield model, place, taken, fields, outputs
