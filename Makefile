# Every target sets up what it needs. ARGS is handed to the command: make test ARGS="--test journey".
.DEFAULT_GOAL := help
SHELL := bash
.PHONY: help setup build demo test bench lint models clean-deps

export ORT_DYLIB_PATH ?= $(CURDIR)/.deps/onnxruntime/libonnxruntime.so
python_packages := .deps/python

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## system packages, ONNX Runtime, the brokers and servers of the tests; nothing is fetched twice
	@scripts/setup.sh

build: setup ## the release binary, target/release/modelmill
	cargo build --release --locked

demo: build ## ONNX models answer requests through an embedded broker, in ten seconds or so
	target/release/modelmill demo $(ARGS)

test: setup ## every test, the journeys on a real Apache Kafka (or on the one in MODELMILL_TEST_KAFKA)
	cargo test --locked --no-run
	scripts/with-kafka.sh cargo test --locked $(ARGS)

bench: build ## what a request costs, measured
	scripts/bench.sh $(ARGS)

lint: setup ## formatting and clippy, warnings are errors
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

models: $(python_packages)/requirements.txt ## train the models of the demo and of the tests anew
	PYTHONPATH=$(python_packages) python3 scripts/train_models.py

$(python_packages)/requirements.txt: scripts/requirements.txt
	rm -rf $(python_packages)
	python3 -m pip install --quiet --no-warn-conflicts --root-user-action=ignore --target $(python_packages) --requirement scripts/requirements.txt
	cp scripts/requirements.txt $@

clean-deps: ## forget what was fetched
	rm -rf .deps
