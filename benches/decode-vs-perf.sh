#!/usr/bin/env bash
# Compares reading a perf.data with perf's own readers, in one run, alternating; prints medians, best times and ratios.
# Needs perf (Debian package linux-perf) and a release build. No perf.data is shipped: name one of your own.
# usage: benches/decode-vs-perf.sh TRACE [ROUNDS]
set -euo pipefail
trace=$(realpath "${1:?usage: benches/decode-vs-perf.sh TRACE [ROUNDS]}")
rounds=${2:-5}
cd "$(dirname "$0")/.."
slubreplay=${SLUBREPLAY:-target/release/slubreplay}

names=("slubreplay info, 1 thread" "slubreplay info" "perf script" "perf kmem stat")
run() {
    case $1 in
        0) RAYON_NUM_THREADS=1 "$slubreplay" info "$trace" ;;
        1) "$slubreplay" info "$trace" ;;
        2) perf script -f -i "$trace" ;;
        3) perf kmem -f -i "$trace" stat ;;
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
sorted() { tr ' ' '\n' <<< "$1" | grep . | sort -n; }
median() { sorted "$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
best() { sorted "$1" | head -1; }
base=$(best "${times[0]}")
printf '%-28s %10s %10s %14s %8s\n' "$(basename "$trace")" 'median ms' 'best ms' 'events/s' 'ratio'
for which in 0 1 2 3; do
    ns=$(best "${times[$which]}")
    awk -v name="${names[$which]}" -v median="$(median "${times[$which]}")" -v ns="$ns" -v events="$events" -v base="$base" \
        'BEGIN { printf "%-28s %10.1f %10.1f %14.0f %8.1f\n", name, median / 1e6, ns / 1e6, events * 1e9 / ns, ns / base }'
done
echo 'events/s and ratio are those of the best run: others may use the machine too'
