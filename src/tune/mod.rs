//! What setting the kernel's knobs would do to a recorded load, and the commands that set them.
//!
//! | file | what it is for |
//! |---|---|
//! | `knob` | the knobs, their names, the values that a kernel takes |
//! | `standing` | whether a knob does anything in a kernel, and how it is set there |
//! | `assignment` | what a user writes: `[CACHE.]KNOB=VALUES` |
//! | `change` | a plan under changes |
//! | `run` | replays of one plan under many changes |
//! | `grid` | all combinations of some values |
//! | `objective` | what makes one configuration better than another |
//! | `cost` | what a change can cost at most |
//! | `commands` | the commands that apply changes, keep them, and take them back |
//! | [`lint`] | settings that do nothing, in command lines and scripts |
//! | `search` | looks for a good one within a number of replays |

mod assignment;
mod change;
mod commands;
mod cost;
mod grid;
mod knob;
pub mod lint;
mod objective;
mod run;
mod search;
mod standing;

pub use assignment::Assignment;
pub(crate) use change::reorder;
pub use change::{Base, Change, ChangeError, Tuned, value_of};
pub use commands::{Block, Commands, Write};
pub use cost::{Effect, effects, worst_case_bytes};
pub use grid::{Axis, MAX_CONFIGURATIONS, Tried, grid, try_all};
pub use knob::{Knob, ValueError};
pub use objective::{FALLBACK_WEIGHT, MARGIN, Objective, beside, best, pareto, slow_work};
pub use run::{Pages, Row, Trial, TrialError, slow_paths};
pub use search::search;
pub use standing::{Remedy, Standing, Way, standing};
