//! From the events of a trace to a stream of operations that an allocator can replay.
//!
//! | file | what it does |
//! |---|---|
//! | `pairing` | pairs frees with allocations by address; drops what never reaches a slab |
//! | `ties` | puts events of equal time in the order that fits the live objects |
//! | `reads` | finds out when each attribute of a snapshot was read |
//! | `pages` | relates addresses to page events: the kernel's own slabs |
//! | `page_log` | keeps the page events, and tells those of slabs from others |
//! | `births` | puts allocations of new slabs where they were decided |
//! | `identity` | finds the cache of each object |
//! | `gfp` | which bits of a recording are which gfp flag |
//! | `buckets` | tells bucket caches from the kmalloc caches of the same sizes |
//! | [`origins`] | who allocated each object: for analyses by call site and thread |
//! | [`places`] | where the kernel had each object: for comparing address by address |
//! | `caches` | lays the caches out and compares with a snapshot |
//! | `seeding` | rebuilds the heap at the first event |
//! | `sheaf_seeds` | and the sheaves |
//! | `turns` | finds allocations that were not traced by what a CPU leaves behind |
//! | `silent` | places what was not traced where the kernel must have done it |
//! | `siblings` | caches of SLAB and SLOB, and their heap at the start |
//! | `rcu_sheaves` | places frees by kfree_rcu() in kernels with sheaves |
//! | `sheaf_memory` | tells the allocations of sheaves from others |
//! | `unmarked` | finds the moments of snapshots in recordings without markers |
//! | [`streaming`] | the same for traces larger than memory, without what needs all of the trace at once |
//! | `assemble` | puts it together and adds the operations that were not traced |
//! | [`ledger`] | counts everything that was inferred |
//! | `coverage` | sums that up for a cache |
//! | [`op`] | the compact operation |

mod assemble;
mod births;
mod buckets;
mod caches;
mod coverage;
mod gfp;
mod identity;
pub mod ledger;
pub mod op;
pub mod origins;
mod page_log;
mod pages;
mod pairing;
pub mod places;
mod rcu_sheaves;
mod reads;
mod seeding;
mod sheaf_memory;
mod sheaf_seeds;
mod siblings;
mod silent;
pub mod streaming;
mod tasks;
mod ties;
mod turns;
mod unmarked;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use slubreplay_parsers::capture::{Capture, NodeMemory, SlabSnapshot};
use slubreplay_parsers::recording::{Info, Recording};

use crate::allocators::AllocatorKind;
use crate::allocators::slab::SlabMachine;
use crate::allocators::slub::Rules;
use crate::allocators::slub::sizing::kmalloc;
use crate::allocators::slub::sizing::{Kernel, KernelRelease};
use crate::mem::RecordedSlab;
use crate::mem::buddy::Traffic;
pub use caches::{PlannedCache, Sibling, SizingDifference};
pub use coverage::Coverage;
use gfp::GfpNumbers;
use ledger::{Entry, Ledger};
pub use op::{Op, What};
pub use origins::{Origin, Origins};
pub use places::{KernelPlaces, KernelSlab};
pub use reads::{Read, SnapshotMark};
pub use seeding::PlannedSeed;
pub use sheaf_seeds::PlannedSheaf;
pub(crate) use siblings::{mark_early, slob_free_space};
pub use unmarked::mark_snapshots;

/// A trace, ready to be replayed.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Caches by number.
    pub caches: Vec<PlannedCache>,
    /// Operations in replay order.
    pub ops: Vec<Op>,
    /// Number of objects that the operations speak of.
    pub objects: u32,
    /// Where the kernel had each object.
    pub kernel: KernelPlaces,
    /// Who allocated each object.
    pub origins: Arc<Origins>,
    /// Slabs that exist at the start.
    pub seeds: Vec<PlannedSeed>,
    /// Sheaves that exist at the start.
    pub sheaf_seeds: Vec<PlannedSheaf>,
    /// By cache: the slabs that the kernel made during the trace, in their order, as far as page events
    /// show them.
    pub recorded_slabs: Vec<Vec<RecordedSlab>>,
    /// Events of the page allocator, with those of slabs marked.
    pub traffic: Arc<Traffic>,
    /// The trace has hashes for pointers: objects can be told apart, but not where they were. Nothing here is by addresses then.
    pub has_hashed_pointers: bool,
    /// Addresses and page frames could be related, so that slabs' pages are known.
    pub has_frames: bool,
    /// The trace begins at boot.
    pub from_boot: bool,
    /// Allocations of SLAB's own index arrays are among the operations, as in a recording of a SLAB kernel.
    pub has_index_arrays: bool,
    /// Markers: (operations before it, text).
    pub marks: Vec<(usize, String)>,
    /// By snapshot: when the files beside the slab attributes were read, if tasks show it, else when the attributes were.
    pub snapshots_ns: Vec<u64>,
    /// Of a recording of SLOB: pages that the kernel had in use, at positions of operations; as far as page events and the first
    /// snapshot tell.
    pub kernel_pages: Vec<(usize, u64)>,
    /// When the attributes of the snapshots were read, as far as the trace shows it: by mark, then attribute.
    pub reads: Vec<Read>,
    /// What was observed and what was inferred.
    pub ledger: Ledger,
    /// Computed layouts that differ from the snapshot's.
    pub sizing_differences: Vec<SizingDifference>,
    /// Time of the first and the last event.
    pub time_range_ns: (u64, u64),
}

