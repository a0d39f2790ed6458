"""The table model of the demo: which iris is it, from four lengths."""

import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from . import scikit

DATA = "Fisher's iris data (150 flowers), as scikit-learn ships it; UCI repository, CC BY 4.0"


def train(zipmap=False, names: bool = False):
    """The fitted estimator, its ONNX graph, the test rows and the accuracy on them.

    `zipmap` is skl2onnx's option; `names` trains on the species' names instead of their numbers.
    """
    data = load_iris()
    target = data.target_names[data.target].astype(object) if names else data.target
    lengths = data.data.astype(np.float32)
    train_rows, test_rows, train_labels, test_labels = train_test_split(
        lengths, target, test_size=0.3, random_state=0, stratify=target
    )
    estimator = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    estimator.fit(train_rows, train_labels)
    outputs = None if zipmap else ["label", "probabilities"]
    model = scikit.convert("iris", estimator, [scikit.floats("input", 4)], {"zipmap": zipmap}, outputs)
    return estimator, model, {"input": test_rows}, estimator.score(test_rows, test_labels)


def labels() -> list[str]:
    """The species in the order of their numbers."""
    return load_iris().target_names.tolist()
