#!/usr/bin/env bash
# Shows that the tests of interleavings can fail: applies each change of mutations/ to a copy of the sources, one at a time, and expects
# them to fail. Names of mutations as arguments choose some of them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0
export RUSTFLAGS="--cfg slub_loom -A dead_code -A unused_imports"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}/loom"

# Only what the library without its command line needs.
copy() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree"
    cp -r "$root"/{Cargo.toml,Cargo.lock,src,parsers,reports,benches,tests} "$work/tree"
}

test_interleavings() {
    (cd "$work/tree" && cargo test --locked --no-default-features --lib "$@" interleavings)
}

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for patch in "$here"/mutations/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi
missed=0
for name in "${names[@]}"; do
    copy
    patch --quiet --strip 1 --directory "$work/tree" <"$here/mutations/$name.patch"
    if ! test_interleavings --no-run >"$work/log" 2>&1; then
        cat "$work/log"
        echo "$name: does not compile" >&2
        exit 1
    fi
    # A mutation may also let a thread wait forever.
    if timeout 120 bash -c "cd '$work/tree' && cargo test --locked --no-default-features --lib interleavings" >"$work/log" 2>&1; then
        echo "MISSED  $name: every test passes"
        missed=$((missed + 1))
    else
        by=$(sed -n 's/^test .*::\(.*\) \.\.\. FAILED$/\1/p' "$work/log" | paste -sd' ')
        echo "caught  $name: ${by:-no end within 120 s}"
    fi
done
[ "$missed" -eq 0 ]
