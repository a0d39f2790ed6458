"""Makes the small models under tests/data/fixtures and what Python's onnxruntime answers to them.

    pip install onnxruntime==1.31.1 onnx==1.23.2 scikit-learn==1.9.1 skl2onnx==1.20.0 pandas
    python scripts/make_fixtures.py

Each model is `<name>/1/model.onnx`, laid out as a model repository. `<name>/golden.json` beside the version holds cases
of inputs and outputs in the terms of the Open Inference Protocol; a sequence of maps is written down as the dense
matrix that it stands for, with its classes. Models without a golden file are those that must be refused.
"""

import json
import os
import pathlib
import shutil
import sys

import numpy as np
import onnx
import onnxruntime as rt
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "fixtures"
OPSET = [h.make_opsetid("", 20), h.make_opsetid("ai.onnx.ml", 3)]

# The protocol's name, the ONNX element type and the numpy type of everything that can travel.
DATATYPES = {
    "BOOL": (T.BOOL, np.bool_),
    "UINT8": (T.UINT8, np.uint8),
    "UINT16": (T.UINT16, np.uint16),
    "UINT32": (T.UINT32, np.uint32),
    "UINT64": (T.UINT64, np.uint64),
    "INT8": (T.INT8, np.int8),
    "INT16": (T.INT16, np.int16),
    "INT32": (T.INT32, np.int32),
    "INT64": (T.INT64, np.int64),
    "FP16": (T.FLOAT16, np.float16),
    "FP32": (T.FLOAT, np.float32),
    "FP64": (T.DOUBLE, np.float64),
    "BYTES": (T.STRING, np.object_),
}


def tensor(name, datatype, shape):
    return h.make_tensor_value_info(name, DATATYPES[datatype][0], shape)


def constant(name, values, dtype):
    return numpy_helper.from_array(np.asarray(values, dtype=dtype), name)


def model(nodes, inputs, outputs, initializers=(), opset=OPSET, ir_version=9):
    graph = h.make_graph(nodes, "fixture", inputs, outputs, list(initializers))
    return h.make_model(graph, opset_imports=opset, ir_version=ir_version, producer_name="make_fixtures")


def datatype_of(array):
    for name, (_, dtype) in DATATYPES.items():
        if array.dtype == dtype or (name == "BYTES" and array.dtype.kind in "OUS"):
            return name
    raise TypeError(array.dtype)


def plain(value):
    """A value as JSON can hold it: what no JSON number can be is a string."""
    if isinstance(value, (float, np.floating)) and not np.isfinite(value):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(float(value))]
    return value.item() if isinstance(value, np.generic) else value


def describe(name, value):
    classes = None
    if isinstance(value, list):  # a sequence of maps
        classes = LABELS[name]
        value = np.array([[row[label] for label in classes] for row in value], dtype=np.float32)
    value = np.asarray(value)
    described = {
        "name": name,
        "datatype": datatype_of(value),
        "shape": list(value.shape),
        "data": [plain(item) for item in value.reshape(-1)],
    }
    return described | ({"classes": classes} if classes else {})


# The classes of the ZipMaps, by the name of the output; in the order in which the model declares them.
LABELS = {"by_number": [0, 1, 2], "by_name": ["virginica", "setosa", "versicolor"], "by_code": [7, -1, 3]}


def save(name, proto, *cases, **options):
    folder = ROOT / name / "1"
    folder.mkdir(parents=True)
    path = folder / "model.onnx"
    onnx.save(proto, path, **options)
    if not cases:
        return
    session = rt.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    golden = []
    for inputs in cases:
        outputs = session.run(None, inputs)
        golden.append(
            {
                "inputs": [describe(key, value) for key, value in inputs.items()],
                "outputs": [describe(key, value) for key, value in zip(names, outputs)],
            }
        )
    text = ",\n".join("    " + json.dumps(case) for case in golden)
    (folder.parent / "golden.json").write_text('{\n  "cases": [\n' + text + "\n  ]\n}\n")


