//! What is known of the whole trace, as key-value metadata.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::recording::{Accounting, Info};

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
}

/// Where a row group ends in the file, and the CRC-32 of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupSeal(pub(super) u64, pub(super) u32);
