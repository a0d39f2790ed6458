#!/usr/bin/env bash
# What a request costs, measured beside other contestants on a Kafka of its own. Without arguments: CPU time beside the
# floor for every kind of work; --help lists what else there is.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench --locked --bench e2e --no-run
exec scripts/with-kafka.sh cargo bench --locked --bench e2e -- "$@"
