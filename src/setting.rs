//! What kernel and machine a trace is replayed for: what the user said, else what capture and trace say,
//! else a default; resolved once.

mod model;
mod nodes;
mod siblings;

pub use model::ModelName;
pub use nodes::Nodes;
pub use siblings::Siblings;
use slubreplay_parsers::capture::Capture;
use slubreplay_parsers::recording::Recording;

use crate::allocators::AllocatorKind;
use crate::allocators::slub::sizing::{Build, Kernel, KernelRelease, Machine};
use crate::allocators::slub::{Rules, Topology};
use crate::replay::Setup;

/// What the user said; `None` leaves it to the input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Kernel release whose rules to follow.
    pub kernel: Option<KernelRelease>,
    /// Number of CPUs present.
    pub cpus: Option<u16>,
    /// Page size in bytes.
    pub page_bytes: Option<u32>,
    /// Memory nodes and their CPUs.
    pub nodes: Option<Nodes>,
    /// Allocator.
    pub allocator: Option<AllocatorKind>,
}

/// The resolved setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// For the layout of caches.
    pub kernel: Kernel,
    /// For the paths.
    pub rules: Rules,
    /// CPUs and nodes.
    pub topology: Topology,
    /// Allocator whose model replays.
    pub allocator: AllocatorKind,
    /// What SLAB and SLOB go by besides.
    pub siblings: Siblings,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Release that a trace without any is replayed as: the reference of the model.
const DEFAULT_RELEASE: KernelRelease = KernelRelease { major: 6, minor: 12, patch: 0 };

/// Most CPUs that are replayed: every cache has state for each. No machine known has more.
const MAX_CPUS: u16 = 4096;

/// A trace that cannot be replayed as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// A CPU number that no machine has.
    #[error("the trace has events of CPU {cpu}; expected CPU numbers below {MAX_CPUS}")]
    TooManyCpus {
        /// The number.
        cpu: u16,
    },
    /// Nodes that do not fit the CPUs of the machine.
    #[error("--nodes: {0}")]
    Nodes(String),
}

impl Setting {
    /// The release that the trace was recorded on, if capture or trace tell.
    #[must_use]
    pub fn recorded_release(recording: &Recording, capture: Option<&Capture>) -> Option<KernelRelease> {
        let recorded = capture.and_then(|capture| capture.machine.kernel.as_deref()).unwrap_or(&recording.info.kernel);
        KernelRelease::find(recorded)
    }

    /// How to replay by it, without moments, pauses or checks.
    #[must_use]
    pub fn setup(&self) -> Setup {
        Setup {
            rules: self.rules,
            topology: self.topology.clone(),
            page_bytes: self.kernel.machine.page_bytes,
            samples: 0,
            pause_at: Vec::new(),
            check_every: 0,
        }
    }

    /// Resolves every figure.
    ///
    /// # Errors
    ///
    /// If the trace has CPU numbers that no machine has, or the nodes wished for do not fit the CPUs.
    pub fn resolve(wishes: Wishes, recording: &Recording, capture: Option<&Capture>) -> Result<Self, SettingError> {
        let mut notes = Vec::new();
        if let Some(stream) = recording.streams.iter().find(|stream| stream.cpu >= MAX_CPUS) {
            return Err(SettingError::TooManyCpus { cpu: stream.cpu });
        }
        let machine = capture.map(|capture| &capture.machine);
        let allocator = wishes.allocator.unwrap_or_else(|| {
            let recorded = Self::recorded_allocator(recording, capture);
            if wishes.kernel.is_none_or(|release| recorded.exists_in(release)) { recorded } else { AllocatorKind::Slub }
        });
        let release = wishes.kernel.or_else(|| Self::recorded_release(recording, capture)).unwrap_or_else(|| {
            notes.push(format!("the trace does not name its kernel; replayed as {DEFAULT_RELEASE} (say --kernel to change that)"));
            DEFAULT_RELEASE
        });
        let topology = match &wishes.nodes {
            None => topology(recording, capture),
            Some(nodes) => Topology::new(nodes.of_cpus(topology(recording, capture).cpus()).map_err(SettingError::Nodes)?),
        };
        let listed = |cpus: Option<&Vec<u32>>| cpus.filter(|cpus| !cpus.is_empty()).map(|cpus| cpus.len() as u32);
        let present =
            wishes.cpus.map(u32::from).or(listed(machine.map(|machine| &machine.cpus_online))).unwrap_or(u32::from(topology.cpus()));
        let possible = listed(machine.map(|machine| &machine.cpus_possible)).unwrap_or(present);
        let page_bytes = wishes.page_bytes.or(machine.and_then(|machine| machine.page_bytes)).unwrap_or(4096);
        let hardware = Machine {
            page_bytes,
            cpus_present: present,
            cpus_possible: possible,
            word_bytes: if recording.info.long_bytes == 4 { 4 } else { 8 },
            ..Machine::x86_64(present)
        };
        let release = match allocator.reference_release() {
            Some(reference) if !allocator.exists_in(release) => {
                notes.push(format!("{release} cannot be built with {}; replayed as {reference}", allocator.name()));
                reference
            }
            _ => release,
        };
        let mut setting = Self::of((allocator, release), hardware, topology, capture);
        setting.notes.splice(0..0, notes);
        Ok(setting)
    }

