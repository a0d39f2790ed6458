#!/usr/bin/env bash
# Puts jars under .deps/NAME/libs: `kafka`, an Apache Kafka broker, or `spring`, what the example of a client in Java needs. Versions
# come from a pom, by Maven, and each jar is checked against a list at every run. `NAME --record` writes that list anew, for a
# change of versions.
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:-}
case $name in
kafka)
    what="the jars of Apache Kafka" pom=scripts/kafka-pom.xml sums=$PWD/scripts/kafka-jars.sha256
    ;;
spring)
    what="the jars of Spring Kafka" pom=examples/java-spring/pom.xml sums=$PWD/examples/java-spring/jars.sha256
    ;;
*)
    echo "fetch-jars: expected kafka or spring, got \`$name\`" >&2
    exit 2
    ;;
esac
shift
folder=.deps/$name

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

echo "fetching $what"
mkdir -p "$folder"
partial=$(mktemp -d "$folder/partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT
# Maven's terminal codes are of use to nobody, its log is when it fails.
if ! mvn --batch-mode --file "$pom" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DoutputDirectory="$PWD/$partial" -DincludeScope=runtime >"$folder/maven.log" 2>&1; then
    echo "Maven could not fetch them:" >&2
    grep -a ERROR "$folder/maven.log" >&2 || tail -n 20 "$folder/maven.log" >&2
    exit 1
fi
if [[ ${1:-} == --record ]]; then
    (cd "$partial" && LC_ALL=C sha256sum -- *) >"$sums"
elif ! is_complete "$partial"; then
    echo "these jars are not those that ${sums#"$PWD/"} names:" >&2
    (cd "$partial" && sha256sum --check --quiet "$sums" 2>&1) >&2 || true
    exit 1
fi
chmod 755 "$partial"
rm -rf "$folder/libs"
mv "$partial" "$folder/libs"
