//! The report of a replay on threads: how fast it was, what it waited for, and how it compares with the exact replay.

mod agreement;
mod latency;
mod locks;
mod memory;

use super::table::{
    Align::{Left, Right},
    Table,
};
use super::{NARROWEST, TextOptions, fact, notes, or_unknown, plural, section, trace_name};
use crate::format::{duration, percent, printable, thousands, wrap};
use crate::input::threads::{ThreadsFacts, ThreadsInput, WorkerFigures};

/// Returns the report as lines of text, each ended by a line feed; at most [`TextOptions::top`] caches a section.
#[must_use]
pub fn render(input: &ThreadsInput, options: &TextOptions) -> String {
    let options = TextOptions { width: options.width.max(NARROWEST), ..*options };
    let mut out = String::new();
    header(&mut out, input, &options);
    notes(&mut out, &input.run, &options);
    workers(&mut out, input, &options);
    latency::write(&mut out, input, &options);
    locks::write(&mut out, input, &options);
    agreement::write(&mut out, input, &options);
    memory::write(&mut out, input, &options);
    out
}

fn header(out: &mut String, input: &ThreadsInput, options: &TextOptions) {
    let (run, facts) = (&input.run, &input.facts);
    if facts.is_stopped {
        let text = format!("Stopped before its end: what follows is of {} of the operations.", percent(done(input)));
        out.push_str(&options.warning(&format!("  {text}")));
        out.push_str("\n\n");
    }
    fact(out, "trace", &trace_name(run), options);
    fact(out, "kernel", &or_unknown(&run.kernel), options);
    fact(out, "model", &format!("{}, on real threads; {}", or_unknown(&run.model), plural(run.nodes.into(), "node")), options);
    fact(out, "workers", &workers_fact(input), options);
    let window = facts.window_ns.map_or_else(
        || "none: workers may be anywhere in the trace".to_owned(),
        |window_ns| format!("workers stay within {} of each other in trace time", duration(window_ns)),
    );
    fact(out, "window", &window, options);
    let pace = match facts.speed {
        None => "as soon as possible".to_owned(),
        Some(1.0) => "as recorded".to_owned(),
        Some(speed) => format!("{speed} times as fast as recorded"),
    };
    fact(out, "pace", &format!("{pace}; bytes of new objects written to: {}", facts.touch), options);
    fact(out, "timing", &timing(facts), options);
    let done = format!(
        "{} of {} in {}: {} operations/s",
        thousands(facts.operations),
        plural(run.operations, "operation"),
        duration(facts.elapsed_ns),
        rate(facts.per_second())
    );
    fact(out, "replayed", &done, options);
}

fn done(input: &ThreadsInput) -> f64 {
    crate::ratios::share(input.facts.operations, input.run.operations)
}

fn workers_fact(input: &ThreadsInput) -> String {
    let pinned = input.workers.iter().filter(|worker| worker.core.is_some()).count();
    let how = match pinned {
        0 => "not pinned".to_owned(),
        all if all == input.workers.len() => "pinned".to_owned(),
        some => format!("{some} of them pinned"),
    };
    format!("{} for {}, {how}", input.workers.len(), plural(input.run.cpus.into(), "CPU"))
}

fn timing(facts: &ThreadsFacts) -> String {
    match facts.sample_every {
        0 => "no operation was timed".to_owned(),
        every => {
            let which = if every == 1 { "every operation".to_owned() } else { format!("one of {} operations", thousands(every.into())) };
            format!("{which}; reading the clock costs about {:.0} ns, which timed figures include", facts.clock_cost_ns)
        }
    }
}

/// A rate in millions or thousands, with three digits.
fn rate(per_second: f64) -> String {
    match per_second {
        high if high >= 1e6 => format!("{:.2} M", high / 1e6),
        high if high >= 1e3 => format!("{:.1} k", high / 1e3),
        low => format!("{low:.0}"),
    }
}

