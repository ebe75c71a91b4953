//! The head of a line: thread, CPU, context, time and event.
//!
//! A thread's name may hold any byte, so a line is not split at blanks: what follows the name is looked for as
//! a whole, and the first place where it fits is the right one. A name is too short to hold a forged one;
//! the arguments, which come later, are not.

use memchr::{memchr, memchr_iter};

use super::kind::Kind;
use super::number::{decimal, find_near, is_identifier, skip_blanks, trim_blanks_end};
use crate::event::Context;

/// How the heads of a file's lines are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `comm-pid [cpu] irqs time: event:`, as the kernel and trace-cmd print it.
    Thread,
    /// `comm-pid cpu+irqs time: event:`, the latency format of either.
    Latency,
    /// `comm tid [cpu] time: system:event:`, as perf prints it.
    Perf,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// An event.
    Event(Head<'a>),
    /// A line with a head that holds no event: of a function tracer, the start of a stack trace.
    Other,
    /// perf lost this many records.
    Lost { cpu: u16, time_ns: u64, count: Option<u64> },
}

/// The head of an event's line, and its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) pid: i32,
    /// `None` where perf printed none.
    pub(super) cpu: Option<u16>,
    pub(super) context: Context,
    pub(super) stamp: Stamp,
    /// The event's system; empty where lines have none.
    pub(super) system: &'a [u8],
    pub(super) name: &'a [u8],
    pub(super) kind: Option<Kind>,
    pub(super) arguments: &'a [u8],
    /// Place in the line where the name of the thread ends.
    pub(super) thread_end: usize,
}

/// A time stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) ns: u64,
    pub(super) unit: Unit,
}

/// What the last digit of a stamp stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Nanosecond,
    Microsecond,
    /// The clock does not run in seconds: jiffies, cycles or a count.
    Tick,
}

/// Bytes at the start of a line within which its thread's name ends.
const NAME_WITHIN: usize = 512;
/// Width of the column of names.
const NAME_COLUMNS: usize = 16;

/// What a line is; `None` if nothing in it is a head.
#[inline]
pub(super) fn line(line: &[u8], shape: Shape) -> Option<Line<'_>> {
    match shape {
        Shape::Thread => by_dash(line, NAME_COLUMNS, after_dash),
        Shape::Latency => by_dash(line, NAME_COLUMNS / 2, after_dash_latency),
        Shape::Perf => perf(line),
    }
}

/// Tries what is behind every `-`, the usual column first.
#[inline]
fn by_dash<'a>(line: &'a [u8], usual: usize, after: impl Fn(&'a [u8], usize) -> Option<Line<'a>>) -> Option<Line<'a>> {
    let at = |dash: usize| after(line.get(dash + 1..)?, dash);
    if line.get(usual) == Some(&b'-')
        && let Some(Line::Event(head)) = at(usual)
    {
        return Some(Line::Event(head));
    }
    by_any_dash(line, at)
}

#[inline(never)]
fn by_any_dash<'a>(line: &'a [u8], at: impl Fn(usize) -> Option<Line<'a>>) -> Option<Line<'a>> {
    let mut other = None;
    for dash in memchr_iter(b'-', line.get(..NAME_WITHIN).unwrap_or(line)) {
        match at(dash) {
            Some(Line::Event(head)) => return Some(Line::Event(head)),
            found => other = other.or(found),
        }
    }
    other
}

#[inline]
fn after_dash(bytes: &[u8], thread_end: usize) -> Option<Line<'_>> {
    let (pid, rest) = decimal(bytes)?;
    let mut rest = blanks(rest)?;
    if let [b'(', group @ ..] = rest {
        let close = memchr(b')', group)?;
        let (tgid, after) = group.split_at_checked(close)?;
        if !tgid.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-')) {
            return None;
        }
        rest = blanks(after.get(1..)?)?;
    }
    let (cpu, rest) = decimal(rest.strip_prefix(b"[")?)?;
    let rest = blanks(rest.strip_prefix(b"]")?)?;
    let (context, rest) = match rest {
        [b'0'..=b'9', ..] => (Context::default(), rest),
        _ => irq_info(rest)?,
    };
    event(pid, cpu, context, rest, thread_end)
}

