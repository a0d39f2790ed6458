"""The three models of the demo, from training to everything that lies in the repository for them."""

from pathlib import Path

import numpy as np

from . import cnn, digits, iris, scikit, spam
from .artefacts import requests_of, write_goldens, write_model, write_requests
from .provenance import Card

SAMPLES = 10


def table(repository: Path, goldens: Path) -> Card:
    """A table: four numbers in, a class and its probabilities out."""
    estimator, model, rows, accuracy = iris.train()
    path = write_model(repository / "iris/1", model, iris.labels(), manifest=True)
    requests = requests_of(rows)

    def reference(request: dict) -> dict:
        return scikit.scores(estimator, request["input"])

    write_goldens(goldens / "iris.json", path, requests, reference)
    samples, names = requests[:SAMPLES], iris.labels()
    classes = [names[reference(sample)["label"][0]] for sample in samples]
    write_requests(repository / "requests/iris.jsonl", "iris", samples, classes)
    how = "scikit-learn `StandardScaler` → `LogisticRegression`; trained on 105 flowers, tested on the other 45"
    inputs, outputs = "`input` FP32 [?, 4]", "`label` INT64 [?], `probabilities` FP32 [?, 3]"
    return Card("iris", iris.DATA, how, inputs, outputs, path, accuracy)


def text(repository: Path, goldens: Path) -> Card:
    """Text: a message in, `ham` or `spam` out."""
    estimator, model, texts, accuracy = spam.train()
    path = write_model(repository / "spam/1", model, estimator.classes_.tolist(), manifest=True)
    requests = requests_of(spam.column(texts))

    def reference(request: dict) -> dict:
        return scikit.scores(estimator, request["text"][:, 0])

    # One file as the model sees the texts, one as the pipeline gets them.
    write_goldens(goldens / "spam.json", path, [spam.steps(request) for request in requests], reference)
    write_goldens(goldens / "spam_pipeline.json", path, requests, reference, spam.steps)
    samples = requests[:SAMPLES]
    classes = [reference(spam.steps(sample))["label"][0] for sample in samples]
    write_requests(repository / "requests/spam.jsonl", "spam", samples, classes)
    how = "scikit-learn `TfidfVectorizer` → `LogisticRegression`; trained on 64 templates, tested on the other 16"
    inputs, outputs = "`text` BYTES [?, 1]", "`label` BYTES [?], `probabilities` FP32 [?, 2]"
    return Card("spam", spam.DATA, how, inputs, outputs, path, accuracy)


def image(repository: Path, goldens: Path) -> Card:
    """An image: 8 × 8 grey values in, logits out."""
    parameters, model, images, accuracy = digits.train()
    path = write_model(repository / "digits/1", model, digits.labels(), manifest=True)
    requests = requests_of(images)

    def reference(request: dict) -> dict:
        logits = digits.logits(parameters, request["image"])
        label, scores = np.argmax(logits, axis=1), cnn.softmax(logits)
        return {"label": label.tolist(), "probabilities": scores.tolist(), "logits": logits.tolist()}

    write_goldens(goldens / "digits.json", path, requests, reference)
    samples = requests[:SAMPLES]
    classes = [str(reference(sample)["label"][0]) for sample in samples]
    write_requests(repository / "requests/digits.jsonl", "digits", samples, classes)
    how = (
        "a convolutional network of 1,898 parameters written in NumPy, 60 epochs of Adam; trained on 1,257 images, "
        "tested on the other 540"
    )
    return Card("digits", digits.DATA, how, "`image` FP32 [?, 1, 8, 8]", "`logits` FP32 [?, 10]", path, accuracy)
