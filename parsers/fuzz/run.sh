#!/usr/bin/env bash
# Builds the fuzz targets with the stable toolchain and runs them one after the other; needs a C++ compiler, no cargo-fuzz.
# usage: parsers/fuzz/run.sh [SECONDS_EACH] [TARGET…]
# Finds go to artifacts/TARGET, corpora grow in work/TARGET and are merged into corpus/TARGET by `minimise`:
# usage: parsers/fuzz/run.sh minimise [TARGET…]
set -euo pipefail
cd "$(dirname "$0")"
all=(tracedat ring perfdata perfrecords eventformat text capture packed store ringdump symbols)
# What cargo-fuzz passes for `--sanitizer none`: coverage for libFuzzer. The parsers are safe code, so that no sanitizer is needed to see faults.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
-Ccodegen-units=1"
target=$(rustc -vV | sed -n 's/^host: //p')
cargo build --release --target "$target"
bin=${CARGO_TARGET_DIR:-target}/$target/release
# A small file must not cost seconds or gigabytes.
limits=(-timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=1024 -max_len=65536)
if [ "${1:-}" = minimise ]; then
    shift
    for name in "${@:-${all[@]}}"; do
        mkdir -p "work/$name" "smallest/$name"
        "$bin/$name" -merge=1 "${limits[@]}" "smallest/$name" "corpus/$name" "work/$name" 2>&1 | tail -1
    done
    exit
fi
seconds=${1:-600}
[ $# -gt 0 ] && shift
for name in "${@:-${all[@]}}"; do
    mkdir -p "work/$name" "artifacts/$name"
    echo "== $name, $seconds s"
    "$bin/$name" "${limits[@]}" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="artifacts/$name/" "work/$name" "corpus/$name" \
        > "work/$name.log" 2>&1 || echo "found something: artifacts/$name"
    grep -E '^stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)' "work/$name.log" || true
    grep -E 'cov: ' "work/$name.log" | tail -1 || true
done
