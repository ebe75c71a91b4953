//! The first divergences of a cache, event by event, with the state of the kernel and of the replay.
//!
//! The kernel's state is what addresses tell: which objects of each slab are live, and which CPU took from it last.

use std::fmt::Write;

use rustc_hash::FxHashMap;

use crate::allocators::slub::{Cache, SlabView};
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

/// Describes the state before each of some operations of a cache, in one more replay that pauses there.
#[derive(Debug)]
pub struct Explainer<'a> {
    plan: &'a Plan,
    cache: usize,
    cpus: u16,
    nodes: u16,
    kernel: KernelView,
    text: String,
}

impl<'a> Explainer<'a> {
    /// For a machine of so many CPUs and nodes.
    #[must_use]
    pub fn new(plan: &'a Plan, cache: usize, cpus: u16, nodes: u16) -> Self {
        Self { plan, cache, cpus, nodes, kernel: KernelView::default(), text: String::new() }
    }

    /// What was found, a paragraph for each pause.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn describe(&mut self, paused: &Paused<'_>) -> Option<()> {
        let op = *self.plan.ops.get(paused.position)?;
        self.kernel.advance(self.plan, self.cache, paused.position);
        let cache = paused.cache(self.cache)?;
        let mut text = std::mem::take(&mut self.text);
        let written = self.write(&mut text, paused, &op, cache);
        self.text = text;
        written.ok()
    }

    fn write(&self, text: &mut String, paused: &Paused<'_>, op: &Op, cache: &Cache) -> std::fmt::Result {
        let start = self.plan.time_range_ns.0;
        let slab = self.plan.kernel.slab(op.object);
        writeln!(
            text,
            "\nat {:.6} s, operation {}: CPU {} allocates {:#x}{}",
            op.time_ns.saturating_sub(start) as f64 / 1e9,
            paused.position,
            op.cpu,
            self.plan.kernel.address(op.object).unwrap_or(0),
            if op.what.is_implied() { " (not traced: inferred)" } else { "" },
        )?;
        writeln!(text, "  kernel: from {}", self.kernel.name(self.plan, slab))?;
        for cpu in 0..self.cpus {
            if let Some(&current) = self.kernel.current.get(&cpu) {
                writeln!(text, "    CPU {cpu} took its last object from {}", self.kernel.name(self.plan, Some(current)))?;
            }
        }
        if let Some(slab) = slab {
            for (position, op) in self.kernel.history.get(&slab).into_iter().flatten() {
                writeln!(
                    text,
                    "    earlier: operation {position} at {:.6} s: CPU {} {} {:#x}{}",
                    op.time_ns.saturating_sub(start) as f64 / 1e9,
                    op.cpu,
                    if op.what.is_free() { "frees" } else { "allocates" },
                    self.plan.kernel.address(op.object).unwrap_or(0),
                    if op.what.is_implied() { " (inferred)" } else { "" },
                )?;
            }
        }
        writeln!(text, "  replay:")?;
        for cpu in 0..self.cpus {
            list(text, &format!("CPU {cpu}"), &cache.slabs_of_cpu(cpu), &|view| self.name(paused, view))?;
        }
        for node in 0..self.nodes {
            list(text, &format!("node {node} list"), &cache.slabs_of_node(node), &|view| self.name(paused, view))?;
        }
        Ok(())
    }

    /// A slab of the replay, by the kernel's slab that it stands for.
    fn name(&self, paused: &Paused<'_>, view: &SlabView) -> String {
        let kernel = paused.kernel_slab(self.cache, view.slab).and_then(|slab| self.plan.kernel.base(slab));
        let base = kernel.map_or_else(|| "(not yet known)".to_owned(), |base| format!("{base:#x}"));
        let own = if view.free_on_cpu > 0 { format!(" + {} on the CPU's own list", view.free_on_cpu) } else { String::new() };
        format!("{base}: {} of {} free{own}", view.free, view.objects)
    }
}

/// Slabs shown of one list.
const LISTED: usize = 6;

fn list(text: &mut String, title: &str, slabs: &[SlabView], name: &dyn Fn(&SlabView) -> String) -> std::fmt::Result {
    if slabs.is_empty() {
        return Ok(());
    }
    writeln!(text, "    {title}, {} slabs", slabs.len())?;
    for view in slabs.iter().take(LISTED) {
        writeln!(text, "      {}", name(view))?;
    }
    if slabs.len() > LISTED {
        writeln!(text, "      and {} more", slabs.len() - LISTED)?;
    }
    Ok(())
}

impl Observer for Explainer<'_> {
    fn mark(&mut self, _: &str, _: &dyn Fn(usize) -> Option<CacheState>) {}
    fn progress(&mut self, _: u64) {}

    fn pause(&mut self, at: &Paused<'_>) {
        self.describe(at);
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

    fn name(&self, plan: &Plan, slab: Option<KernelSlab>) -> String {
        let Some(slab) = slab else { return "an unknown slab".to_owned() };
        let base = plan.kernel.base(slab).unwrap_or(0);
        let live = self.live.get(&slab).copied().unwrap_or(0);
        format!("{base:#x} ({live} objects of the trace live in it)")
    }
}
