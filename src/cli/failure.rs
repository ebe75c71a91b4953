//! Errors with hints, and exit codes.

use std::process::ExitCode;

use slubreplay_parsers::TraceError;

use crate::replay::ReplayError;

/// Exit code: input or output failed.
const FAILED: u8 = 1;
/// Exit code: the command line was wrong.
const WRONG_USAGE: u8 = 2;
/// Exit code: done, but outside of what was asked for.
const OUTSIDE: u8 = 3;

/// Exit code: recorded, but the command that was recorded failed.
const COMMAND: u8 = 4;

/// Exit code: ended by Ctrl-C, as shells have it for SIGINT; the report is of what was done.
const STOPPED: u8 = 130;

/// The exit codes as a type, so that only documented ones can be returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(u8);

pub(super) const USAGE: Code = Code(WRONG_USAGE);
pub(super) const RESULT_OUTSIDE: Code = Code(OUTSIDE);
pub(super) const COMMAND_FAILED: Code = Code(COMMAND);
pub(super) const INTERRUPTED: Code = Code(STOPPED);

impl Code {
    /// Ends the program at once, from wherever it is.
    pub(super) fn exit(self) -> ! {
        std::process::exit(self.0.into())
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.0)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    pub(super) fn input(error: impl Into<anyhow::Error>) -> Self {
        Self { code: Code(FAILED), error: error.into(), hint: None }
    }

    pub(super) fn usage(what: &str, hint: &str) -> Self {
        Self { code: USAGE, error: anyhow::anyhow!("{what}"), hint: Some(hint.to_owned()) }
    }

    pub(super) fn outside(error: impl Into<anyhow::Error>) -> Self {
        Self { code: RESULT_OUTSIDE, error: error.into(), hint: None }
    }

    pub(super) fn output(what: &str, error: std::io::Error) -> Self {
        Self::input(anyhow::Error::from(error).context(format!("{what}: cannot write")))
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints `error:`, its causes and `hint:` to stderr; returns the exit code.
    #[expect(clippy::print_stderr, reason = "this is where errors are told")]
    pub(super) fn report(&self) -> ExitCode {
        eprintln!("error: {}", self.error);
        for cause in self.error.chain().skip(1) {
            eprintln!("  caused by: {cause}");
        }
        if let Some(hint) = &self.hint {
            eprintln!("hint: {hint}");
        }
        self.code.into()
    }
}

/// What to do about a model that broke its own laws.
pub(super) const BUG: &str = "this is a bug in slubreplay; please report it";

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        Self::outside(error).hint(BUG)
    }
}

impl From<TraceError> for Failure {
    fn from(error: TraceError) -> Self {
        let hint = match &error {
            TraceError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => Some("is the path right?".to_owned()),
            TraceError::Malformed { fault, .. } if fault.section == "preamble" => {
                Some("expected a file of `trace-cmd record -e kmem` or `perf record -e 'kmem:*' -a -R`, or a capture directory".to_owned())
            }
            TraceError::Unsupported { what, .. } if what.contains("not finished") => {
                Some("record again and let trace-cmd or perf end by itself (Ctrl-C once, then wait)".to_owned())
            }
            TraceError::Unsupported { what, .. } if what.starts_with("not a capture") => Some(
                "a capture directory holds trace.dat, perf.data, trace.parquet, trace.txt or a folder ring, and slab.before and slab.after for verify"
                    .to_owned(),
            ),
            TraceError::Shrank { .. } => Some("wait until whatever writes the file has finished".to_owned()),
            _ => None,
        };
        Self { hint, ..Self::input(error) }
    }
}
