#!/usr/bin/env bash
# Compares reading a trace.dat with trace-cmd's readers, in one run, alternating; prints medians and ratios.
# Needs trace-cmd (Debian package trace-cmd) and a release build.
# usage: benches/decode-vs-trace-cmd.sh [TRACE] [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
trace=${1:-traces/forkexec-6.12/trace.dat}
rounds=${2:-5}
slubreplay=${SLUBREPLAY:-target/release/slubreplay}

names=("slubreplay info, 1 thread" "slubreplay info" "trace-cmd report" "trace-cmd mem")
run() {
    case $1 in
        0) RAYON_NUM_THREADS=1 "$slubreplay" info "$trace" ;;
        1) "$slubreplay" info "$trace" ;;
        2) trace-cmd report "$trace" ;;
        3) trace-cmd mem -i "$trace" ;;
    esac > /dev/null 2>&1
}

declare -A times
for ((round = 0; round < rounds; round++)); do
    for which in 0 1 2 3; do
        start=$(date +%s%N)
        run "$which"
        times[$which]+="$(($(date +%s%N) - start)) "
    done
done
events=$("$slubreplay" info "$trace" --format json | sed -n '/"events"/,/}/s/.*: \([0-9]*\),\{0,1\}$/\1/p' | awk '{ sum += $1 } END { print sum }')
median() { tr ' ' '\n' <<< "$1" | grep . | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
base=$(median "${times[0]}")
printf '%-28s %10s %14s %8s\n' "$trace" 'median ms' 'events/s' 'ratio'
for which in 0 1 2 3; do
    ns=$(median "${times[$which]}")
    awk -v name="${names[$which]}" -v ns="$ns" -v events="$events" -v base="$base" \
        'BEGIN { printf "%-28s %10.1f %14.0f %8.1f\n", name, ns / 1e6, events * 1e9 / ns, ns / base }'
done
