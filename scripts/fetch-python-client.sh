#!/usr/bin/env bash
# Puts what the example of a client in Python needs under .deps/python-client, for this machine's Python; the version is that of
# examples/python/requirements.txt.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=examples/python/requirements.txt folder=.deps/python-client
# A package with a library of its own belongs to one version of Python.
python=$(python3 -c 'import sys; print(sys.version)')
if cmp --quiet "$wanted" "$folder/requirements.txt" && [[ $(cat "$folder/python" 2>/dev/null) == "$python" ]]; then
    exit 0
fi

echo "fetching the Python client of Kafka"
rm -rf "$folder"
python3 -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --root-user-action=ignore --no-deps \
    --only-binary=:all: --target "$folder" --requirement "$wanted"
echo "$python" >"$folder/python"
# Last: where it is, all of it is.
cp "$wanted" "$folder/requirements.txt"
