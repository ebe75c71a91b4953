#!/usr/bin/env bash
# Runs the concurrent models under AddressSanitizer and ThreadSanitizer, which need a nightly toolchain, and under valgrind where there is
# none. `SLUBREPLAY_STRESS_OPS` says how many operations each stress run has (200,000 unless said otherwise).
#
# The standard library is not instrumented (that takes rust-src): ThreadSanitizer is blind inside of it. Nothing that the models use waits or
# signals there; what the test harness does is in tsan.supp.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CARGO_TERM_COLOR=never
export SLUBREPLAY_STRESS_OPS="${SLUBREPLAY_STRESS_OPS:-200000}"
target="${CARGO_TARGET_DIR:-target}"
host=$(rustc -vV | sed -n 's/^host: //p')

under() {
    local sanitizer=$1 options=$2
    echo "== ${sanitizer}Sanitizer"
    env RUSTFLAGS="-Zsanitizer=$sanitizer -Cunsafe-allow-abi-mismatch=sanitizer" "$options" CARGO_TARGET_DIR="$target/$sanitizer" \
        cargo +nightly test --locked --no-default-features --lib --target "$host" -- \
        --test-threads 1 concurrent::stress replay::threads
}

if cargo +nightly --version >/dev/null 2>&1; then
    under address ASAN_OPTIONS=detect_leaks=1
    under thread "TSAN_OPTIONS=halt_on_error=1 suppressions=$PWD/tests/concurrency/tsan.supp"
else
    echo "== no nightly toolchain: valgrind"
    binary=$(cargo test --locked --no-default-features --lib --no-run --message-format short 2>&1 | sed -n 's/.*(\(.*\))$/\1/p' | tail -1)
    SLUBREPLAY_STRESS_OPS=20000 valgrind --error-exitcode=9 --quiet "$binary" concurrent::stress
fi
