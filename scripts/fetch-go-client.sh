#!/usr/bin/env bash
# Puts the modules that the example of a client in Go needs under .deps/go, each checked against its go.sum, and compiles them there,
# so that the test needs no network. Without Go nothing is fetched, which is said, and that test is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

source=examples/go folder=$PWD/.deps/go

if ! command -v go >/dev/null; then
    echo "Go is not installed: the test of the client in Go is skipped (go.dev/dl has it)" >&2
    exit 0
fi
# What is compiled belongs to one version of Go.
version=$(GOTOOLCHAIN=local go version)
if cmp --quiet "$source/go.sum" "$folder/go.sum" && [[ $(cat "$folder/version" 2>/dev/null) == "$version" ]]; then
    exit 0
fi

echo "fetching the modules of the Go client of Kafka"
rm -rf "$folder"
mkdir -p "$folder"
# The same as in tests/journey/examples.rs.
export GOPATH=$folder GOMODCACHE=$folder/modules GOCACHE=$folder/cache GOTOOLCHAIN=local CGO_ENABLED=0
if ! (cd "$source" && GOFLAGS='-modcacherw -mod=readonly' go build -o /dev/null .) >"$folder/go.log" 2>&1; then
    echo "Go could not build the client, so its test is skipped; the end of what it says:" >&2
    tail -n 20 "$folder/go.log" >&2
    exit 0
fi
echo "$version" >"$folder/version"
# Last: where it is, all of it is.
cp "$source/go.sum" "$folder/go.sum"
