#!/bin/sh
# Records a capture of this machine for slubreplay: a trace of the kernel's memory events, with the kernel's own figures
# before and after. Does what `slubreplay record` does, without it. Needs root, a shell, and of the usual tools cat, dd, grep, mkdir,
# mkfifo, mount, readlink, rm, rmdir, sed, sleep, uname; trace-cmd or perf if they are there.
set -u
export LC_ALL=C

usage() {
    cat <<'USAGE'
Usage: record.sh [-o DIR] [--duration SECS] [--with trace-cmd|perf|tracefs] [--no-page-events] [-- COMMAND...]

Records a capture of this machine into DIR (slubreplay-capture), while COMMAND runs or for SECS seconds (10).

Exit status: 0 recorded; 1 could not record; 2 the command line was wrong; 4 recorded, but COMMAND failed;
130 recorded until Ctrl-C ended it early; the capture is complete up to then.
USAGE
}

say() { echo "$*" >&2; }
fail() {
    say "error: $1"
    [ $# -gt 1 ] && say "hint: $2"
    exit 1
}
wrong() {
    say "error: $1"
    say "hint: record.sh --help"
    exit 2
}

out=slubreplay-capture
duration=
with=
page_events=yes
while [ $# -gt 0 ]; do
    case $1 in
        -o | --out | --duration | --with)
            [ $# -gt 1 ] || wrong "$1: a value is missing"
            case $1 in
                --duration) duration=$2 ;;
                --with) with=$2 ;;
                *) out=$2 ;;
            esac
            shift
            ;;
        --out=*) out=${1#*=} ;;
        --duration=*) duration=${1#*=} ;;
        --with=*) with=${1#*=} ;;
        --no-page-events) page_events=no ;;
        -h | --help)
            usage
            exit 0
            ;;
        --)
            shift
            break
            ;;
        *) wrong "$1: not understood; COMMAND comes after --" ;;
    esac
    shift
done
case $with in
    '' | trace-cmd | perf | tracefs) ;;
    *) wrong "--with $with: expected trace-cmd, perf or tracefs" ;;
esac
case $duration in
    *[!0-9.]* | *.*.* | .) wrong "--duration $duration: expected seconds" ;;
esac
if [ $# -gt 0 ] && ! command -v "$1" > /dev/null 2>&1; then
    wrong "$1: there is no such program"
fi
if [ -e "$out" ] && [ ! -d "$out" ]; then
    fail "$out: not a directory" "name a new directory with -o DIR"
fi
for entry in "$out"/* "$out"/.[!.]*; do
    if [ -e "$entry" ] || [ -L "$entry" ]; then
        fail "$out: there is something in it" "name a new directory with -o DIR"
    fi
done

# --- tracefs -------------------------------------------------------------------------------------------------------

tracefs=
mounted=no
for place in /sys/kernel/tracing /sys/kernel/debug/tracing; do
    if [ -d $place/events ]; then
        tracefs=$place
        break
    fi
done
if [ -z "$tracefs" ]; then
    mount -t tracefs nodev /sys/kernel/tracing 2> /dev/null && mounted=yes
    tracefs=/sys/kernel/tracing
    [ -d $tracefs/events ] ||
        fail "there is no tracefs at /sys/kernel/tracing or /sys/kernel/debug/tracing, and it could not be mounted" \
            "run as root (sudo); the kernel needs CONFIG_FTRACE and CONFIG_ENABLE_DEFAULT_TRACERS or a tracer, and no lockdown"
fi
[ -w $tracefs/trace_marker ] ||
    fail "$tracefs: cannot use the kernel's tracing" "recording takes root: sudo sh record.sh ...; in a container, --privileged"

events=
wanted='kmem/kmalloc kmem/kmalloc_node kmem/kfree kmem/kmem_cache_alloc kmem/kmem_cache_alloc_node kmem/kmem_cache_free'
if [ $page_events = yes ]; then
    wanted="$wanted kmem/mm_page_alloc kmem/mm_page_free kmem/mm_page_free_batched kmem/mm_page_pcpu_drain"
    wanted="$wanted kmem/mm_page_alloc_extfrag rcu/rcu_invoke_kfree_bulk_callback"
fi
for event in $wanted; do
    [ -e "$tracefs/events/$event/enable" ] && events="$events $event"
done
case $events in
    *kmem_cache_alloc*kmem_cache_free*) ;;
    *) fail "$tracefs: this kernel has no events kmem:kmem_cache_alloc and kmem:kmem_cache_free" \
        "they need CONFIG_TRACING; ls /sys/kernel/tracing/events/kmem shows what there is" ;;
esac

# --- cleaning up ---------------------------------------------------------------------------------------------------

watch=$tracefs/instances/slubreplay-watch-$$
instance=$tracefs/instances/slubreplay-record-$$
tool=
command_pid=
stopped=no

remove_instance() {
    [ -d "$1" ] || return 0
    echo 0 > "$1/tracing_on"
    echo 0 > "$1/events/enable"
    tries=0
    while ! rmdir "$1" 2> /dev/null && [ $tries -lt 5 ]; do
        sleep 1
        tries=$((tries + 1))
    done
}

# shellcheck disable=SC2086,SC2317
clean_up() {
    exec 3>&- 4>&-
    [ -n "$tool" ] && wait "$tool"
    remove_instance "$watch"
    remove_instance "$instance"
    rm -f "$out/.go" "$out/.ready"
    [ $mounted = yes ] && umount $tracefs 2> /dev/null
    return 0
}
trap clean_up EXIT
trap 'stopped=yes; [ -n "$command_pid" ] && kill "$command_pid" 2> /dev/null' INT TERM HUP

mkdir -p "$out" || fail "$out: cannot make the directory"

make_instance() { # folder, KiB
    mkdir "$1" || fail "$1: cannot make a trace buffer" "recording takes root, and a kernel of 3.10 or later"
    echo 0 > "$1/tracing_on"
    echo global > "$1/trace_clock"
    echo "$2" > "$1/buffer_size_kb" || fail "$1: cannot have $2 KiB for each CPU" "is there too little memory for the buffers?"
}

start_instance() {
    for event in $events; do
        echo 1 > "$1/events/$event/enable" || fail "$1: cannot switch on $event"
    done
    echo 1 > "$1/tracing_on"
}

# --- a look at the machine -----------------------------------------------------------------------------------------

make_instance "$watch" 512
start_instance "$watch"
sleep 1
echo 0 > "$watch/tracing_on"
rate=0
bytes=0
busiest=0
cpus=0
for stats in "$watch"/per_cpu/cpu*/stats; do
    entries=0
    lost=0
    held=0
    while read -r key value _; do
        case $key in
            entries:) entries=$value ;;
            overrun:) lost=$value ;;
            bytes:) held=$value ;;
        esac
    done < "$stats"
    here=0
    [ "$entries" -gt 0 ] && here=$(((entries + lost) * (held / entries)))
    rate=$((rate + entries + lost))
    bytes=$((bytes + here))
    [ $here -gt $busiest ] && busiest=$here
    cpus=$((cpus + 1))