/// In the latency format the CPU is glued to the irq info.
fn after_dash_latency(bytes: &[u8], thread_end: usize) -> Option<Line<'_>> {
    let (pid, rest) = decimal(bytes)?;
    let (cpu, rest) = decimal(blanks(rest)?)?;
    let (context, rest) = irq_info(rest)?;
    event(pid, cpu, context, rest, thread_end)
}

#[inline]
fn event(pid: u64, cpu: u64, context: Context, rest: &[u8], thread_end: usize) -> Option<Line<'_>> {
    let (pid, cpu) = (i32::try_from(pid).ok()?, u16::try_from(cpu).ok()?);
    let (stamp, rest) = stamp(rest)?;
    let mut rest = skip_blanks(rest);
    // trace-cmd report --ts-diff: the time since the line before.
    if let [b'(', b'+', difference @ ..] = rest {
        rest = skip_blanks(difference.get(memchr(b')', difference)? + 1..)?);
    }
    let Some((name, arguments)) = find_near(b':', rest).and_then(|colon| Some((rest.get(..colon)?, rest.get(colon + 1..)?))) else {
        return Some(Line::Other);
    };
    let kind = Kind::of(name);
    if kind.is_none() && !is_identifier(name) {
        return Some(Line::Other);
    }
    Some(Line::Event(Head { pid, cpu: Some(cpu), context, stamp, system: b"", name, kind, arguments, thread_end }))
}

/// What follows at least one blank.
#[inline]
fn blanks(bytes: &[u8]) -> Option<&[u8]> {
    matches!(bytes.first(), Some(b' ' | b'\t')).then(|| skip_blanks(bytes))
}

/// The time in front of a colon, and what follows that.
#[inline]
fn stamp(bytes: &[u8]) -> Option<(Stamp, &[u8])> {
    let (whole, rest) = decimal(bytes)?;
    match rest {
        [b'.', fraction @ ..] => {
            let (digits, rest) = decimal(fraction)?;
            let (unit, scale) = match fraction.len() - rest.len() {
                6 => (Unit::Microsecond, 1000),
                9 => (Unit::Nanosecond, 1),
                _ => return None,
            };
            let ns = whole.checked_mul(1_000_000_000)?.checked_add(digits * scale)?;
            Some((Stamp { ns, unit }, rest.strip_prefix(b":")?))
        }
        [b':', rest @ ..] => Some((Stamp { ns: whole, unit: Unit::Tick }, rest)),
        // The latency format: a mark for long delays is in between.
        [b'u', b's', b' ' | b'+' | b'!' | b'#' | b'*' | b'@' | b'$', b':', rest @ ..] => {
            Some((Stamp { ns: whole.checked_mul(1000)?, unit: Unit::Microsecond }, rest))
        }
        _ => None,
    }
}

/// The column of irq info. Four characters, five since 5.15 (and in 2.6.3x); with patches for real time up to
/// eight, of which it is not known which is which.
#[inline]
fn irq_info(bytes: &[u8]) -> Option<(Context, &[u8])> {
    if let Some(rest) = bytes.strip_prefix(b"..... ") {
        return Some((Context::default(), skip_blanks(rest)));
    }
    let (info, rest) = bytes.split_at_checked(find_near(b' ', bytes.get(..9).unwrap_or(bytes))?)?;
    let is_info = |byte: &u8| {
        byte.is_ascii_hexdigit() || matches!(byte, b'.' | b'X' | b'N' | b'n' | b'p' | b'L' | b'l' | b'h' | b's' | b'H' | b'z' | b'Z')
    };
    if info.len() < 4 || !info.iter().all(is_info) {
        return None;
    }
    Some((if info.len() <= 5 { context(info) } else { Context::default() }, skip_blanks(rest)))
}

