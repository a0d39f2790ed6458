#!/usr/bin/env bash
# What a request costs, beside a bare consume-and-produce loop, on a Kafka of its own.
# Arguments: --requests N (1000000), --partitions N (8), --runs N (5).
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench --locked --bench e2e --no-run
exec scripts/with-kafka.sh cargo bench --locked --bench e2e -- "$@"
