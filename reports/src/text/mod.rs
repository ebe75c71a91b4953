//! The report for a terminal: what happened, where the memory went, and how far to trust it.

mod analysis;
mod sections;
mod table;
pub mod threads;

use crate::format::{bytes, duration, printable, thousands, wrap};
use crate::input::analysis::AnalysisInput;
use crate::input::{ReportInput, RunFacts};

/// Narrower than this no section is readable.
const NARROWEST: usize = 72;

/// Columns of the words in front of the facts of a run.
const FACT_INDENT: usize = 13;

/// How to write a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextOptions {
    /// Longest line in characters; taken as 72 if less.
    pub width: usize,
    /// True to emphasise with terminal escape codes.
    pub color: bool,
    /// True to use characters beyond ASCII: sparklines, and names as they are.
    pub unicode: bool,
    /// Most caches in each section.
    pub top: usize,
}

impl Default for TextOptions {
    /// Plain ASCII for 80 columns, ten caches a section.
    fn default() -> Self {
        Self { width: 80, color: false, unicode: false, top: 10 }
    }
}

impl TextOptions {
    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn faint(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn warning(&self, text: &str) -> String {
        self.paint("33", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Returns the report as lines of text, each ended by a line feed.
///
/// Shows at most [`TextOptions::top`] caches a section and leaves out sections without content.
/// Control characters in names become `?`, so no trace can reprogram the terminal.
#[must_use]
pub fn render(input: &ReportInput, analysis: Option<&AnalysisInput>, options: &TextOptions) -> String {
    let options = TextOptions { width: options.width.max(NARROWEST), ..*options };
    let mut out = String::new();
    header(&mut out, &input.run, &options);
    notes(&mut out, &input.run, &options);
    sections::memory(&mut out, input, &options);
    sections::waste(&mut out, input, &options);
    sections::slow_paths(&mut out, input, &options);
    sections::partial_lists(&mut out, input, &options);
    if let Some(analysis) = analysis {
        analysis::render(&mut out, analysis, &options);
    }
    sections::ledger(&mut out, input, &options);
    sections::sizing(&mut out, input, &options);
    out
}

/// The trace, and its format if that is known.
fn trace_name(run: &RunFacts) -> String {
    match (run.trace.is_empty(), run.format.is_empty()) {
        (false, false) => format!("{} ({})", run.trace, run.format),
        _ => or_unknown(&run.trace),
    }
}

fn or_unknown(text: &str) -> String {
    if text.is_empty() { "unknown".to_owned() } else { text.to_owned() }
}

fn header(out: &mut String, run: &RunFacts, options: &TextOptions) {
    fact(out, "trace", &trace_name(run), options);
    fact(out, "kernel", &or_unknown(&run.kernel), options);
    let cpus = plural(u64::from(run.cpus), "CPU");
    let nodes = plural(u64::from(run.nodes), "node");
    let pages = bytes(u64::from(run.page_bytes));
    let model = format!("{}; {cpus}, {nodes}, pages of {pages}", or_unknown(&run.model));
    fact(out, "model", &model, options);
    fact(out, "duration", &duration(run.duration_ns), options);
    fact(out, "events", &events(run), options);
    let lost = thousands(run.lost_events);
    if run.lost_events > 0 {
        let text = format!("{lost} events, so counts are too low and memory may be off");
        let lines_from = out.len();
        fact(out, "lost", &text, options);
        let painted = options.warning(out[lines_from..].trim_end());
        out.truncate(lines_from);
        out.push_str(&painted);
        out.push('\n');
    } else {
        fact(out, "lost", "no events", options);
    }
    let replayed = format!("{}: {}, {}", plural(run.operations, "operation"), plural(run.allocs, "allocation"), plural(run.frees, "free"));
    fact(out, "replayed", &replayed, options);
}

fn events(run: &RunFacts) -> String {
    let total = run.events.iter().map(|(_, count)| *count).fold(0, u64::saturating_add);
    let kinds: Vec<String> = run.events.iter().map(|(name, count)| format!("{name} {}", thousands(*count))).collect();
    if kinds.is_empty() { "0".to_owned() } else { format!("{}: {}", thousands(total), kinds.join(", ")) }
}

/// Returns `count` and `noun`, with an s unless there is exactly one.
fn plural(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {noun}{s}", thousands(count))
}

/// Appends a named fact; what does not fit goes on below itself.
fn fact(out: &mut String, name: &str, text: &str, options: &TextOptions) {
    let text = printable(text, options.unicode);
    let mut label = name;
    for line in wrap(&text, options.width - FACT_INDENT) {
        out.push_str(&format!("  {label:<width$}{line}\n", width = FACT_INDENT - 2));
        label = "";
    }
}

fn notes(out: &mut String, run: &RunFacts, options: &TextOptions) {
    if run.notes.is_empty() {
        return;
    }
    section(out, "Notes", options);
    for note in &run.notes {
        let mut mark = "! ";
        for line in wrap(&printable(note, options.unicode), options.width - 4) {
            out.push_str(&options.warning(&format!("  {mark}{line}")));
            out.push('\n');
            mark = "  ";
        }
    }
}

/// Appends a blank line and the title of a section.
fn section(out: &mut String, title: &str, options: &TextOptions) {
    out.push('\n');
    out.push_str(&options.bold(title));
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    const PLAIN: TextOptions = TextOptions { width: 80, color: false, unicode: false, top: 10 };
    const RICH: TextOptions = TextOptions { color: true, unicode: true, ..PLAIN };

    #[test]
    fn the_header_tells_how_it_was_made() {
        let text = render(&testdata::small(), None, &PLAIN);
        for line in [
            "  trace      traces/small.dat (trace.dat v7)\n",
            "  kernel     6.12.117\n",
            "  model      SLUB 6.8-6.17; 2 CPUs, 1 node, pages of 4.0 KiB\n",
            "  duration   1.0 us\n",
            "  events     1,190: kmalloc 1,100, kfree 90\n", // 1100 + 90
            "  lost       no events\n",
            "  replayed   240 operations: 150 allocations, 90 frees\n",
            "  ! The recording starts in the middle of things.\n",
        ] {
            assert!(text.contains(line), "{line}\nin\n{text}");
        }
    }

    #[test]
    fn plain_text_is_ascii_and_fits() {
        let mut input = testdata::small();
        input.caches[0].name = "größe\x1b[31m".repeat(30);
        input.ledger[1].cache = "größe".repeat(30);
        input.run.trace = "/a/path".repeat(60);
        for width in [72, 80, 120] {
            let text = render(&input, None, &TextOptions { width, ..PLAIN });
            assert!(text.is_ascii());
            assert!(!text.contains('\x1b'));
            for line in text.lines() {
                assert!(line.len() <= width, "{} > {width}: {line}", line.len());
                assert_eq!(line, line.trim_end());
            }
        }
    }

    #[test]
    fn colours_and_sparklines_only_when_asked_for() {
        let text = render(&testdata::small(), None, &RICH);
        assert!(text.contains("\x1b[1mMemory"));
        assert!(text.contains("▂██"), "4096, 16384, 16384 bytes: {text}"); // 2/8, 8/8, 8/8
    }

    #[test]
    fn lost_events_warn() {
        let mut input = testdata::small();
        input.run.lost_events = 1234;
        assert!(render(&input, None, &PLAIN).contains("  lost       1,234 events, so "));
        assert!(render(&input, None, &RICH).contains("\x1b[33m  lost       1,234"));
    }

    #[test]
    fn empty_input_has_a_header_and_no_sections() {
        let text = render(&testdata::empty(), None, &PLAIN);
        assert!(text.contains("  trace      unknown\n"));
        assert!(text.contains("  replayed   0 operations"));
        assert!(!text.contains("Memory"), "{text}");
    }
}