/// The bits that the kernel made the column of (`trace_print_lat_fmt()`, `enum trace_flag_type`).
#[inline]
fn context(info: &[u8]) -> Context {
    const IRQS_OFF: u8 = 0x01;
    const LAZY: u8 = 0x02;
    const RESCHED: u8 = 0x04;
    const HARDIRQ: u8 = 0x08;
    const SOFTIRQ: u8 = 0x10;
    const PREEMPT: u8 = 0x20;
    const NMI: u8 = 0x40;
    const BH_OFF: u8 = 0x80;
    let &[irqs, resched, level, ..] = info else { return Context::default() };
    let irqs = match irqs {
        b'd' => IRQS_OFF,
        b'b' => BH_OFF,
        b'D' => IRQS_OFF | BH_OFF,
        _ => 0,
    };
    let resched = match resched {
        b'N' => RESCHED | PREEMPT,
        b'n' => RESCHED,
        b'p' => PREEMPT,
        b'L' => LAZY | PREEMPT,
        b'l' => LAZY,
        b'b' => RESCHED | LAZY,
        b'B' => RESCHED | LAZY | PREEMPT,
        _ => 0,
    };
    let level = match level {
        b's' => SOFTIRQ,
        b'h' => HARDIRQ,
        b'H' => HARDIRQ | SOFTIRQ,
        b'z' => NMI,
        b'Z' => NMI | HARDIRQ,
        _ => 0,
    };
    Context(irqs | resched | level)
}

/// A line of perf: the first colon that ends a time tells where everything is.
#[inline]
fn perf(line: &[u8]) -> Option<Line<'_>> {
    if let Some(Line::Event(head)) = perf_usual(line) {
        return Some(Line::Event(head));
    }
    perf_by_any_colon(line)
}

#[inline(never)]
fn perf_by_any_colon(line: &[u8]) -> Option<Line<'_>> {
    let mut other = None;
    for colon in memchr_iter(b':', line.get(..NAME_WITHIN).unwrap_or(line)) {
        match line.split_at_checked(colon).and_then(|(before, after)| perf_around(before, after.get(1..)?)) {
            Some(Line::Other) => other = Some(Line::Other),
            Some(found) => return Some(found),
            None => {}
        }
    }
    other
}

/// A line as perf mostly prints it: the name in its column, one number for the thread, and a CPU.
#[inline]
fn perf_usual(line: &[u8]) -> Option<Line<'_>> {
    let thread = blanks(line.get(NAME_COLUMNS..)?)?;
    let (tid, rest) = decimal(thread)?;
    let (cpu, rest) = decimal(blanks(rest)?.strip_prefix(b"[")?)?;
    let (stamp, after) = stamp(blanks(rest.strip_prefix(b"]")?)?)?;
    let (tid, cpu) = (i32::try_from(tid).ok()?, u16::try_from(cpu).ok()?);
    let is_time = stamp.unit != Unit::Tick;
    if is_time { perf_behind(tid, Some(cpu), stamp, after, line.len() - thread.len()) } else { None }
}

#[inline]
fn perf_around<'a>(before: &'a [u8], after: &'a [u8]) -> Option<Line<'a>> {
    let (rest, fraction) = split_digits_end(before)?;
    let (unit, scale) = match fraction.len() {
        6 => (Unit::Microsecond, 1000),
        9 => (Unit::Nanosecond, 1),
        _ => return None,
    };
    let (rest, seconds) = split_digits_end(rest.strip_suffix(b".")?)?;
    let ns = decimal(seconds)?.0.checked_mul(1_000_000_000)?.checked_add(decimal(fraction)?.0 * scale)?;
    let rest = rest.strip_suffix(b" ")?;
    let mut rest = trim_blanks_end(rest);
    let mut cpu = None;
    if let Some(inner) = rest.strip_suffix(b"]") {
        let (before, digits) = split_digits_end(inner)?;
        cpu = Some(u16::try_from(decimal(digits)?.0).ok()?);
        rest = trim_blanks_end(before.strip_suffix(b"[")?);
    }
    let (rest, tid) = split_digits_end(rest)?;
    let tid = i32::try_from(decimal(tid)?.0).ok()?;
    let (rest, tid) = match rest {
        // Only -1 is negative: a thread that perf knows nothing of.
        [rest @ .., b'-'] if tid == 1 && matches!(rest.last(), None | Some(b' ' | b'/')) => (rest, -1),
        _ => (rest, tid),
    };
    let rest = match rest.strip_suffix(b"/") {
        Some(rest) => {
            let (rest, _) = split_digits_end(rest)?;
            rest.strip_suffix(b"-").unwrap_or(rest)
        }
        None => rest,
    };
    if !matches!(rest.last(), None | Some(b' ')) {
        return None;
    }
    perf_behind(tid, cpu, Stamp { ns, unit }, after, rest.len())
}