done
remove_instance "$watch"
# For buffers that have to hold everything: how long it will take, as far as that is known.
seconds=60
if [ -n "$duration" ]; then seconds=$duration; elif [ $# -eq 0 ]; then seconds=10; fi
memory_kb=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)
memory_kb=${memory_kb:-1048576}
most_kb=$((memory_kb / 8 / cpus))
[ $most_kb -gt 131072 ] && most_kb=131072
buffer_kb=64
while [ $((buffer_kb * 2)) -le $most_kb ] && { [ $buffer_kb -lt 8192 ] || [ $buffer_kb -lt $((busiest / 32)) ]; }; do
    buffer_kb=$((buffer_kb * 2))
done
page_size=$(getconf PAGESIZE 2> /dev/null || echo 4096)

# --- recording -----------------------------------------------------------------------------------------------------

# trace-cmd and perf record while a shell runs that waits for the end of a pipe, which we hold.
start_tool() {
    list=
    for event in $events; do
        list="$list -e ${event%%/*}:${event#*/}"
    done
    rm -f "$out/.go" "$out/.ready"
    mkfifo "$out/.go" || fail "$out: cannot make a pipe"
    # shellcheck disable=SC2016
    wait='echo ready > "$1/.ready"; cat "$1/.go" > /dev/null'
    # shellcheck disable=SC2086
    case $1 in
        trace-cmd) set -- trace-cmd record -B "${instance##*/}" -d -k -C global -b $buffer_kb $list -o "$out/trace.dat" sh -c "$wait" sh "$out" ;;
        perf) set -- perf record -q -a -R -B -N -m $((buffer_kb * 1024 / page_size)) $list -o "$out/perf.data" -- sh -c "$wait" sh "$out" ;;
    esac
    # Ctrl-C in a terminal goes to all: the tool is to end when we say so.
    (
        trap '' INT
        exec "$@"
    ) > /dev/null 2> "$out/recorder.log" < /dev/null &
    tool=$!
    tries=0
    while [ ! -e "$out/.ready" ]; do
        if ! kill -0 $tool 2> /dev/null || [ $tries -gt 30 ]; then
            kill $tool 2> /dev/null
            wait $tool
            tool=
            remove_instance "$instance"
            rm -f "$out/.go" "$out/trace.dat" "$out/perf.data" "$out"/trace.dat.cpu*
            return 1
        fi
        sleep 1
        tries=$((tries + 1))
    done
    # For reading too, so that opening does not wait.
    exec 4<> "$out/.go"
    return 0
}

