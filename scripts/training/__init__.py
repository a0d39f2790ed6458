"""How the demo models and the models of the tests are trained; `scripts/train_models.py` is the way in."""