/// What stands behind the time.
#[inline]
fn perf_behind(tid: i32, cpu: Option<u16>, stamp: Stamp, after: &[u8], thread_end: usize) -> Option<Line<'_>> {
    let mut after = blanks(after)?;
    if let Some(lost) = after.strip_prefix(b"PERF_RECORD_LOST") {
        let lost = lost.strip_prefix(b"_SAMPLES").unwrap_or(lost);
        let count = lost.strip_prefix(b" lost ").and_then(|count| Some(decimal(count)?.0));
        return Some(Line::Lost { cpu: cpu.unwrap_or(0), time_ns: stamp.ns, count });
    }
    // The period, where it was asked for.
    if let Some((_, behind)) = decimal(after)
        && let Some(behind) = blanks(behind)
    {
        after = behind;
    }
    fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let colon = find_near(b':', bytes)?;
        Some((bytes.get(..colon)?, bytes.get(colon + 1..)?))
    }
    let Some(((system, (name, arguments)), kind)) = part(after).and_then(|(system, rest)| {
        let (name, arguments) = part(rest)?;
        let kind = Kind::of_system(system, name);
        let is_event = kind.is_some() || is_identifier(system) && is_identifier(name);
        is_event.then_some(((system, (name, arguments)), kind))
    }) else {
        return Some(Line::Other);
    };
    let head = Head { pid: tid, cpu, context: Context::default(), stamp, system, name, kind, arguments, thread_end };
    Some(Line::Event(head))
}

