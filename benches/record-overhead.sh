#!/usr/bin/env bash
# Measures what recording costs a loop of fork and exec: its time alone, and recorded in each way, in one run, alternating; prints
# medians. The CPU time is that of the loop and its children, in which the kernel's part of recording falls; the time on the
# clock has the recorder's part, too, as far as that takes a core from the loop. Needs root and a build of slubreplay; ways that
# do not work here are left out.
# usage: benches/record-overhead.sh [FORKS] [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
forks=${1:-2000}
rounds=${2:-5}
slubreplay=${SLUBREPLAY:-target/release/slubreplay}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The loop tells its own times, so that starting and ending the recorder and the snapshots do not count.
cat > "$folder/loop.sh" << 'LOOP'
start=$(date +%s%N)
i=0
while [ "$i" -lt "$1" ]; do /bin/true; i=$((i + 1)); done
end=$(date +%s%N)
{ echo $((end - start)); times; } > "$2"
LOOP

run() {
    rm -rf "$folder/capture" "$folder/told"
    case $1 in
        none) sh "$folder/loop.sh" "$forks" "$folder/told" ;;
        *) "$slubreplay" record -o "$folder/capture" --with "$1" -- sh "$folder/loop.sh" "$forks" "$folder/told" > /dev/null 2> "$folder/log" ;;
    esac
}
# Milliseconds on the clock, and of CPU: the sum of the four times (`0m1.250s`) of shell and children.
clock_ms() { awk 'NR == 1 { printf "%.0f ", $1 / 1e6 }' "$folder/told"; }
cpu_ms() {
    awk 'NR > 1 { for (i = 1; i <= NF; i++) { split($i, part, /[ms]/); sum += part[1] * 60 + part[2] } } END { printf "%.0f ", sum * 1000 }' \
        "$folder/told"
}

ways=(none)
for way in perf trace-cmd tracefs; do
    if run "$way"; then ways+=("$way"); else echo "left out: $way: $(sed -n '/^error/p' "$folder/log")"; fi
done
declare -A clock cpu told
for ((round = 0; round < rounds; round++)); do
    for way in "${ways[@]}"; do
        run "$way"
        clock[$way]+=$(clock_ms)
        cpu[$way]+=$(cpu_ms)
        [ "$way" = none ] || told[$way]=$(sed -n 's/^recorded \(.*\), into .*/\1/p; s/^lost \([^:]*\).*/, lost \1/p' "$folder/log" | tr -d '\n')
    done
done
median() { tr ' ' '\n' <<< "$1" | grep . | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
printf '%-10s %9s %9s %9s %9s  %s\n' "$forks forks" 'clock ms' 'more by' 'CPU ms' 'more by' 'last recording'
for way in "${ways[@]}"; do
    awk -v way="$way" -v clock="$(median "${clock[$way]}")" -v clock0="$(median "${clock[none]}")" \
        -v cpu="$(median "${cpu[$way]}")" -v cpu0="$(median "${cpu[none]}")" -v told="${told[$way]-}" \
        'BEGIN { printf "%-10s %9d %8.0f%% %9d %8.0f%%  %s\n", way, clock, (clock / clock0 - 1) * 100, cpu, (cpu / cpu0 - 1) * 100, told }'
done