fn workers(out: &mut String, input: &ThreadsInput, options: &TextOptions) {
    section(out, "Workers", options);
    let mut table = Table::new(&[
        ("CPUs", Left),
        ("core", Right),
        ("operations", Right),
        ("time", Right),
        ("per s", Right),
        ("for objects", Right),
        ("for window", Right),
    ]);
    let row = |cpus, core, worker: &WorkerFigures| {
        let waited = |ns: u64| percent(crate::ratios::share(ns, worker.elapsed_ns));
        vec![
            cpus,
            core,
            thousands(worker.operations),
            duration(worker.elapsed_ns),
            rate(worker.per_second()),
            waited(worker.waited_for_objects_ns),
            waited(worker.waited_for_window_ns),
        ]
    };
    for worker in &input.workers {
        let core = worker.core.map_or_else(|| "-".to_owned(), |core| core.to_string());
        table.row(row(ranges(&worker.cpus), core, worker));
    }
    let mut total = vec!["all".to_owned(), String::new(), thousands(input.facts.operations), duration(input.facts.elapsed_ns)];
    total.push(rate(input.facts.per_second()));
    table.total(total);
    table.write(out, options);
    remark(
        out,
        "for objects, for window: share of the time spent waiting for objects that others had yet to allocate, and for workers that were too far behind",
        options,
    );
}

/// Numbers with runs of them as ranges: `0-3,8`.
fn ranges(numbers: &[u16]) -> String {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let text = runs.iter().map(|&(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
    text.collect::<Vec<_>>().join(",")
}

/// Appends faint words below a table.
fn remark(out: &mut String, text: &str, options: &TextOptions) {
    for line in wrap(&printable(text, options.unicode), options.width - 2) {
        out.push_str(&options.faint(&format!("  {line}")));
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata::threads::small;

    const PLAIN: TextOptions = TextOptions { width: 80, color: false, unicode: false, top: 10 };

    #[test]
    fn the_header_tells_how_it_was_run() {
        let text = render(&small(), &PLAIN);
        for line in [
            "  model      SLUB 6.8-6.17, on real threads; 1 node\n",
            "  workers    2 for 2 CPUs, pinned\n",
            "  window     workers stay within 10.0 ms of each other in trace time\n",
            "  pace       as soon as possible; bytes of new objects written to: none\n",
            "  timing     one of 64 operations; reading the clock costs about 18 ns, which\n             timed figures include\n",
            "  replayed   240 of 240 operations in 1.0 us: 240.00 M operations/s\n",
        ] {
            assert!(text.contains(line), "{line}\nin\n{text}");
        }
        assert!(!text.contains("Stopped"));
    }

    #[test]
    fn workers_have_rates_and_waits() {
        // 140 in 1000 ns; 50 of 1000 and 50 of 800 ns waited.
        let expected = "
Workers
  CPUs  core  operations    time     per s  for objects  for window
  0        0         140  1.0 us  140.00 M         5.0%        0.0%
  1        1         100  800 ns  125.00 M         6.2%        0.0%
  all                240  1.0 us  240.00 M
";
        let mut out = String::new();
        workers(&mut out, &small(), &PLAIN);
        assert!(out.starts_with(expected), "{out}");
    }

    #[test]
    fn a_part_is_marked_as_one() {
        let mut input = small();
        input.facts.is_stopped = true;
        input.facts.operations = 60;
        assert!(render(&input, &PLAIN).starts_with("  Stopped before its end: what follows is of 25.0% of the operations.\n"));
    }

    #[test]
    fn lines_fit_and_are_plain() {
        let mut input = small();
        input.caches[0].label = "größe\u{1b}[31m".repeat(30);
        input.workers[0].cpus = (0..400).step_by(2).collect();
        for width in [72, 80, 120] {
            let text = render(&input, &TextOptions { width, ..PLAIN });
            assert!(text.is_ascii() && !text.contains('\u{1b}'));
            for line in text.lines() {
                assert!(line.len() <= width, "{} > {width}: {line}", line.len());
                assert_eq!(line, line.trim_end());
            }
        }
    }

    #[test]
    fn nothing_gives_a_report_too() {
        assert!(render(&ThreadsInput::default(), &PLAIN).contains("  replayed   0 of 0 operations"));
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
    }
}