/// Splits off the digits at the end.
#[inline]
fn split_digits_end(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = bytes.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 { None } else { bytes.split_at_checked(bytes.len() - digits) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str, shape: Shape) -> Head<'_> {
        match line(text.as_bytes(), shape) {
            Some(Line::Event(head)) => head,
            other => panic!("{text}: {other:?}"),
        }
    }

    /// Thread names with blanks, dashes, brackets, colons and pieces of heads.
    #[test]
    fn names_of_threads_hold_anything() {
        let cases = [
            ("          <idle>-0       [001] d.s3.   100.000001: kfree: x", 0, 1, 100_000_001_000, 0x11),
            (" f2fs_gc-254:40-474     (    474) [000] .....   5.000002: kfree: x", 474, 0, 5_000_002_000, 0),
            ("        a-1 [0] -77     (-------) [002] D.h21    5.000003: kfree: x", 77, 2, 5_000_003_000, 0x89),
            ("            bash-100   [1024] ..... 123456789012: kfree: x", 100, 1024, 123_456_789_012, 0),
            ("-5 [1] 1.00: x:-8     [003]  1.000001: kfree: x", 8, 3, 1_000_001_000, 0),
        ];
        for (text, pid, cpu, ns, context) in cases {
            let head = head(text, Shape::Thread);
            assert_eq!((head.pid, head.cpu, head.stamp.ns, head.context.0), (pid, Some(cpu), ns, context), "{text}");
            assert_eq!((head.kind, head.arguments), (Some(Kind::Kfree), &b" x"[..]), "{text}");
        }
    }

    /// The arguments may hold what looks like a head; the first one counts.
    #[test]
    fn a_head_in_the_arguments_is_not_taken() {
        let text = "x-1 [000] .... 1.000000: print: y-2 [001] .... 2.000000: kfree: ptr=1";
        assert_eq!(head(text, Shape::Thread).pid, 1);
        let text = "x 1 [000] 1.000000: a:b: y 2 [001] 2.000000: kmem:kfree: ptr=1";
        assert_eq!(head(text, Shape::Perf).pid, 1);
    }

    #[test]
    fn irq_info_of_all_lengths() {
        // Column of the kernel (trace_print_lat_fmt), and the bits that it shows.
        let cases = [
            ("....", 0),
            ("d.h1", 0x09),
            ("dNs2.", 0x35),
            ("b.H..", 0x98),
            (".pz1.", 0x60),
            ("DnZ41", 0xcd),
            ("X....", 0),
            (".L...", 0x22),
        ];
        for (info, bits) in cases {
            let text = format!("x-1 [000] {info} 1.000000: kfree: y");
            assert_eq!(head(&text, Shape::Thread).context, Context(bits), "{info}");
        }
        assert_eq!(head("x-1 [000] d..h.3.1 1.000000: kfree: y", Shape::Thread).context, Context(0), "of a real-time kernel");
        assert_eq!(line(b"x-1 [000] d.g1 1.000000: kfree: y", Shape::Thread), None);
        assert_eq!(line(b"x-1 [000] d.. 1.000000: kfree: y", Shape::Thread), None);
    }

    #[test]
    fn times_are_whole_numbers() {
        let of = |time: &str| match line(format!("x-1 [000] {time}: kfree: y").as_bytes(), Shape::Thread) {
            Some(Line::Event(head)) => Some((head.stamp.ns, head.stamp.unit)),
            _ => None,
        };
        assert_eq!(of("852655.067718"), Some((852_655_067_718_000, Unit::Microsecond)));
        assert_eq!(of("852655.067718001"), Some((852_655_067_718_001, Unit::Nanosecond)));
        assert_eq!(of("123456789012"), Some((123_456_789_012, Unit::Tick)));
        assert_eq!(of("852655,067718"), None, "an edited file");
        assert_eq!(of("1.0"), None);
        assert_eq!(of("18446744074.000000"), None, "more than a number holds");
    }

    #[test]
    fn the_latency_format() {
        let head_of = |text| head(text, Shape::Latency);
        let of_kernel = head_of("    bash-9526      0d.h2. 10567us+: kmem_cache_free: a");
        assert_eq!((of_kernel.pid, of_kernel.cpu, of_kernel.stamp.ns, of_kernel.context.0), (9526, Some(0), 10_567_000, 0x09));
        let of_trace_cmd = head_of("    init-1      12.....    16.094048: kmem_cache_free:      (f+0x64) a");
        assert_eq!((of_trace_cmd.pid, of_trace_cmd.cpu, of_trace_cmd.stamp.ns), (1, Some(12), 16_094_048_000));
    }

    #[test]
    fn lines_of_perf() {
        let cases = [
            ("   kworker/0:3+vir 21219 [000]  2150.799852:  kmem:kfree: x", 21219, Some(0), 2_150_799_852_000),
            ("        my prog 9064/9071  [001]  3333.401903858:          kmem:kfree: x", 9071, Some(1), 3_333_401_903_858),
            ("perf  1529    10.202906:              kmem:kfree: x", 1529, None, 10_202_906_000),
            ("            :-1    -1 [002]    10.202906:  kmem:kfree: x", -1, Some(2), 10_202_906_000),
            ("perf -1/-1 [002]    10.202906:     1 kmem:kfree: x", -1, Some(2), 10_202_906_000),
        ];
        for (text, pid, cpu, ns) in cases {
            let head = head(text, Shape::Perf);
            assert_eq!((head.pid, head.cpu, head.stamp.ns, head.kind), (pid, cpu, ns, Some(Kind::Kfree)), "{text}");
        }
        assert_eq!(line(b"   10.202906:   kmem:kfree: x", Shape::Perf), None, "without a thread");
        let lost = Line::Lost { cpu: 1, time_ns: 5_000_001_000, count: Some(17) };
        assert_eq!(line(b"perf 7 [001] 5.000001: PERF_RECORD_LOST lost 17", Shape::Perf), Some(lost));
        assert_eq!(line(b"perf 7 [001] 5.000001:     10101 cycles:  ffff f+0x1 (x)", Shape::Perf), Some(Line::Other));
    }

    #[test]
    fn differences_of_time_are_skipped() {
        let text = "            init-1     [002]    16.094868: (+820)   kmem_cache_alloc:     (g+0x28) x";
        assert_eq!(head(text, Shape::Thread).kind, Some(Kind::CacheAlloc));
    }
}
