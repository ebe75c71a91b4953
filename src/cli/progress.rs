//! Bars on stderr, hidden when it is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Work shorter than this shows no bar.
const QUIET: Duration = Duration::from_millis(250);

/// A bar for one stage of work, in whatever unit.
#[derive(Debug)]
pub(super) struct Stage {
    bar: ProgressBar,
    started: std::time::Instant,
    label: &'static str,
    is_bytes: bool,
}

impl Stage {
    pub(super) fn bytes(label: &'static str, total: u64) -> Self {
        Self::new(label, total, true)
    }

    pub(super) fn operations(label: &'static str, total: u64) -> Self {
        Self::new(label, total, false)
    }

    fn new(label: &'static str, total: u64, is_bytes: bool) -> Self {
        let bar = ProgressBar::new(total);
        // A template without text: nothing is drawn until `show` sets the real one.
        bar.set_style(ProgressStyle::with_template("").unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, started: std::time::Instant::now(), label, is_bytes }
    }

    pub(super) fn add(&self, amount: u64) {
        self.show();
        self.bar.inc(amount);
    }

    pub(super) fn set(&self, position: u64) {
        self.show();
        self.bar.set_position(position);
    }

    fn show(&self) {
        if self.started.elapsed() < QUIET || !self.bar.message().is_empty() {
            return;
        }
        let unit = if self.is_bytes { "{bytes}/{total_bytes} {bytes_per_sec}" } else { "{human_pos}/{human_len} {per_sec}" };
        if let Ok(style) = ProgressStyle::with_template(&format!("{{msg:10}} [{{bar:30}}] {unit} eta {{eta}}")) {
            self.bar.set_style(style.progress_chars("=> "));
            self.bar.set_message(self.label);
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
