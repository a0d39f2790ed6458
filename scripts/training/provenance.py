"""models/README.md: where the models of the demo came from, as a page that is written whenever they are."""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

LIBRARIES = ["numpy", "onnx", "onnxruntime", "pandas", "scikit-learn", "skl2onnx"]

PAGE = """\
# The models of the demo

Written by `scripts/train_models.py` (`make models`); do not edit, train again. The models are under the project's
licence; the rows in `requests/` come from the data sets named below, under theirs.

This folder is a model repository as `modelmill worker` reads one, `<model>/<version>/model.onnx`, with `labels.txt`
and `manifest.json` beside the model. `pipelines/` holds a pipeline for each model and `requests/` ten requests for
each, one a line, of rows that the model was not trained on, and beside them the class that the training library gives
each (`*.classes.txt`).

{sections}
## Made with

Python {python}, {libraries}.

The models under `tests/data/trained/` are trained by the same script (`scripts/training/variants.py`) on data sets
that scikit-learn ships and on invented tables and notes; `golden.json` beside them holds what Python's ONNX Runtime
answers to some rows, and what scikit-learn does (`reference`). Those under `benches/models/`
(`scripts/training/bench.py`) have the shapes that benchmarks ask for and seeded random weights; nothing trained them.
"""

SECTION = """\
## {card.name}

| | |
|---|---|
| data | {card.data} |
| training | {card.how} |
| accuracy on the test part | {card.accuracy:.1%} |
| inputs | {card.inputs} |
| outputs | {card.outputs} |
| size | {card.size:,} bytes |
"""


@dataclass
class Card:
    """What there is to say of a model."""

    name: str
    data: str
    how: str
    inputs: str
    outputs: str
    path: Path
    accuracy: float

    @property
    def size(self) -> int:
        """Bytes of `model.onnx`."""
        return self.path.stat().st_size


def write(page: Path, cards: list[Card]) -> None:
    """Writes the page."""
    sections = "\n".join(SECTION.format(card=card) for card in cards)
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    page.write_text(PAGE.format(sections=sections, python=platform.python_version(), libraries=libraries))
