#!/usr/bin/env bash
# Puts Apicurio, the schema registry of the tests, under .deps/apicurio/: its archive comes by Maven and is checked by sha256 before
# it is unpacked. What is there already is not fetched again.
set -euo pipefail
cd "$(dirname "$0")/.."

version=2.6.13.Final
sum=3cda1b34aa020fb4ac4dd6a66018d757e81e437f97e20a1f92d366b70091c6ba
folder=.deps/apicurio

if [[ $(cat "$folder/sha256" 2>/dev/null) == "$sum" && -f $folder/app/apicurio-registry-app-$version-runner.jar ]]; then
    exit 0
fi

echo "fetching Apicurio $version"
mkdir -p "$folder"
partial=$(mktemp -d "$PWD/$folder/partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT
# Maven's terminal codes are of use to nobody, its log is when it fails.
if ! mvn --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
    -Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all" \
    -DoutputDirectory="$partial" >"$folder/maven.log" 2>&1; then
    echo "Maven could not fetch it:" >&2
    grep -a ERROR "$folder/maven.log" >&2 || tail -n 20 "$folder/maven.log" >&2
    exit 1
fi
archive=$partial/apicurio-registry-app-$version-all.tar.gz
if ! echo "$sum  $archive" | sha256sum --check --status; then
    echo "the archive is not the one that is known: $(sha256sum <"$archive")" >&2
    exit 1
fi
mkdir "$partial/app"
tar --extract --gzip --file "$archive" --directory "$partial/app"
chmod 755 "$partial/app"
rm -rf "$folder/app"
mv "$partial/app" "$folder/app"
# Last: where the sum is written, the program is whole.
echo "$sum" >"$folder/sha256"