# Reading a buffer that is being filled takes pages with a handful of events each, unless one waits between reads, which a shell
# cannot do without running programs all the time. So the buffers are made as large as may be, and copied at the end.
start_buffers() {
    whole=${seconds%%.*}
    while [ $((buffer_kb * 2)) -le $((memory_kb / 8 / cpus)) ] && [ $buffer_kb -lt 524288 ] && [ $buffer_kb -lt $((busiest * 3 * (${whole:-0} + 3) / 1024)) ]; do
        buffer_kb=$((buffer_kb * 2))
    done
    make_instance "$instance" $buffer_kb
    start_instance "$instance"
}

copy_buffers() {
    echo 0 > "$instance/tracing_on"
    # Since 6.8 sub-buffers may be larger than a page. One read gives one of them, whole; the end is reached as nothing is added.
    sub_kb=$((page_size / 1024))
    [ -e "$instance/buffer_subbuf_size_kb" ] && read -r sub_kb < "$instance/buffer_subbuf_size_kb"
    for stats in "$instance"/per_cpu/cpu*/stats; do
        from=${stats%/*}
        to=$out/ring/${from#"$instance"/}
        mkdir -p "$to"
        cat "$stats" > "$to/stats"
        dd if="$from/trace_pipe_raw" of="$to/trace_pipe_raw" bs="${sub_kb}k" 2> /dev/null ||
            fail "$to: cannot copy the pages of this CPU" "is there room for $(sed -n 's/^bytes: //p' "$stats") bytes?"
    done
    cat "$out/uname" > "$out/ring/uname"
    for name in events/header_page events/header_event saved_cmdlines printk_formats trace_clock; do
        copy_text "$name"
    done
    for event in $events ftrace/print; do
        copy_text "events/$event/format"
    done
}

copy_text() {
    from=$instance/$1
    [ -e "$from" ] || from=$tracefs/$1
    to=$out/ring/$1
    mkdir -p "${to%/*}"
    [ -e "$from" ] && cat "$from" > "$to"
}

way=
for candidate in ${with:-trace-cmd perf tracefs}; do
    case $candidate in
        tracefs)
            start_buffers
            way=tracefs
            break
            ;;
        *)
            if ! command -v "$candidate" > /dev/null 2>&1; then
                [ -n "$with" ] && fail "cannot run $candidate" "install it, or record with another way: --with tracefs"
                continue
            fi
            if start_tool "$candidate"; then
                way=$candidate
                break
            fi
            [ -n "$with" ] && fail "$candidate did not begin to record: $(sed -n '1,3p' "$out/recorder.log" | tr '\n' ' ')" \
                "record with another way: --with tracefs"
            say "note: $candidate did not begin to record; trying the next way"
            ;;
    esac
done
[ "$way" = perf ] && bytes=$((bytes + rate * 68))
case $way in
    perf) event_ns=900 ;;
    trace-cmd) event_ns=450 ;;
    *) event_ns=400 ;;
esac
share=$((rate * event_ns / 100000))
say "recording with $way: in the second before there were $rate events, which make $((bytes * 60 / 1048576)) MiB a minute and take" \
    "$((share / 100)).$((share / 10 % 10))$((share % 10)) % of one CPU; buffers of $((buffer_kb / 1024)) MiB for each of $cpus CPUs"

# --- the machine ---------------------------------------------------------------------------------------------------

uname -a > "$out/uname"
cat /proc/cmdline > "$out/cmdline"
cat /sys/devices/system/cpu/possible > "$out/cpu_possible"
cat /sys/devices/system/cpu/online > "$out/cpu_online"
echo "$page_size" > "$out/page_size"
: > "$out/nodes"
for node in /sys/devices/system/node/node[0-9]*; do
    [ -e "$node/cpulist" ] && echo "${node##*/} $(cat "$node/cpulist")" >> "$out/nodes"
done
[ -s "$out/nodes" ] || echo "node0 $(cat /sys/devices/system/cpu/online)" > "$out/nodes"
if [ -r /proc/config.gz ]; then
    cat /proc/config.gz > "$out/config.gz"
elif [ -r "/boot/config-$(uname -r)" ]; then
    gzip -9 -c "/boot/config-$(uname -r)" > "$out/config.gz"
else
    say "note: this machine has no config.gz; the replay does without"
fi

# --- snapshots -----------------------------------------------------------------------------------------------------

# By perf no markers are recorded.
if [ -e "$instance/trace_marker" ]; then
    exec 3> "$instance/trace_marker"
else
    exec 3> /dev/null
fi

# Reads all attributes, in a process that does nothing else; no program is run for it, as each would allocate far more than the
# reading. The first time makes the kernel allocate what it keeps; the second time counts.
read_slabs() (
    cd /sys/kernel/slab 2> /dev/null || exit 0
    for round in 1 2; do
        if [ $round = 1 ]; then exec 5> /dev/null; else exec 5>> "$1"; fi
        [ $round = 2 ] && echo 'slubreplay-snap begin' >&3
        for name in * .[!.]*; do
            if [ ! -d "$name" ] || [ -L "$name" ]; then continue; fi
            [ $round = 2 ] && echo "slubreplay-snap $name" >&3
            for file in "$name"/*; do
                case ${file##*/} in
                    validate | shrink | trace | poison | red_zone | store_user | sanity_checks | failslab | alloc_calls | free_calls | ctor) continue ;;
                esac
                value=
                { IFS= read -r value < "$file"; } 2> /dev/null
                while [ "${value% }" != "$value" ]; do value=${value% }; done
                echo "$name,${file##*/},$value" >&5
            done
        done
    done
    echo 'slubreplay-snap end' >&3
)

