#!/usr/bin/env bash
# Everything that building, the demo and the tests need: system packages, ONNX Runtime, the jars of Apache Kafka and of a
# client in Java, clients in Python and Go, an S3 server, a schema registry.
#
# Downloads go to .deps/, which git ignores, and are checked by sha256 at every run (Python's by its version); what is there already is not fetched
# again, so that the second run needs no network.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p .deps
# Two set-ups at once would fetch into the same folders.
exec {lock}>.deps/lock
flock "$lock"

scripts/system-packages.sh
scripts/fetch-onnxruntime.sh
scripts/fetch-jars.sh kafka
scripts/fetch-jars.sh spring
scripts/fetch-python-client.sh
scripts/fetch-go-client.sh
scripts/fetch-versitygw.sh
scripts/fetch-apicurio.sh