    /// The allocator that the recorded kernel was built with, by its configuration, else by its snapshots; else SLUB.
    ///
    /// What tells SLAB from SLUB in `/proc/slabinfo` are its tunables.
    #[must_use]
    pub fn recorded_allocator(recording: &Recording, capture: Option<&Capture>) -> AllocatorKind {
        let configured = capture.and_then(|capture| capture.machine.config.as_deref()).and_then(AllocatorKind::from_config);
        let is_of_slab = |capture: &Capture| capture.slabinfo.iter().flatten().any(|file| file.is_of_slab());
        let seen = || capture.filter(|capture| is_of_slab(capture)).map(|_| AllocatorKind::Slab);
        let release = Self::recorded_release(recording, capture);
        let exists = |kind: &AllocatorKind| release.is_none_or(|release| kind.exists_in(release));
        configured.or_else(seen).filter(exists).unwrap_or_default()
    }

    /// A SLUB kernel of which nothing is known but this.
    #[must_use]
    pub fn slub(kernel: Kernel, topology: Topology) -> Self {
        let siblings = Siblings::of(kernel.release, "", None, &topology);
        let rules = Rules::of(kernel.release);
        Self { kernel, rules, topology, allocator: AllocatorKind::Slub, siblings, notes: Vec::new() }
    }

    /// The same machine, with a kernel of another release, configured and booted as the recorded one; with SLUB if that release has no
    /// other allocator.
    #[must_use]
    pub fn for_release(&self, release: KernelRelease, capture: Option<&Capture>) -> Self {
        let allocator = if self.allocator.exists_in(release) { self.allocator } else { AllocatorKind::Slub };
        self.for_model((allocator, release), self.kernel.build.slub_tiny, capture)
    }

    /// The same machine, with another allocator and release.
    #[must_use]
    pub fn for_model(&self, model: (AllocatorKind, KernelRelease), is_tiny: bool, capture: Option<&Capture>) -> Self {
        let machine = Machine { kmalloc_min_bytes: 8, kmalloc_max_bytes: 0, ..self.kernel.machine };
        let mut setting = Self::of(model, machine, self.topology.clone(), capture);
        if is_tiny != setting.kernel.build.slub_tiny {
            let build = Build { slub_tiny: is_tiny, ..setting.kernel.build };
            let cmdline = capture.and_then(|capture| capture.machine.cmdline.as_deref()).unwrap_or("");
            setting.kernel = Kernel::booted(model.1, setting.kernel.machine, build, cmdline);
        }
        setting
    }

    /// True if the model was compared with a real kernel.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        match self.allocator {
            AllocatorKind::Slub => self.rules.is_verified(),
            AllocatorKind::Slab => !self.siblings.slab.destroys_emptied_slab,
            AllocatorKind::Slob => self.siblings.slob.natural_alignment,
        }
    }

    /// Name of the model for reports.
    #[must_use]
    pub fn model_name(&self) -> &'static str {
        match self.allocator {
            AllocatorKind::Slub if self.kernel.build.slub_tiny => "SLUB_TINY",
            AllocatorKind::Slub => self.rules.generation.name(),
            AllocatorKind::Slab => self.siblings.slab.name(),
            AllocatorKind::Slob => self.siblings.slob.name(),
        }
    }

    fn of(model: (AllocatorKind, KernelRelease), hardware: Machine, topology: Topology, capture: Option<&Capture>) -> Self {
        let (allocator, release) = model;
        let machine = capture.map(|capture| &capture.machine);
        let config = machine.and_then(|machine| machine.config.as_deref());
        let build = config.map_or_else(Build::default, |config| Build::from_config(config, release));
        let cmdline = machine.and_then(|machine| machine.cmdline.as_deref()).unwrap_or("");
        let rules = Rules::of(release);
        let mut notes = Vec::new();
        let siblings = Siblings::of(release, cmdline, config, &topology);
        let hardware = siblings::kmalloc_of(allocator, release, hardware);
        let mut setting =
            Self { kernel: Kernel::booted(release, hardware, build, cmdline), rules, topology, allocator, siblings, notes: Vec::new() };
        if !setting.is_verified() {
            let generation = setting.model_name();
            notes.push(format!("the model of {generation} follows its source and was not verified against counters of a real kernel"));
        }
        notes.extend(not_modelled(cmdline, config));
        setting.notes = notes;
        setting
    }
}

/// True if `asked` means the release `own`: it is the same, or the same without its update number.
#[must_use]
pub fn is_same_release(asked: KernelRelease, own: KernelRelease) -> bool {
    (asked.major, asked.minor) == (own.major, own.minor) && (asked.patch == own.patch || asked.patch == 0)
}

/// What the recorded kernel did that the model does not.
fn not_modelled(cmdline: &str, config: Option<&str>) -> Vec<String> {
    let mut notes = Vec::new();
    let has_kfence = config.is_some_and(|config| config.lines().any(|line| line == "CONFIG_KFENCE=y"));
    if has_kfence && !cmdline.contains("kfence.sample_interval=0") {
        notes.push("the kernel has KFENCE: objects that it served are replayed as if slabs had".to_owned());
    }
    notes
}

fn topology(recording: &Recording, capture: Option<&Capture>) -> Topology {
    let traced = recording.streams.iter().map(|stream| stream.cpu + 1).max().unwrap_or(1);
    let possible = capture.and_then(|capture| capture.machine.cpus_possible.iter().max()).map_or(0, |&cpu| cpu.saturating_add(1));
    let count = u32::from(traced).max(possible).min(u32::from(MAX_CPUS));
    let mut node_of_cpu = vec![0; count as usize];
    for (node, cpus) in capture.map(|capture| capture.machine.nodes.as_slice()).unwrap_or_default() {
        for &cpu in cpus {
            if let (Some(slot), Ok(node)) = (node_of_cpu.get_mut(cpu as usize), u16::try_from(*node)) {
                *slot = node;
            }
        }
    }
    Topology::new(node_of_cpu)
}
