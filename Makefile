# Every target sets up what it needs. ARGS is handed to the command: make test ARGS="--test journey".
.DEFAULT_GOAL := help
SHELL := bash
.PHONY: help setup build demo test chaos bench bench-pieces fuzz lint models clean-deps

export ORT_DYLIB_PATH ?= $(CURDIR)/.deps/onnxruntime/libonnxruntime.so
python_packages := .deps/python
cargo_fuzz := .deps/cargo-fuzz

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## system packages, ONNX Runtime, the brokers and servers of the tests; nothing is fetched twice
	@scripts/setup.sh

build: setup ## the release binary, target/release/modelmill
	cargo build --release --locked

demo: build ## ONNX models answer requests through an embedded broker, in ten seconds or so
	target/release/modelmill demo $(ARGS)

test: setup ## every test, the journeys on a real Apache Kafka (or on the one in MODELMILL_TEST_KAFKA)
	cargo test --locked --no-run
	scripts/with-kafka.sh cargo test --locked $(ARGS)

chaos: build ## workers, brokers and the network are broken while requests flow; ARGS="--seed 7 --faults 20 --requests 20000"
	cargo bench --locked --bench chaos -- $(ARGS)

bench: build ## what a request costs, measured
	scripts/bench.sh $(ARGS)

# Each bench of a piece handles 1,000 rows, messages or chunks at a time; the table's µs are then ns for each.
pieces := tensor json forms codec offsets batcher journal steps onnx
bench-pieces: setup ## what each piece of the journey costs: a median of N µs is N ns a row or request
	@echo 'Benches of single pieces, 1,000 rows or requests at a time: a median of N µs is N ns for each (onnx: rows as given).'
	cargo bench --locked $(addprefix --bench ,$(pieces)) -- --max-time 1 $(ARGS)

fuzz: setup $(cargo_fuzz)/requirements.txt ## the decoders against others, a minute a target; ARGS="600 row_form" for longer and some
	PATH="$(abspath $(cargo_fuzz))/bin:$$PATH" scripts/fuzz.sh $(ARGS)

lint: setup ## formatting and clippy, warnings are errors
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

models: $(python_packages)/requirements.txt ## train the models of the demo and of the tests anew
	PYTHONPATH=$(python_packages) python3 scripts/train_models.py

$(python_packages)/requirements.txt: scripts/requirements.txt
	rm -rf $(python_packages)
	python3 -m pip install --quiet --no-warn-conflicts --root-user-action=ignore --target $(python_packages) --requirement scripts/requirements.txt
	cp scripts/requirements.txt $@

$(cargo_fuzz)/requirements.txt: fuzz/requirements.txt
	rm -rf $(cargo_fuzz)
	python3 -m pip install --quiet --no-warn-conflicts --root-user-action=ignore --target $(cargo_fuzz) --requirement fuzz/requirements.txt
	cp fuzz/requirements.txt $@

clean-deps: ## forget what was fetched
	rm -rf .deps