def extremes(datatype):
    dtype = DATATYPES[datatype][1]
    if datatype == "BOOL":
        return np.array([[True, False, True], [False, False, True]])
    if datatype == "BYTES":
        return np.array([["", "plain", "Käse 🧀"], ["a\nb", "x" * 300, "\t"]], dtype=object)
    if np.issubdtype(dtype, np.floating):
        info = np.finfo(dtype)
        return np.array([[info.min, info.max, info.tiny], [np.nan, np.inf, -0.5]], dtype=dtype)
    info = np.iinfo(dtype)
    return np.array([[info.min, info.max, 0], [1, 2, 3]], dtype=dtype)


def datatypes():
    for datatype in DATATYPES:
        node = h.make_node("Identity", ["x"], ["y"])
        proto = model([node], [tensor("x", datatype, ["n", 3])], [tensor("y", datatype, ["n", 3])])
        values = extremes(datatype)
        save(f"identity_{datatype.lower()}", proto, {"x": values}, {"x": values[:0]}, {"x": values[1:]})

    # What a body that is its one input goes to.
    node = h.make_node("Identity", ["x"], ["y"])
    proto = model([node], [tensor("x", "BYTES", ["n", 1])], [tensor("y", "BYTES", ["n", 1])])
    save("one_text", proto, {"x": np.array([["plain"], [""], ["Käse 🧀"]], dtype=object)})

    nodes = [h.make_node("Cast", ["x"], [f"as_{name}"], to=kind) for name, (kind, _) in DATATYPES.items()]
    outputs = [tensor(f"as_{name}", name, ["n", 2]) for name in DATATYPES]
    proto = model(nodes, [tensor("x", "FP32", ["n", 2])], outputs)
    save("cast_to_all", proto, {"x": np.array([[0, 1], [7, 100]], dtype=np.float32)})


