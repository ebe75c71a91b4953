//! Laws of a model that do not hold.

/// A law that does not hold: a bug in the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{law}: {detail}")]
pub struct Violation {
    /// The law.
    pub law: &'static str,
    /// The figures that break it.
    pub detail: String,
}

pub(crate) fn holds(law: &'static str, condition: bool, detail: impl FnOnce() -> String) -> Result<(), Violation> {
    if condition { Ok(()) } else { Err(Violation { law, detail: detail() }) }
}
