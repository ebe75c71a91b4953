//! The first divergences of a cache, event by event, with the state of the kernel and of the replay.
//!
//! The kernel's state is what addresses tell: which objects of each slab are live, and which CPU took from it last.

use std::fmt;

use rustc_hash::FxHashMap;

use crate::allocators::slub::SlabView;
use crate::prepare::{KernelSlab, Op, Plan};
use crate::replay::{CacheState, Observer, Paused};

/// Finds the first divergences of one cache.
#[derive(Debug)]
pub struct Divergences<'a> {
    plan: &'a Plan,
    cache: usize,
    wanted: usize,
    /// Positions of the operations that diverged.
    pub positions: Vec<usize>,
}

impl<'a> Divergences<'a> {
    /// Looks for the first `wanted` of a cache.
    #[must_use]
    pub fn new(plan: &'a Plan, cache: usize, wanted: usize) -> Self {
        Self { plan, cache, wanted, positions: Vec::new() }
    }
}

impl Observer for Divergences<'_> {
    fn mark(&mut self, _: &str, _: &dyn Fn(usize) -> Option<CacheState>) {}
    fn progress(&mut self, _: u64) {}

    fn diverged(&mut self, position: usize) {
        if self.positions.len() < self.wanted && usize::from(self.plan.ops[position].cache) == self.cache {
            self.positions.push(position);
        }
    }
}

/// An allocation of which the replay served another slab than the kernel, with what was known just before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The allocation.
    pub allocation: Step,
    /// The kernel's slab that it came from.
    pub kernel: Option<KernelState>,
    /// By CPU: the slab that it had taken its last object from.
    pub last_taken: Vec<(u16, KernelState)>,
    /// The last operations on the kernel's slab.
    pub history: Vec<Step>,
    /// By CPU: its slab and its partial list in the replay.
    pub cpus: Vec<(u16, Vec<ReplaySlab>)>,
    /// By node: its partial list in the replay.
    pub nodes: Vec<(u16, Vec<ReplaySlab>)>,
}

/// An operation, as explanations show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Position in the plan.
    pub operation: usize,
    /// Nanoseconds since the first event.
    pub time_ns: u64,
    /// CPU that does it.
    pub cpu: u16,
    /// Address of the object.
    pub address: u64,
    /// True for a free.
    pub is_free: bool,
    /// True if the trace does not show it.
    pub is_implied: bool,
}

/// A slab of the kernel, as far as addresses tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelState {
    /// First address.
    pub base: u64,
    /// Objects of the trace that are live in it.
    pub live: i64,
}

/// A slab of the replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplaySlab {
    /// First address of the kernel's slab that it stands for, once that is known.
    pub base: Option<u64>,
    /// Objects it is made of.
    pub objects: u16,
    /// Objects on its own freelist; of a cpu slab, those freed by others.
    pub free: u16,
    /// Of a cpu slab: objects on the CPU's own freelist.
    pub free_on_cpu: u16,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.is_free { "frees" } else { "allocates" };
        let inferred = if self.is_implied { " (not traced: inferred)" } else { "" };
        let seconds = self.time_ns as f64 / 1e9;
        write!(f, "{seconds:.6} s, operation {}: CPU {} {verb} {:#x}{inferred}", self.operation, self.cpu, self.address)
    }
}

impl fmt::Display for KernelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} ({} objects of the trace are live in it)", self.base, self.live)
    }
}

impl fmt::Display for ReplaySlab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.base {
            Some(base) => write!(f, "{base:#x}: ")?,
            None => f.write_str("one that the kernel has not used yet: ")?,
        }
        write!(f, "{} of {} free", self.free, self.objects)?;
        if self.free_on_cpu > 0 { write!(f, ", and {} on the CPU's own list", self.free_on_cpu) } else { Ok(()) }
    }
}

/// Slabs shown of one list.
const LISTED: usize = 6;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "at {}", self.allocation)?;
        match &self.kernel {
            Some(slab) => writeln!(f, "  the kernel took it from {slab}")?,
            None => writeln!(f, "  the kernel took it from an unknown slab")?,
        }
        for step in &self.history {
            writeln!(f, "    before, at {step}")?;
        }
        if !self.last_taken.is_empty() {
            writeln!(f, "  the kernel's CPUs took their last objects from")?;
        }
        for (cpu, slab) in &self.last_taken {
            writeln!(f, "    CPU {cpu}: {slab}")?;
        }
        writeln!(f, "  the replay's slabs, by the kernel's slabs that they stand for")?;
        for (cpu, slabs) in &self.cpus {
            list(f, &format!("CPU {cpu}, its slab and its partial list"), slabs)?;
        }
        for (node, slabs) in &self.nodes {
            list(f, &format!("node {node}, its partial list"), slabs)?;
        }
        Ok(())
    }
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, slabs: &[ReplaySlab]) -> fmt::Result {
    if slabs.is_empty() {
        return Ok(());
    }
    writeln!(f, "    {title}: {}", slabs.len())?;
    for slab in slabs.iter().take(LISTED) {
        writeln!(f, "      {slab}")?;
    }
    if slabs.len() > LISTED {
        writeln!(f, "      and {} more", slabs.len() - LISTED)?;
    }
    Ok(())
}

