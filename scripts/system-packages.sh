#!/usr/bin/env bash
# Installs what a bare Debian lacks: a C compiler and OpenSSL's headers (librdkafka), Java 17 and Maven (the broker of
# the tests), OpenSSL's program (certificates of the tests), pip (the wheel of ONNX Runtime). Looks for what is needed, not for packages; asks apt only if it is missing.
set -euo pipefail

# With a compiler: the tests run a Java client from its source.
java_is_recent() {
    local major
    command -v javac >/dev/null || return 1
    major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
    [[ ${major:-0} -ge 17 ]]
}

openssl_is_there() {
    command -v pkg-config && pkg-config --exists libssl
}

missing=()
need() { # PACKAGE COMMAND...: the package is missing if the command fails
    "${@:2}" >/dev/null 2>&1 || missing+=("$1")
}

need build-essential eval 'command -v cc && command -v c++ && command -v make'
need pkg-config command -v pkg-config
need libssl-dev openssl_is_there
need openssl command -v openssl
need default-jdk-headless java_is_recent
need maven command -v mvn
need python3 command -v python3
# Running pip to see whether it is there would take longer than all the rest.
need python3-pip python3 -c 'import importlib.util as find, sys; sys.exit(find.find_spec("pip") is None)'

[[ ${#missing[@]} -gt 0 ]] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]} (names of Debian's packages); install them in your system's way, then try again" >&2
    exit 1
fi
as_root=()
if [[ $(id -u) -ne 0 ]]; then
    if ! command -v sudo >/dev/null; then
        echo "missing: ${missing[*]}; install them as root, then try again: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null

if ! java_is_recent; then
    echo "java is older than 17, which Apache Kafka 4 needs; put a newer one first in PATH" >&2
    exit 1
fi
