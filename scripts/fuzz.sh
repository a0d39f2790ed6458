#!/usr/bin/env bash
# Fuzzes the decoders, most of them against another one: each target of fuzz/fuzz_targets for a while, guided by coverage (libFuzzer).
#
#   scripts/fuzz.sh [SECONDS [TARGET...]]      60 seconds of every target, if nothing is said
#
# Begins at fuzz/seeds and at what earlier runs found worth keeping (fuzz/corpus). A finding ends the run; its bytes lie in
# fuzz/artifacts/TARGET/: move them to fuzz/seeds/TARGET/ under a name that says what was wrong, and cargo test replays them.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
targets=("${@:2}")
if [[ ${#targets[@]} -eq 0 ]]; then
    for file in fuzz/fuzz_targets/*.rs; do
        targets+=("$(basename "$file" .rs)")
    done
fi

# A sanitizer wants a nightly compiler. Without one a stable compiler will do: loads beside a text are few (src/codec/json/simd.rs), debug assertions and
# overflow checks are on.
for target in "${targets[@]}"; do
    echo "==> $target, $seconds s"
    mkdir -p "fuzz/corpus/$target"
    cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -dict=fuzz/json.dict -print_final_stats=1
done
