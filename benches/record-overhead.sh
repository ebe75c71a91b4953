#!/usr/bin/env bash
# Measures what recording costs a loop of fork and exec: its time alone, and recorded in each way, in one run, alternating; prints
# medians. Needs root and a release build; ways that do not work here are left out.
# usage: benches/record-overhead.sh [FORKS] [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
forks=${1:-2000}
rounds=${2:-5}
slubreplay=${SLUBREPLAY:-target/release/slubreplay}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The loop tells its own time, so that starting and ending the recorder and the snapshots do not count.
cat > "$folder/loop.sh" << 'LOOP'
start=$(date +%s%N)
i=0
while [ "$i" -lt "$1" ]; do /bin/true; i=$((i + 1)); done
echo $(($(date +%s%N) - start)) > "$2"
LOOP

run() {
    rm -rf "$folder/capture" "$folder/ns"
    case $1 in
        none) sh "$folder/loop.sh" "$forks" "$folder/ns" ;;
        *) "$slubreplay" record -o "$folder/capture" --with "$1" -- sh "$folder/loop.sh" "$forks" "$folder/ns" > /dev/null 2> "$folder/log" ;;
    esac
}

ways=(none)
for way in perf trace-cmd tracefs; do
    if run "$way"; then ways+=("$way"); else echo "left out: $way: $(sed -n '/^error/p' "$folder/log")"; fi
done
declare -A times told
for ((round = 0; round < rounds; round++)); do
    for way in "${ways[@]}"; do
        run "$way"
        times[$way]+="$(cat "$folder/ns") "
        [ "$way" = none ] || told[$way]=$(sed -n 's/^recorded \(.*\), into .*/\1/p; s/^\(lost .*\)/; \1/p' "$folder/log" | cut -d: -f1 | tr -d '\n')
    done
done
median() { tr ' ' '\n' <<< "$1" | grep . | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
base=$(median "${times[none]}")
printf '%-10s %10s %10s %9s  %s\n' "$forks forks" 'median ms' 'us a fork' 'slower by' 'last recording'
for way in "${ways[@]}"; do
    awk -v way="$way" -v ns="$(median "${times[$way]}")" -v base="$base" -v forks="$forks" -v told="${told[$way]-}" \
        'BEGIN { printf "%-10s %10.0f %10.0f %8.1f%%  %s\n", way, ns / 1e6, ns / 1e3 / forks, (ns / base - 1) * 100, told }'
done