def shapes():
    double = [h.make_node("Mul", ["x", "two"], ["y"])]
    two = [constant("two", 2, np.float32)]
    proto = model(double, [tensor("x", "FP32", [])], [tensor("y", "FP32", [])], two)
    save("scalar", proto, {"x": np.array(1.25, np.float32)})

    node = h.make_node("Slice", ["x", "none", "none", "axis"], ["y"])
    ends = [constant("none", [0], np.int64), constant("axis", [1], np.int64)]
    proto = model([node], [tensor("x", "FP32", ["n", 4])], [tensor("y", "FP32", ["n", 0])], ends)
    save("zero_width", proto, {"x": np.ones((3, 4), np.float32)}, {"x": np.ones((0, 4), np.float32)})

    weights = [constant("w", [[0.5, -1], [0.25, 2], [1, 0.125]], np.float32)]
    matmul = [h.make_node("MatMul", ["x", "w"], ["y"])]
    rows = np.arange(12, dtype=np.float32).reshape(4, 3) / 4
    for name, n in (("fixed_four", 4), ("fixed_one", 1)):
        proto = model(matmul, [tensor("x", "FP32", [n, 3])], [tensor("y", "FP32", [n, 2])], weights)
        save(name, proto, {"x": rows[:n]})

    axis = [constant("axis", 0, np.int32)]
    running = [h.make_node("CumSum", ["x", "axis"], ["y"])]
    proto = model(running, [tensor("x", "FP32", [4, 3])], [tensor("y", "FP32", [4, 3])], axis)
    save("fixed_four_mixing", proto, {"x": rows})
    proto = model(running, [tensor("x", "FP32", ["time", 3])], [tensor("y", "FP32", ["time", 3])], axis)
    save("time_axis", proto, {"x": rows}, {"x": rows[:1]})

    nodes = [
        h.make_node("ReduceMean", ["x", "first"], ["mean"], keepdims=1),
        h.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    proto = model(nodes, [tensor("x", "FP32", ["n", 3])], [tensor("y", "FP32", ["n", 3])], [constant("first", [0], np.int64)])
    save("centred", proto, {"x": rows})

    nodes = [
        h.make_node("ReduceSum", ["x", "second"], ["total"], keepdims=0),
        h.make_node("Greater", ["total", "limit"], ["keep"]),
        h.make_node("Compress", ["x", "keep"], ["y"], axis=0),
    ]
    values = [constant("second", [1], np.int64), constant("limit", 3.0, np.float32)]
    proto = model(nodes, [tensor("x", "FP32", ["n", 3])], [tensor("y", "FP32", ["m", 3])], values)
    save("drops_rows", proto, {"x": rows}, {"x": rows[:1]})

    # The runtime cannot know how many axes come: the new shape is cut to a length that depends on a value.
    nodes = [
        h.make_node("Compress", ["shape", "keep"], ["cut"]),
        h.make_node("Reshape", ["x", "cut"], ["y"]),
        h.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        h.make_node("Equal", ["sum", "sum"], ["always"]),
        h.make_node("Unsqueeze", ["always", "zero"], ["one"]),
        h.make_node("Concat", ["one", "one", "one", "never"], ["keep"], axis=0),
    ]
    values = [
        constant("shape", [-1, 2, 2, 1], np.int64),
        constant("zero", [0], np.int64),
        constant("never", [False], np.bool_),
    ]
    proto = model(nodes, [tensor("x", "FP32", ["n", 4])], [h.make_tensor_value_info("y", T.FLOAT, None)], values)
    save("unranked_output", proto, {"x": rows.reshape(3, 4)})


def signatures():
    double = [h.make_node("Mul", ["x", "factor"], ["y"])]
    inputs = [tensor("x", "FP32", ["n", 2]), tensor("factor", "FP32", [1])]
    proto = model(double, inputs, [tensor("y", "FP32", ["n", 2])], [constant("factor", [2], np.float32)])
    x = np.array([[1, 2], [3, 4]], np.float32)
    save("optional_input", proto, {"x": x}, {"x": x, "factor": np.array([10], np.float32)})

    nodes = [
        h.make_node("Cast", ["count"], ["weight"], to=T.FLOAT),
        h.make_node("Unsqueeze", ["weight", "second"], ["column"]),
        h.make_node("Mul", ["features", "column"], ["weighted"]),
        h.make_node("Identity", ["count"], ["same_count"]),
        h.make_node(
            "LabelEncoder", ["word"], ["code"], domain="ai.onnx.ml",
            keys_strings=["red", "green", "blue"], values_int64s=[1, 2, 3], default_int64=-1,
        ),
        h.make_node("Identity", ["word"], ["same_word"]),
    ]
    inputs = [tensor("features", "FP32", ["n", 2]), tensor("count", "INT64", ["n"]), tensor("word", "BYTES", ["n", 1])]
    outputs = [
        tensor("weighted", "FP32", ["n", 2]),
        tensor("same_count", "INT64", ["n"]),
        tensor("code", "INT64", ["n", 1]),
        tensor("same_word", "BYTES", ["n", 1]),
    ]
    proto = model(nodes, inputs, outputs, [constant("second", [1], np.int64)])
    words = np.array([["red"], ["blue"], ["mauve"]], dtype=object)
    features = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    save("many_inputs_and_outputs", proto, {"features": features, "count": np.array([2, 2**53 + 1, -1]), "word": words})

    # Exporters of old listed every weight among the inputs; up to format version 3 that gives requests no say in them.
    inputs = [tensor("x", "FP32", ["n", 2]), tensor("factor", "FP32", [1])]
    factor = [constant("factor", [2], np.float32)]
    opset = [h.make_opsetid("", 8)]
    proto = model(double, inputs, [tensor("y", "FP32", ["n", 2])], factor, opset=opset, ir_version=3)
    save("weights_as_inputs", proto, {"x": x})

    proto = model([], [], [tensor("answer", "INT64", [1])], [constant("answer", [42], np.int64)])
    save("no_inputs", proto, {})

    # What a sentence encoder looks like from outside: token ids and a mask, both of any length.
    nodes = [
        h.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        h.make_node("Cast", ["attention_mask"], ["mask"], to=T.FLOAT),
        h.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        h.make_node("Mul", ["vectors", "column"], ["masked"]),
        h.make_node("ReduceSum", ["masked", "middle"], ["embedding"], keepdims=0),
    ]
    values = [
        constant("table", np.arange(64).reshape(16, 4) / 8, np.float32),
        constant("last", [2], np.int64),
        constant("middle", [1], np.int64),
    ]
    inputs = [tensor("input_ids", "INT64", ["batch", "tokens"]), tensor("attention_mask", "INT64", ["batch", "tokens"])]
    proto = model(nodes, inputs, [tensor("embedding", "FP32", ["batch", 4])], values)
    ids = np.array([[1, 5, 9], [15, 0, 0]])
    save("tokens", proto, {"input_ids": ids, "attention_mask": np.array([[1, 1, 1], [1, 0, 0]])})


def behaviours():
    nodes = [h.make_node("Gather", ["table", "index"], ["y"])]
    table = [constant("table", [[1, 2], [3, 4], [5, 6]], np.float32)]
    proto = model(nodes, [tensor("index", "INT64", ["n"])], [tensor("y", "FP32", ["n", 2])], table)
    save("poison", proto, {"index": np.array([0, 2, 1])})

    # Says what it was told, and takes as long as the greatest of `spins` says: a few microseconds for each.
    body = h.make_graph(
        [h.make_node("Identity", ["go_on"], ["goes_on"]), h.make_node("Add", ["so_far", "one"], ["then"])],
        "spinning",
        [tensor("turn", "INT64", []), tensor("go_on", "BOOL", []), tensor("so_far", "INT64", [1, 1])],
        [tensor("goes_on", "BOOL", []), tensor("then", "INT64", [1, 1])],
    )
    nodes = [
        h.make_node("ReduceMax", ["spins"], ["most"], keepdims=0),
        h.make_node("Loop", ["most", "", "nothing"], ["spun"], body=body),
        h.make_node("Mul", ["spun", "nothing"], ["forgotten"]),
        h.make_node("Add", ["x", "forgotten"], ["y"]),
    ]
    constants = [constant("nothing", [[0]], np.int64), constant("one", [[1]], np.int64)]
    columns = [tensor("x", "INT64", ["n", 1]), tensor("spins", "INT64", ["n", 1])]
    proto = model(nodes, columns, [tensor("y", "INT64", ["n", 1])], constants)
    save("spin", proto, {"x": np.array([[7], [8]]), "spins": np.array([[0], [30]])})

    # Says what it was told; 6666666 ends the process: the least integer divided by -1 is more than 64 bits hold, which the
    # processor answers with a signal (SIGFPE on x86).
    nodes = [
        h.make_node("Sub", ["x", "zero"], ["divisor"]),
        h.make_node("Div", ["least", "divisor"], ["quotient"]),
        h.make_node("Mul", ["quotient", "nothing"], ["forgotten"]),
        h.make_node("Add", ["x", "forgotten"], ["y"]),
    ]
    values = {"zero": 6666667, "least": -(2**63), "nothing": 0}
    constants = [constant(name, [[value]], np.int64) for name, value in values.items()]
    proto = model(nodes, [tensor("x", "INT64", ["n", 1])], [tensor("y", "INT64", ["n", 1])], constants)
    save("fatal", proto, {"x": np.array([[7], [8]])})

    # Dynamic quantisation: one scale for the whole batch.
    nodes = [
        h.make_node("DynamicQuantizeLinear", ["x"], ["quantised", "scale", "zero"]),
        h.make_node("DequantizeLinear", ["quantised", "scale", "zero"], ["y"]),
    ]
    proto = model(nodes, [tensor("x", "FP32", ["n", 3])], [tensor("y", "FP32", ["n", 3])])
    save("quantised", proto, {"x": np.array([[0.1, 0.2, 0.3], [5, -3, 1]], np.float32)})

    rng = np.random.default_rng(7)
    nodes = [
        h.make_node("Conv", ["image", "kernels"], ["features"], pads=[1, 1, 1, 1]),
        h.make_node("Relu", ["features"], ["positive"]),
        h.make_node("GlobalAveragePool", ["positive"], ["pooled"]),
        h.make_node("Flatten", ["pooled"], ["scores"]),
    ]
    kernels = [constant("kernels", rng.normal(size=(4, 3, 3, 3)).round(2), np.float32)]
    proto = model(nodes, [tensor("image", "FP32", ["n", 3, 8, 8])], [tensor("scores", "FP32", ["n", 4])], kernels)
    images = rng.uniform(size=(2, 3, 8, 8)).round(2).astype(np.float32)
    save("image", proto, {"image": images})

    weights = np.arange(400, dtype=np.float32).reshape(4, 100) / 100
    proto = model(
        [h.make_node("MatMul", ["x", "w"], ["y"])],
        [tensor("x", "FP32", ["n", 4])], [tensor("y", "FP32", ["n", 100])], [constant("w", weights, np.float32)],
    )
    save(
        "external_data", proto, {"x": np.array([[1, 0, 2, 0]], np.float32)},
        save_as_external_data=True, all_tensors_to_one_file=True, location="weights.bin", size_threshold=0,
    )


def scikit_learn():
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    iris = load_iris()
    features = iris.data.astype(np.float32)
    sample = features[[0, 60, 120, 149]]
    trained = LogisticRegression(max_iter=500).fit(features, iris.target)

    proto = to_onnx(trained, features[:1], options={"zipmap": False}, target_opset={"": 20, "ai.onnx.ml": 3})
    save("iris", proto, {"X": sample}, {"X": sample[:1]})

    proto = to_onnx(trained, features[:1], target_opset={"": 20, "ai.onnx.ml": 3})
    rename_output(proto, "output_probability", "by_number")
    save("zipmap_int", proto, {"X": sample})

    passengers()

    # A ZipMap whose classes are in no order that anybody could guess.
    node = h.make_node("ZipMap", ["scores"], ["by_name"], domain="ai.onnx.ml", classlabels_strings=LABELS["by_name"])
    kind = h.make_sequence_type_proto(h.make_map_type_proto(T.STRING, h.make_tensor_type_proto(T.FLOAT, [])))
    proto = model([node], [tensor("scores", "FP32", ["n", 3])], [h.make_value_info("by_name", kind)])
    save("zipmap_string", proto, {"scores": np.array([[0.1, 0.2, 0.7], [1, 0, 0]], np.float32)})

    # Without the operators of ONNX itself, there is nothing that the ZipMap could be replaced with: its maps must be read.
    node = h.make_node("ZipMap", ["scores"], ["by_code"], domain="ai.onnx.ml", classlabels_int64s=LABELS["by_code"])
    kind = h.make_sequence_type_proto(h.make_map_type_proto(T.INT64, h.make_tensor_type_proto(T.FLOAT, [])))
    ends = ([tensor("scores", "FP32", ["n", 3])], [h.make_value_info("by_code", kind)])
    scores = np.array([[0.1, 0.2, 0.7], [1, 0, 0]], np.float32)
    save("zipmap_alone", model([node], *ends, opset=OPSET[1:]), {"scores": scores}, {"scores": scores[:1]})


def passengers():
    """A table with categories, which refuses those that it has not seen; two of them run together before they are encoded."""
    import pandas
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table = pandas.DataFrame(
        {
            "age": [22, 38, 26, 35, 54, 2, 27, 14],
            "sex": ["male", "female", "female", "male", "male", "male", "female", "female"],
            "port": ["S", "C", "S", "Q", "S", "S", "C", "Q"],
            "class": [3, 1, 3, 1, 1, 3, 3, 2],
        }
    )
    categories = make_pipeline(SimpleImputer(strategy="most_frequent", missing_values=""), OneHotEncoder())
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["age"]),
            ("texts", categories, ["sex", "port"]),
            ("classes", OneHotEncoder(), ["class"]),
        ]
    )
    trained = make_pipeline(columns, LogisticRegression()).fit(table, [0, 1, 1, 1, 0, 0, 1, 1])
    kinds = [FloatTensorType, StringTensorType, StringTensorType, Int64TensorType]
    types = [(name, kind([None, 1])) for name, kind in zip(table.columns, kinds)]
    proto = to_onnx(trained, initial_types=types, options={"zipmap": False}, target_opset={"": 20, "ai.onnx.ml": 3})
    numpy_types = [np.float32, object, object, np.int64]
    rows = {name: table[[name]].to_numpy()[:3].astype(kind) for name, kind in zip(table.columns, numpy_types)}
    save("passengers", proto, rows)