# Merged names. This runs programs, so it comes before anything that the trace is to show undisturbed.
list_aliases() {
    for link in /sys/kernel/slab/* /sys/kernel/slab/.[!.]*; do
        if [ -L "$link" ]; then
            target=$(readlink "$link")
            echo "${link##*/},@alias,${target##*/}"
        fi
    done
}

snapshot() { # before or after
    case $out in
        /*) into=$out ;;
        *) into=$PWD/$out ;;
    esac
    list_aliases > "$out/slab.$1"
    for name in buddyinfo pagetypeinfo zoneinfo meminfo; do
        cat /proc/$name > "$out/$name.$1" 2> /dev/null
    done
    read_slabs "$into/slab.$1"
    cat /proc/slabinfo > "$out/slabinfo.$1" 2> /dev/null
    echo "slubreplay-slabinfo $1" >&3
    for name in buddyinfo pagetypeinfo zoneinfo meminfo slab slabinfo; do
        [ -s "$out/$name.$1" ] && continue
        rm -f "$out/$name.$1"
        say "note: this machine has no $name; the replay does without"
    done
}

snapshot before
status=0
if [ $# -gt 0 ]; then
    # What runs in the background has no input of its own.
    exec 6<&0
    "$@" <&6 3>&- 4>&- 6<&- &
    command_pid=$!
    killer=
    if [ -n "$duration" ]; then
        (sleep "$duration" && kill $command_pid) > /dev/null 2>&1 3>&- 4>&- 6<&- &
        killer=$!
    fi
    wait $command_pid
    status=$?
    # A signal ends the waiting, not the command.
    [ $stopped = yes ] && wait $command_pid
    if [ -n "$killer" ]; then
        # It has killed the command, whose time was over: that is no failure.
        kill $killer 2> /dev/null || status=0
    fi
    command_pid=
else
    sleep "${duration:-10}" 3>&- 4>&- &
    command_pid=$!
    wait $command_pid
    command_pid=
fi
snapshot after
exec 3>&-

# --- the end -------------------------------------------------------------------------------------------------------

lost=0
if [ "$way" = tracefs ]; then
    for stats in "$instance"/per_cpu/cpu*/stats; do
        while read -r key value more; do
            case "$key $value" in
                'overrun: '* ) lost=$((lost + value)) ;;
                'dropped events:') lost=$((lost + more)) ;;
            esac
        done < "$stats"
    done
    copy_buffers
else
    exec 4>&-
    wait $tool || fail "$way failed: $(sed -n '1,3p' "$out/recorder.log" | tr '\n' ' ')"
    tool=
fi
rm -f "$out/recorder.log"
sed -n '1,2000s/^0*\([0-9a-f]\)/\1/p' /proc/kallsyms 2> /dev/null | grep -q '^[1-9a-f]' && cat /proc/kallsyms > "$out/kallsyms"

if [ "$lost" != 0 ]; then
    say "lost $lost events: the replay infers what it can; --no-page-events or a shorter recording loses fewer"
fi
say "recorded into $out"
say "next: slubreplay info $out      (tells what was lost, too)"
say "      slubreplay $out"
say "      slubreplay verify $out"
if [ $stopped = yes ]; then
    exit 130
fi
if [ $status -ne 0 ]; then
    say "error: $1 failed: exit status $status; the capture is complete"
    exit 4
fi
exit 0
