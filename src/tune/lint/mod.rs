//! Finds settings in command lines and tuning scripts that do nothing on a kernel.
//!
//! | file | what it reads |
//! |---|---|
//! | `cmdline` | words of the kernel's command line |
//! | `files` | writes to files of `/sys/kernel/slab`, and to `/proc/slabinfo` |
//! | `script` | shell scripts, tmpfiles.d, init.rc, GRUB's files: finds those writes and words |
//! | `words` | splits a line as a shell does |

mod cmdline;
mod files;
mod script;
#[cfg(test)]
mod tests;
mod words;

pub use cmdline::lint_cmdline;
pub use script::lint_script;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Linted {
    /// Settings of the slab allocator, in their order.
    pub settings: Vec<Found>,
    /// Lines, or words of a command line, that have nothing to do with it.
    pub others: u64,
    /// Those that speak of the slab allocator in a way that is not understood: the first of them.
    pub not_understood: Vec<(u64, String)>,
    /// How many those are.
    pub not_understood_count: u64,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Line, from 1.
    pub line: u64,
    /// What is set, as it is written there.
    pub text: String,
    /// Whether it does anything.
    pub verdict: Verdict,
}

/// Whether a setting does anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Works,
    /// It does not.
    Dead {
        /// Why.
        reason: String,
        /// What to write instead.
        instead: String,
    },
}

impl Verdict {
    fn dead(reason: impl Into<String>, instead: impl Into<String>) -> Self {
        Self::Dead { reason: reason.into(), instead: instead.into() }
    }
}

/// Most lines that are shown of what is not understood, and most characters of one.
const MOST_SHOWN: usize = 20;
const MOST_CHARS: usize = 200;

impl Linted {
    /// Settings that do nothing.
    pub fn dead(&self) -> impl Iterator<Item = &Found> {
        self.settings.iter().filter(|found| found.verdict != Verdict::Works)
    }

    fn found(&mut self, line: u64, text: &str, verdict: Verdict) {
        self.settings.push(Found { line, text: cut(text), verdict });
    }

    fn puzzling(&mut self, line: u64, text: &str) {
        self.not_understood_count += 1;
        if self.not_understood.len() < MOST_SHOWN {
            self.not_understood.push((line, cut(text.trim())));
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MOST_CHARS).collect()
}
