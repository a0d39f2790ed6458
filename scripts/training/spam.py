"""The text model of the demo: is a short message spam, from its words.

The model takes text as the steps before `predict` in `models/pipelines/spam.yaml` leave it; `prepared` does the same
three things here. It holds no StringNormalizer, which would ask the machine for a locale.
"""

import re

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from . import scikit, spam_corpus

DATA = "960 messages written for this project and put together from 80 templates; no real mail"
URL = r"(https?://|www\.)\S+"
WORD = r"[a-zA-Z0-9_]+"


def prepared(text: str) -> str:
    """The text as the pipeline hands it to the model."""
    text = re.sub(URL, "urltoken", text.lower())
    return " ".join(re.sub(r"\d+", "0", text).split())


def train():
    """The fitted estimator, its ONNX graph, the test texts as they are written, and the accuracy on them."""
    train_part, test_part = spam_corpus.messages()
    estimator = make_pipeline(
        TfidfVectorizer(lowercase=False, token_pattern=WORD),
        LogisticRegression(C=10.0, max_iter=1000),
    )
    texts, labels = zip(*train_part, strict=True)
    estimator.fit([prepared(text) for text in texts], labels)
    model = scikit.convert("spam", estimator, [scikit.texts("text")], {"zipmap": False}, ["label", "probabilities"])
    texts, labels = zip(*test_part, strict=True)
    return estimator, model, list(texts), estimator.score([prepared(text) for text in texts], labels)


def column(texts: list[str]) -> dict[str, np.ndarray]:
    """The texts as a request brings them."""
    return {"text": np.array([[text] for text in texts], dtype=object)}


def steps(request: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the pipeline's steps before `predict` make of a request."""
    return column([prepared(text) for text in request["text"][:, 0]])
