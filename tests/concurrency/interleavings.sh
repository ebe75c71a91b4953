#!/usr/bin/env bash
# Explores every order in which threads may come, with loom, in the tests of src/allocators/concurrent/interleavings.rs.
set -euo pipefail
cd "$(dirname "$0")/../.."
RUSTFLAGS="--cfg slub_loom -A dead_code -A unused_imports" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/loom" \
    cargo test --locked --no-default-features --lib interleavings