/// The kernel's own figures at one or two moments of the recording.
#[derive(Debug, Clone, Copy, Default)]
pub struct Snapshots<'a> {
    /// Near the start.
    pub before: Option<&'a SlabSnapshot>,
    /// Near the end.
    pub after: Option<&'a SlabSnapshot>,
    /// Page frames of each node, if there are several.
    pub memory: &'a [NodeMemory],
    /// Bytes in slabs near the start, by `/proc/meminfo`.
    pub slab_bytes: Option<u64>,
}

impl<'a> Snapshots<'a> {
    /// Those of a capture.
    #[must_use]
    pub fn of(capture: &'a Capture) -> Self {
        Self {
            before: capture.before.as_ref(),
            after: capture.after.as_ref(),
            memory: &capture.machine.memory,
            slab_bytes: capture.slab_bytes[0],
        }
    }

    /// Those of a capture of a SLAB kernel, whose figures are not in sysfs but in `/proc/slabinfo`
    /// ([`SlabinfoFile::as_snapshot`](slubreplay_parsers::capture::SlabinfoFile::as_snapshot)).
    #[must_use]
    pub fn of_slabinfo(capture: &'a Capture, [before, after]: &'a [Option<SlabSnapshot>; 2]) -> Self {
        Self { before: before.as_ref(), after: after.as_ref(), memory: &capture.machine.memory, slab_bytes: capture.slab_bytes[0] }
    }

    /// The later one that there is: it knows all caches that were created meanwhile.
    #[must_use]
    pub fn latest(self) -> Option<&'a SlabSnapshot> {
        self.after.or(self.before)
    }
}

/// The allocator that a trace was recorded on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// Which it is.
    pub allocator: AllocatorKind,
    /// What SLAB lays its caches out by.
    pub slab: SlabMachine,
}

impl Recorded {
    /// A SLUB kernel.
    pub const SLUB: Self = Self { allocator: AllocatorKind::Slub, slab: SlabMachine::x86_64(1) };
}

/// Prepares a trace for `kernel`, which is a SLUB kernel. With a snapshot, caches go by their sysfs directories.
#[must_use]
pub fn prepare(recording: &Recording, kernel: &Kernel, snapshots: Snapshots<'_>) -> Plan {
    prepare_recorded(recording, kernel, &Recorded::SLUB, snapshots)
}

/// Prepares a trace for `kernel`, with the allocator that it was recorded on.
#[must_use]
pub fn prepare_recorded(recording: &Recording, kernel: &Kernel, recorded: &Recorded, snapshots: Snapshots<'_>) -> Plan {
    let snapshot = snapshots.latest();
    let mut ledger = Ledger::default();
    let setting = pairing_setting(kernel, recorded, &recording.info);
    let mut paired = pairing::pair(recording, setting, snapshots.memory, &mut ledger);
    paired.reads = reads::find(&std::mem::take(&mut paired.windows), recording, snapshots);
    let identified = identity::identify(&paired, recording, (kernel, recorded.allocator), snapshot, &mut ledger);
    account_losses(recording, &mut ledger);
    let mut plan = assemble::assemble(paired, identified, recording, (kernel, recorded), snapshots, ledger);
    plan.time_range_ns = time_range(recording);
    plan.has_index_arrays = recorded.allocator == AllocatorKind::Slab;
    plan
}

/// What events are paired by.
fn pairing_setting(kernel: &Kernel, recorded: &Recorded, info: &Info) -> pairing::Setting {
    pairing::Setting {
        page_bytes: kernel.machine.page_bytes,
        max_class_bytes: kmalloc::max_class_bytes(kernel),
        gfp: GfpNumbers::of(kernel.release, info),
        free_traced_after: Rules::of(kernel.release).free_traced_after,
        is_slob: recorded.allocator == AllocatorKind::Slob,
        // Strides of kmalloc objects do not tell their class: kmalloc-96 of SLAB has that of kmalloc-128, and SLOB has none.
        classes: (recorded.allocator != AllocatorKind::Slub).then_some(*kernel),
    }
}

fn since(major: u32, minor: u32) -> KernelRelease {
    KernelRelease { major, minor, patch: 0 }
}

fn account_losses(recording: &Recording, ledger: &mut Ledger) {
    let accounting = &recording.accounting;
    let (known, gaps) = accounting.lost_events();
    ledger.add(Entry::LostEvents, "", known);
    ledger.add(Entry::LossGaps, "", gaps);
    let unusable = accounting.short_records.values().chain(accounting.unknown_ids.values()).sum::<u64>() + accounting.damage_count();
    ledger.add(Entry::UnusableRecords, "", unusable);
}

fn time_range(recording: &Recording) -> (u64, u64) {
    let events = || recording.streams.iter().flat_map(|stream| [stream.events.first(), stream.events.last()]).flatten();
    let first = events().map(|event| event.time_ns).min().unwrap_or(0);
    (first, events().map(|event| event.time_ns).max().unwrap_or(0))
}
