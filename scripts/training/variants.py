"""The models of the tests: what other people's exports look like, in all the forms that scikit-learn users produce.

Each is `(name, ONNX graph, requests for the goldens, reference)`; where skl2onnx names inputs and outputs by itself,
its names are left, because those are the names that users have.
"""

import random

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from . import iris, scikit, spam
from .artefacts import requests_of

PASSENGERS = 600


def all_of_them():
    """Every variant in turn."""
    yield _iris_zipmap("iris_zipmap", names=True)
    yield _iris_zipmap("iris_zipmap_int64", names=False)
    yield _linear_regression()
    yield _random_forest()
    yield _gradient_boosting()
    yield _tfidf_topics()


def _iris_zipmap(name: str, names: bool):
    """skl2onnx's default: the probabilities as a sequence of maps, keyed by text or by number."""
    estimator, model, rows, _ = iris.train(zipmap=True, names=names)
    return name, model, requests_of(rows), lambda request: scikit.scores(estimator, request["input"])


def _linear_regression():
    """One number out, `[?, 1]`, no classes."""
    data = load_diabetes()
    rows = {"X": data.data.astype(np.float32)}
    estimator = LinearRegression().fit(rows["X"], data.target)
    model = scikit.convert("linear_regression", estimator, [scikit.floats("X", 10)])
    return "linear_regression", model, requests_of(rows), lambda request: {"value": _column(estimator, request["X"])}


def _random_forest():
    """Trees over 13 numbers of a wine, the classes as numbers, the probabilities dense."""
    data = load_wine()
    rows = data.data.astype(np.float32)
    estimator = RandomForestClassifier(n_estimators=40, max_depth=6, random_state=0).fit(rows, data.target)
    model = scikit.convert("random_forest", estimator, [scikit.floats("X", 13)], {"zipmap": False})
    shuffled = np.random.default_rng(0).permutation(len(rows))
    requests = requests_of({"X": rows[shuffled]})
    return "random_forest", model, requests, lambda request: scikit.scores(estimator, request["X"])


def _gradient_boosting():
    """A table with one input per column, numbers beside text, and text labels: what a DataFrame becomes."""
    table, labels = _passengers()
    text_columns = ["Port", "Cabin class"]
    encode = ColumnTransformer(
        [("text", OneHotEncoder(handle_unknown="ignore"), text_columns)], remainder="passthrough"
    )
    estimator = make_pipeline(encode, GradientBoostingClassifier(n_estimators=60, max_depth=3, random_state=0))
    estimator.fit(table, labels)
    inputs = [scikit.texts(name) if name in text_columns else scikit.floats(name, 1) for name in table.columns]
    model = scikit.convert("gradient_boosting", estimator, inputs, {"zipmap": False})
    graph_names = [entry.name for entry in model.graph.input]
    # A port that training never saw: scikit-learn encodes it as none of them.
    table.loc[0, "Port"] = "Atlantis"
    rows = {}
    for graph_name, name in zip(graph_names, table.columns, strict=True):
        values = table[name].to_numpy(dtype=object if name in text_columns else np.float32)
        rows[graph_name] = values.reshape(-1, 1)

    def reference(request: dict) -> dict:
        values = [request[name][:, 0] for name in graph_names]
        return scikit.scores(estimator, pd.DataFrame(dict(zip(table.columns, values, strict=True))))

    return "gradient_boosting", model, requests_of(rows), reference


def _tfidf_topics():
    """Raw text in, one of three topics out as text, pairs of words, probabilities as a sequence of maps."""
    texts, labels = _notes()
    estimator = make_pipeline(
        TfidfVectorizer(lowercase=False, token_pattern=spam.WORD, ngram_range=(1, 2), max_features=300),
        LogisticRegression(max_iter=1000),
    )
    estimator.fit(texts, labels)
    model = scikit.convert("tfidf_topics", estimator, [scikit.texts("text")])
    odd = ["", "   ", "umlauts: äöü, 日本語", "no_such_word 12345", "rain rain rain", "goal!!! goal??? rain..."]
    rows = {"text": np.array([[text] for text in [*odd, *texts[:22]]], dtype=object)}
    return "tfidf_topics", model, requests_of(rows), lambda request: scikit.scores(estimator, request["text"][:, 0])


def _column(estimator, rows: np.ndarray) -> list:
    return np.asarray(estimator.predict(rows)).reshape(-1).tolist()


def _passengers() -> tuple[pd.DataFrame, list[str]]:
    """Invented passengers of an invented ship: who was saved depends on age, fare and class, with some luck."""
    chance = random.Random(1912)
    rows, labels = [], []
    for _ in range(PASSENGERS):
        cabin = chance.choice(["first", "second", "third"])
        fare = round(chance.lognormvariate({"first": 4.0, "second": 3.0, "third": 2.2}[cabin], 0.4), 2)
        age = round(min(80.0, max(0.5, chance.gauss(32, 15))), 1)
        luck = {"first": 0.7, "second": 0.45, "third": 0.2}[cabin] + (0.3 if age < 14 else 0.0) + fare / 500
        rows.append((age, fare, chance.choice(["Southampton", "Cherbourg", "Queenstown"]), cabin))
        labels.append("saved" if chance.random() < luck else "lost")
    return pd.DataFrame(rows, columns=["Age", "Fare (GBP)", "Port", "Cabin class"]), labels


def _notes() -> tuple[list[str], list[str]]:
    """Invented notes on three topics, put together from a few words each."""
    chance = random.Random(7)
    words = {
        "weather": "rain sun wind storm snow cloud cold warm forecast umbrella degrees fog".split(),
        "sport": "goal match team coach season score player league final ball win draw".split(),
        "kitchen": "salt oven onion recipe boil butter flour pan taste soup knife bread".split(),
    }
    between = "the a with and today again some more no very after before".split()
    texts, labels = [], []
    for _ in range(240):
        topic = chance.choice(list(words))
        note = [chance.choice(words[topic] if chance.random() < 0.6 else between) for _ in range(chance.randint(4, 12))]
        texts.append(" ".join(note))
        labels.append(topic)
    return texts, labels
