//! How far to believe the report: what was observed, what was inferred, what was lost.

use serde::Serialize;

use crate::format::{printable, thousands};
use crate::input::{LedgerEntry, ReportInput};

/// The statement of what the figures rest on.
#[derive(Serialize)]
pub(super) struct Fidelity {
    /// Warnings of the run.
    pub(super) notes: Vec<String>,
    /// What the recorder lost, as a sentence.
    pub(super) lost: String,
    /// True if it lost something.
    pub(super) is_lossy: bool,
    /// What was counted, by class: observed, inferred, unusable.
    pub(super) classes: Vec<Class>,
}

/// Everything that was counted in one class.
#[derive(Serialize)]
pub(super) struct Class {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    /// Kind, count and meaning.
    pub(super) kinds: Vec<(&'static str, String, &'static str)>,
}

/// Name in the ledger, heading, and what it says.
const CLASSES: [(&str, &str, &str); 3] = [
    ("observed", "Observed", "Seen in the trace, as it is used."),
    ("inferred", "Inferred", "Not in the trace, but shown by what is; each kind says how."),
    ("unusable", "Unusable", "In the trace, but of no use to the replay."),
];

pub(super) fn fidelity(input: &ReportInput) -> Fidelity {
    let lost = input.run.lost_events;
    let class = |(name, title, about): (&str, &'static str, &'static str)| Class { title, about, kinds: kinds(&input.ledger, name) };
    Fidelity {
        notes: input.run.notes.iter().map(|note| printable(note, true)).collect(),
        lost: if lost == 0 {
            "The recorder reports no lost events.".to_owned()
        } else {
            format!("The recorder lost {} events: counts are too low, and memory may be off.", thousands(lost))
        },
        is_lossy: lost > 0,
        classes: CLASSES.into_iter().map(class).collect(),
    }
}

/// The kinds of a class in order of appearance, each with its sum over the caches.
fn kinds(ledger: &[LedgerEntry], class: &str) -> Vec<(&'static str, String, &'static str)> {
    let mut kinds: Vec<(&'static str, u64, &'static str)> = Vec::new();
    for entry in ledger.iter().filter(|entry| entry.class == class) {
        match kinds.iter_mut().find(|(kind, ..)| *kind == entry.kind) {
            Some((_, count, _)) => *count = count.saturating_add(entry.count),
            None => kinds.push((entry.kind, entry.count, entry.meaning)),
        }
    }
    kinds.into_iter().map(|(kind, count, meaning)| (kind, thousands(count), meaning)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn kinds_are_summed_over_caches() {
        let statement = fidelity(&testdata::small());
        let inferred = &statement.classes[1];
        assert_eq!(inferred.title, "Inferred");
        assert_eq!(inferred.kinds, [("implied frees", "17".to_owned(), "A sentence on what was counted.")]); // 12 + 5
        assert_eq!(statement.classes[2].kinds.len(), 1);
        assert!(!statement.is_lossy);
    }

    #[test]
    fn losses_are_told() {
        let mut input = testdata::small();
        input.run.lost_events = 1234;
        let statement = fidelity(&input);
        assert!(statement.is_lossy);
        assert!(statement.lost.contains("lost 1,234 events"), "{}", statement.lost);
    }
}