/// Describes the state before each of some operations of a cache, in one more replay that pauses there.
#[derive(Debug)]
pub struct Explainer<'a> {
    plan: &'a Plan,
    cache: usize,
    cpus: u16,
    nodes: u16,
    kernel: KernelView,
    explanations: Vec<Explanation>,
}

impl<'a> Explainer<'a> {
    /// For a machine of so many CPUs and nodes.
    #[must_use]
    pub fn new(plan: &'a Plan, cache: usize, cpus: u16, nodes: u16) -> Self {
        Self { plan, cache, cpus, nodes, kernel: KernelView::of(plan, cache), explanations: Vec::new() }
    }

    /// What was found, one for each pause.
    #[must_use]
    pub fn into_explanations(self) -> Vec<Explanation> {
        self.explanations
    }

    fn explain(&mut self, paused: &Paused<'_>) -> Option<Explanation> {
        let op = *self.plan.ops.get(paused.position)?;
        self.kernel.advance(self.plan, self.cache, paused.position);
        let cache = paused.cache(self.cache)?;
        let slab = self.plan.kernel.slab(op.object);
        let last_taken = (0..self.cpus).filter_map(|cpu| Some((cpu, self.kernel.state(self.plan, *self.kernel.current.get(&cpu)?))));
        let history = slab.and_then(|slab| self.kernel.history.get(&slab)).into_iter().flatten();
        let views = |views: Vec<SlabView>| views.iter().map(|view| self.replay_slab(paused, view)).collect::<Vec<_>>();
        Some(Explanation {
            allocation: step(self.plan, paused.position, &op),
            kernel: slab.map(|slab| self.kernel.state(self.plan, slab)),
            last_taken: last_taken.collect(),
            history: history.map(|(position, op)| step(self.plan, *position, op)).collect(),
            cpus: (0..self.cpus).map(|cpu| (cpu, views(cache.slabs_of_cpu(cpu)))).collect(),
            nodes: (0..self.nodes).map(|node| (node, views(cache.slabs_of_node(node)))).collect(),
        })
    }

    fn replay_slab(&self, paused: &Paused<'_>, view: &SlabView) -> ReplaySlab {
        let base = paused.kernel_slab(self.cache, view.slab).and_then(|slab| self.plan.kernel.base(slab));
        ReplaySlab { base, objects: view.objects, free: view.free, free_on_cpu: view.free_on_cpu }
    }
}

fn step(plan: &Plan, operation: usize, op: &Op) -> Step {
    Step {
        operation,
        time_ns: op.time_ns.saturating_sub(plan.time_range_ns.0),
        cpu: op.cpu,
        address: plan.kernel.address(op.object).unwrap_or(0),
        is_free: op.what.is_free(),
        is_implied: op.what.is_implied(),
    }
}

impl Observer for Explainer<'_> {
    fn mark(&mut self, _: &str, _: &dyn Fn(usize) -> Option<CacheState>) {}
    fn progress(&mut self, _: u64) {}

    fn pause(&mut self, at: &Paused<'_>) {
        let explanation = self.explain(at);
        self.explanations.extend(explanation);
    }
}

/// The kernel's slabs of one cache, as far as addresses tell.
#[derive(Debug, Default)]
struct KernelView {
    next: usize,
    live: FxHashMap<KernelSlab, i64>,
    /// By CPU: the slab it took its last object from.
    current: FxHashMap<u16, KernelSlab>,
    /// By slab: its last operations.
    history: FxHashMap<KernelSlab, Vec<(usize, Op)>>,
}

/// Operations of a slab that are remembered.
const HISTORY: usize = 8;

impl KernelView {
    /// Before the first operation.
    fn of(plan: &Plan, cache: usize) -> Self {
        let seeds = plan.seeds.iter().filter(|seed| usize::from(seed.cache) == cache);
        Self { live: seeds.filter_map(|seed| Some((seed.slab?, seed.live.len() as i64))).collect(), ..Self::default() }
    }

    fn advance(&mut self, plan: &Plan, cache: usize, to: usize) {
        for (position, op) in plan.ops.iter().enumerate().take(to).skip(self.next).filter(|(_, op)| usize::from(op.cache) == cache) {
            let Some(slab) = plan.kernel.slab(op.object) else { continue };
            *self.live.entry(slab).or_default() += if op.what.is_free() { -1 } else { 1 };
            if !op.what.is_free() {
                self.current.insert(op.cpu, slab);
            }
            let history = self.history.entry(slab).or_default();
            if history.len() >= HISTORY {
                history.remove(0);
            }
            history.push((position, *op));
        }
        self.next = to;
    }

    fn state(&self, plan: &Plan, slab: KernelSlab) -> KernelState {
        KernelState { base: plan.kernel.base(slab).unwrap_or(0), live: self.live.get(&slab).copied().unwrap_or(0) }
    }
}
