#!/usr/bin/env bash
# Puts ONNX Runtime's shared library under .deps/onnxruntime/ (or the folder that is given), out of the wheel that its
# makers publish: pinned by version and by sha256 of the wheel and of the library. A broken library would end the process
# without a word when it is loaded, hence the check at every run.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.31.1
case $(uname -m) in
x86_64)
    wheel_sha256=5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f
    library_sha256=fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3
    ;;
aarch64)
    wheel_sha256=da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3
    library_sha256=8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467
    ;;
*)
    echo "ONNX Runtime $version is pinned for x86_64 and aarch64 only; point ORT_DYLIB_PATH to a library of your own" >&2
    exit 1
    ;;
esac
folder=${1:-.deps/onnxruntime}
library=libonnxruntime.so.$version

is_whole() { # SHA256 FILE
    sha256sum --check --status <<<"$1  $2" 2>/dev/null
}

if is_whole "$library_sha256" "$folder/$library" && [[ -e $folder/libonnxruntime.so ]]; then
    exit 0
fi

echo "fetching ONNX Runtime $version"
mkdir -p "$folder"
partial=$(mktemp -d "$folder/partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT
# Any Python does: the platform of the wheel is named, not that of the interpreter.
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --python-version 3.11 --implementation cp --platform "manylinux_2_28_$(uname -m)" \
    --dest "$partial" "onnxruntime==$version"
wheels=("$partial"/*.whl)
if ! is_whole "$wheel_sha256" "${wheels[0]}"; then
    echo "the wheel of onnxruntime $version is not the one that is pinned: its sha256 is not $wheel_sha256" >&2
    exit 1
fi
python3 - "${wheels[0]}" "$partial" "$library" <<'PYTHON'
import pathlib, sys, zipfile

wheel, folder, library = sys.argv[1:]
with zipfile.ZipFile(wheel) as files:
    for name in (f"capi/{library}", "LICENSE", "ThirdPartyNotices.txt"):
        pathlib.Path(folder, pathlib.Path(name).name).write_bytes(files.read(f"onnxruntime/{name}"))
PYTHON
if ! is_whole "$library_sha256" "$partial/$library"; then
    echo "$library out of the wheel is not the one that is pinned: its sha256 is not $library_sha256" >&2
    exit 1
fi
chmod 644 "$partial"/*
# The library last: where it is, all of it is.
mv -f "$partial"/LICENSE "$partial"/ThirdPartyNotices.txt "$folder/"
mv -f "$partial/$library" "$folder/"
# A name without the version, for those who need not know it.
ln -sf "$library" "$folder/libonnxruntime.so"
