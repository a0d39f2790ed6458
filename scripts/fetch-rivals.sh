#!/usr/bin/env bash
# Puts what the rivals of the end-to-end benchmark (benches/e2e/rivals) run on under .deps/rivals: Python packages from
# wheels pinned by sha256, the JVM workers built by Maven with their jars, each jar checked against jars.sha256. What is there
# and up to date stays: a second run needs no network. `--record` writes that list anew, for a change of versions.
set -euo pipefail
cd "$(dirname "$0")/.."

rivals=benches/e2e/rivals
folder=.deps/rivals
requirements=$rivals/python/requirements.txt
sums=$rivals/jvm/jars.sha256

main() {
    need python3 "Python 3.11 or newer (Debian: python3)"
    need javac "a JDK, 17 or newer (Debian: openjdk-17-jdk-headless)"
    need mvn "Maven (Debian: maven)"
    mkdir -p "$folder"
    # Two of these at once would fetch into the same folders.
    exec {lock}>"$folder/lock"
    flock "$lock"
    # What an interrupted run left.
    rm -rf "$folder"/partial.*
    trap 'rm -rf "$folder"/partial.*' EXIT
    python_packages
    jvm_workers "${1:-}"
}

need() { # COMMAND WHAT
    if ! command -v "$1" >/dev/null || ! works "$1"; then
        echo "fetch-rivals: $1 is missing or too old: the rivals need $2" >&2
        exit 1
    fi
}

works() { # COMMAND: it runs and is new enough
    local major
    case $1 in
    python3) python3 -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ;;
    mvn) ;;
    javac)
        major=$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p')
        [[ ${major:-0} -ge 17 ]]
        ;;
    esac
}

# Another Python's wheels would not load: its version is part of what was installed.
python_packages() {
    local stamp partial
    stamp=$(python3 -c 'import sys, platform; print(*sys.version_info[:2], platform.machine())' | cat - "$requirements")
    if [[ -e $folder/python/requirements.txt && $(<"$folder/python/requirements.txt") == "$stamp" ]]; then
        return
    fi
    echo "fetching the Python rival's packages"
    partial=$(mktemp -d "$folder/partial.XXXXXX")
    python3 -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --root-user-action=ignore \
        --only-binary=:all: --require-hashes --target "$partial" --requirement "$requirements"
    printf '%s\n' "$stamp" >"$partial/requirements.txt"
    replace "$partial" "$folder/python"
}

jvm_workers() { # [--record]
    local source partial
    if [[ ${1:-} == --record ]]; then
        : >"$sums"
    fi
    source=$(sources)
    if [[ -e $folder/jvm/source.sha256 && $(<"$folder/jvm/source.sha256") == "$source" ]]; then
        return
    fi
    echo "building the JVM rivals"
    partial=$(mktemp -d "$folder/partial.XXXXXX")
    # Maven writes beside its pom: it gets a copy.
    mkdir "$partial/project" "$partial/jvm"
    cp -r $rivals/jvm/pom.xml $rivals/jvm/src "$partial/project/"
    if ! mvn --batch-mode --file "$partial/project/pom.xml" package dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$PWD/$partial/jvm/lib" >"$folder/maven.log" 2>&1; then
        echo "Maven could not build them:" >&2
        grep -a ERROR "$folder/maven.log" >&2 || tail -n 20 "$folder/maven.log" >&2
        exit 1
    fi
    if [[ ${1:-} == --record ]]; then
        (cd "$partial/jvm/lib" && LC_ALL=C sha256sum -- *) >"$sums"
        source=$(sources)
    elif ! (cd "$partial/jvm/lib" && sha256sum --check --status --strict) <"$sums"; then
        echo "these jars are not those that $rivals/jvm/jars.sha256 names:" >&2
        (cd "$partial/jvm/lib" && sha256sum --check --quiet 2>&1) <"$sums" >&2 || true
        exit 1
    fi
    cp "$partial/project/target/rivals-1.jar" "$partial/jvm/lib/"
    native_libraries "$partial/jvm"
    echo "$source" >"$partial/jvm/source.sha256"
    replace "$partial/jvm" "$folder/jvm"
}

# One sum of all that the jars are made from.
sources() {
    find "$rivals/jvm/pom.xml" "$rivals/jvm/src" "$sums" -type f -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum
}

# A worker would unpack them at every start, and leave them behind when it is killed.
native_libraries() { # FOLDER
    python3 - "$1" <<'PYTHON'
import pathlib, platform, sys, zipfile

folder = pathlib.Path(sys.argv[1])
machine = {"x86_64": "linux-x64", "aarch64": "linux-aarch64"}[platform.machine()]
(jar,) = folder.glob("lib/onnxruntime-*.jar")
(folder / "native").mkdir()
with zipfile.ZipFile(jar) as files:
    for name in ("libonnxruntime.so", "libonnxruntime4j_jni.so"):
        (folder / "native" / name).write_bytes(files.read(f"ai/onnxruntime/native/{machine}/{name}"))
PYTHON
}

replace() { # NEW OLD
    chmod 755 "$1"
    rm -rf "$2"
    mv "$1" "$2"
}

main "$@"
