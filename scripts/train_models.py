#!/usr/bin/env python3
"""Trains the models of the demo (into models/), of the tests (tests/data/trained/) and of benchmarks (benches/models/).

    pip install -r scripts/requirements.txt
    python3 scripts/train_models.py

Beside each model it writes golden answers for the tests (see training/artefacts.py), for the demo's models also sample
requests, and models/README.md, which says where everything came from. The same versions on the same machine write the
same bytes again.
"""

import argparse
import os
import sys
from pathlib import Path

# One thread: the order in which a sum is taken decides its last digits.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
sys.dont_write_bytecode = True

from training import bench, demo, provenance, variants  # noqa: E402
from training.artefacts import write_goldens, write_model  # noqa: E402


def main() -> None:
    """Trains everything, telling what it does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent, help="where to write")
    root = parser.parse_args().root
    trained = root / "tests/data/trained"
    cards = []
    for train in (demo.table, demo.text, demo.image):
        card = train(root / "models", trained / "goldens")
        print(f"models/{card.name}: {card.size:,} bytes, accuracy {card.accuracy:.1%}", flush=True)
        cards.append(card)
    for place, models in (("tests/data/trained", variants), ("benches/models", bench)):
        for name, model, requests, reference in models.all_of_them():
            folder = root / place / name / "1"
            path = write_model(folder, model)
            write_goldens(folder / "golden.json", path, requests, reference)
            print(f"{place}/{name}: {path.stat().st_size:,} bytes", flush=True)
    provenance.write(root / "models/README.md", cards)


if __name__ == "__main__":
    main()
