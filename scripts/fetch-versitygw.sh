#!/usr/bin/env bash
# Puts versitygw, the S3 server of the tests, under .deps/versitygw/: built by Go from its module, which Go checks against
# the module's checksum database. Without Go nothing is fetched, which is said, and the tests that need it are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

version=v1.8.0
folder=.deps/versitygw

if [[ $(cat "$folder/version" 2>/dev/null) == "$version" && -x $folder/versitygw ]]; then
    exit 0
fi
if ! command -v go >/dev/null; then
    echo "Go is not installed: there will be no versitygw, and the tests on S3 are skipped (go.dev/dl has it)" >&2
    exit 0
fi

echo "building versitygw $version"
mkdir -p "$folder"
partial=$(mktemp -d "$PWD/$folder/partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT
if ! GOBIN=$partial GOFLAGS=-modcacherw go install "github.com/versity/versitygw/cmd/versitygw@$version" >"$folder/go.log" 2>&1; then
    echo "Go could not build it, so the tests on S3 are skipped; the end of what it says:" >&2
    tail -n 20 "$folder/go.log" >&2
    exit 0
fi
mv -f "$partial/versitygw" "$folder/"
# Last: where the version is written, the program is whole.
echo "$version" >"$folder/version"