def rename_output(proto, old, new):
    for node in proto.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
    for output in proto.graph.output:
        output.name = new if output.name == old else output.name


def refused():
    nodes = [h.make_node("SplitToSequence", ["x"], ["y"], axis=0)]
    kind = h.make_sequence_type_proto(h.make_tensor_type_proto(T.FLOAT, None))
    save("refused_sequence_of_tensors", model(nodes, [tensor("x", "FP32", ["n", 2])], [h.make_value_info("y", kind)]))

    nodes = [h.make_node("Cast", ["x"], ["y"], to=T.BFLOAT16)]
    output = h.make_tensor_value_info("y", T.BFLOAT16, ["n", 2])
    save("refused_bfloat16", model(nodes, [tensor("x", "FP32", ["n", 2])], [output]))

    nodes = [h.make_node("Sharpen", ["x"], ["y"], domain="com.example")]
    opset = OPSET + [h.make_opsetid("com.example", 1)]
    ends = ([tensor("x", "FP32", ["n", 2])], [tensor("y", "FP32", ["n", 2])])
    save("refused_unknown_operator", model(nodes, *ends, opset=opset))

    nodes = [h.make_node("Identity", ["x"], ["y"])]
    save("refused_future_opset", model(nodes, *ends, opset=[h.make_opsetid("", 999)]))

    weights = [constant("w", np.ones((4, 4)), np.float32)]
    proto = model(
        [h.make_node("MatMul", ["x", "w"], ["y"])],
        [tensor("x", "FP32", ["n", 4])], [tensor("y", "FP32", ["n", 4])], weights,
    )
    save(
        "refused_missing_weights", proto, save_as_external_data=True,
        all_tensors_to_one_file=True, location="weights.bin", size_threshold=0,
    )
    (ROOT / "refused_missing_weights" / "1" / "weights.bin").unlink()

    whole = (ROOT / "iris" / "1" / "model.onnx").read_bytes()
    for name, content in (
        ("refused_truncated", whole[: len(whole) * 2 // 3]),
        ("refused_text", b"This is not the model that you are looking for.\n"),
        ("refused_empty", b""),
    ):
        folder = ROOT / name / "1"
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(content)


def main():
    if os.environ.get("PYTHONHASHSEED") != "0":  # the converter writes sets in the order of their hashes
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})
    if rt.__version__ != "1.31.1":
        sys.exit(f"goldens are made with onnxruntime 1.31.1, but this is {rt.__version__}")
    shutil.rmtree(ROOT, ignore_errors=True)
    for make in (datatypes, shapes, signatures, behaviours, scikit_learn, refused):
        make()
    files = [path for path in ROOT.rglob("*") if path.is_file()]
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files)} bytes under {ROOT}")


if __name__ == "__main__":
    main()
