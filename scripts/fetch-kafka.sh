#!/usr/bin/env bash
# Puts the jars of an Apache Kafka broker under .deps/kafka/libs: versions from kafka-pom.xml, by Maven, each jar checked
# against kafka-jars.sha256 at every run. `--record` writes that list anew, for a change of versions.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=.deps/kafka
sums=$PWD/scripts/kafka-jars.sha256

is_complete() { # FOLDER: every jar of the list is there and whole, and no other
    [[ -d $1 ]] || return 1
    (
        cd "$1"
        sha256sum --check --status --strict "$sums" 2>/dev/null &&
            [[ $(find . -mindepth 1 | wc -l) -eq $(wc -l <"$sums") ]]
    )
}

if [[ ${1:-} != --record ]] && is_complete "$folder/libs"; then
    exit 0
fi

echo "fetching the jars of Apache Kafka"
mkdir -p "$folder"
partial=$(mktemp -d "$folder/partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT
# Maven's terminal codes are of use to nobody, its log is when it fails.
if ! mvn --batch-mode --file scripts/kafka-pom.xml \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DoutputDirectory="$PWD/$partial" -DincludeScope=runtime >"$folder/maven.log" 2>&1; then
    echo "Maven could not fetch them:" >&2
    grep -a ERROR "$folder/maven.log" >&2 || tail -n 20 "$folder/maven.log" >&2
    exit 1
fi
if [[ ${1:-} == --record ]]; then
    (cd "$partial" && LC_ALL=C sha256sum -- *) >"$sums"
elif ! is_complete "$partial"; then
    echo "these jars are not those that scripts/kafka-jars.sha256 names:" >&2
    (cd "$partial" && sha256sum --check --quiet "$sums" 2>&1) >&2 || true
    exit 1
fi
chmod 755 "$partial"
rm -rf "$folder/libs"
mv "$partial" "$folder/libs"
