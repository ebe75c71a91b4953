//! What is known of the whole trace, as key-value metadata.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::recording::{Accounting, Info};
use crate::symbols::{Kallsyms, NoSymbols, Symbols};

/// Key of the version of the format.
pub(super) const VERSION_KEY: &str = "slubreplay.version";
/// Key of [`Facts`] in JSON.
pub(super) const FACTS_KEY: &str = "slubreplay.recording";
/// Key of [`GroupSeal`]s in JSON.
pub(super) const GROUPS_KEY: &str = "slubreplay.groups";

/// A recording without its events and the texts of their marks.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    pub(super) info: Info,
    pub(super) accounting: Accounting,
    pub(super) names: Vec<String>,
    pub(super) sites: Vec<String>,
    /// Marks that no event has, by number; those of events are in the columns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) unused_marks: BTreeMap<u32, String>,
    pub(super) symbols: KeptSymbols,
    /// Names of threads.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) tasks: BTreeMap<i32, String>,
}

/// The kernel's symbols, those that call sites of the trace are in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeptSymbols {
    /// The trace had none.
    #[default]
    Absent,
    /// Their addresses were zero.
    Hidden,
    /// They could not be read.
    Damaged(String),
    /// Address, size (0 if unknown), name and module (empty for the kernel itself).
    Functions(Vec<(u64, u64, String, String)>),
}

impl KeptSymbols {
    /// Of a trace whose events were called from these addresses.
    pub(super) fn of(symbols: &Kallsyms, addresses: impl Iterator<Item = u64>) -> Self {
        match symbols.get() {
            Ok(symbols) => Self::Functions(symbols.used(addresses)),
            Err(NoSymbols::Absent) => Self::Absent,
            Err(NoSymbols::Hidden) => Self::Hidden,
            Err(NoSymbols::Damaged(why)) => Self::Damaged(why.clone()),
        }
    }
}

impl From<KeptSymbols> for Kallsyms {
    fn from(kept: KeptSymbols) -> Self {
        match kept {
            KeptSymbols::Functions(functions) => Symbols::of_used(functions).into(),
            KeptSymbols::Absent => Self::default(),
            KeptSymbols::Hidden => Err(NoSymbols::Hidden).into(),
            KeptSymbols::Damaged(why) => Err(NoSymbols::Damaged(why)).into(),
        }
    }
}

/// Where a row group ends in the file, and the CRC-32 of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupSeal(pub(super) u64, pub(super) u32);
