//! What the analyses found, with names in place of numbers.

use slubreplay_parsers::recording::Recording;
use slubreplay_reports::input::RunFacts;
use slubreplay_reports::input::analysis::{
    AnalysisInput, CallerFigures, Course, Lifetime, LifetimeBin, Look, OwnerFigures, PinFigures, RemoteFrees, Verdict,
};

use crate::analyze::callers::Caller;
use crate::analyze::{Analysis, CacheLook, OwnerLives};
use crate::cli::load::Loaded;
use crate::prepare::PlannedCache;

/// Who allocated what the trace does not show being allocated.
const UNKNOWN: &str = "unknown";

/// Findings as a report has them. `callers` are those of the whole trace.
pub(in crate::cli) fn analysis_input(run: RunFacts, loaded: &Loaded, analysis: &Analysis, callers: &[Caller]) -> AnalysisInput {
    let (plan, facts) = (&loaded.plan, &loaded.facts);
    let label = |cache: usize| plan.caches.get(cache).map_or("", cache_label).to_owned();
    let site = |site: Option<u32>| match site.and_then(|site| plan.origins.sites.get(site as usize)) {
        Some(&address) => facts.site_name(address),
        None => UNKNOWN.to_owned(),
    };
    let is_used = |cache: &usize| analysis.looks[*cache].iter().any(|look| look.slabs > 0);
    let used: Vec<usize> = (0..plan.caches.len()).filter(is_used).collect();
    let courses = used.iter().map(|&cache| Course {
        cache: label(cache),
        stride_bytes: plan.caches[cache].layout.size,
        looks: analysis.looks[cache].iter().map(look).collect(),
        allocs_between: analysis.lives.caches[cache].allocs_between.clone(),
    });
    let mut sites: Vec<OwnerFigures> =
        analysis.lives.sites.iter().map(|(owner, lives)| owner_figures(label(usize::from(owner.cache)), site(owner.who), lives)).collect();
    let thread = |pid: Option<i32>| pid.map_or_else(|| UNKNOWN.to_owned(), |pid| thread_name(facts, pid));
    let mut threads: Vec<OwnerFigures> = analysis
        .lives
        .threads
        .iter()
        .map(|(owner, lives)| owner_figures(label(usize::from(owner.cache)), thread(owner.who), lives))
        .collect();
    for owners in [&mut sites, &mut threads] {
        // Stable: what is equal stays in the order of caches and first objects.
        owners.sort_by_key(|owner| std::cmp::Reverse((owner.live_requested_bytes, owner.requested_bytes)));
    }
    let pins = analysis.pins.iter().map(|pin| PinFigures {
        cache: label(usize::from(pin.cache)),
        call_site: site(pin.site),
        mean_bytes: pin.bytes.mean.round() as u64,
        peak_bytes: pin.bytes.peak.round() as u64,
        end_bytes: pin.bytes.end.round() as u64,
        end_objects: pin.bytes.objects_end,
        end_age_ns: pin.bytes.age_ns.checked_div(pin.bytes.objects_end).unwrap_or(0),
    });
    let mut verdicts: Vec<Verdict> = used
        .iter()
        .map(|&cache| {
            let finding = &analysis.findings[cache];
            Verdict { cache: label(cache), verdict: finding.kind.name(), bytes: finding.bytes, evidence: finding.evidence.clone() }
        })
        .collect();
    verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.bytes));
    AnalysisInput {
        run,
        moments_ns: analysis.moments_ns.clone(),
        courses: courses.collect(),
        lifetimes: used.iter().flat_map(|&cache| lifetime_bins(&label(cache), analysis, cache)).collect(),
        sites,
        threads,
        pins: pins.collect(),
        remote_frees: remote_frees(analysis),
        callers: callers.iter().map(|caller| caller_figures(facts, caller)).collect(),
        verdicts,
        notes: Vec::new(),
    }
}

/// The name that people know a cache by: that of the trace, where the cache is merged.
fn cache_label(planned: &PlannedCache) -> &str {
    if planned.traced_as.is_empty() { &planned.name } else { &planned.traced_as }
}

fn thread_name(facts: &Recording, pid: i32) -> String {
    facts.tasks.get(&pid).map_or_else(|| pid.to_string(), |name| format!("{pid} {name}"))
}

fn look(look: &CacheLook) -> Look {
    Look {
        slabs: look.slabs,
        slab_bytes: look.slab_bytes,
        objects: look.objects,
        live_objects: look.live,
        occupancy: look.occupancy,
        free_in_cpu_slabs: look.free_at[1],
        cpu_partial_slabs: u64::from(look.slabs_at[2]),
        free_on_cpu_partial: look.free_at[2],
        free_in_sheaves: look.parked,
        node_slabs: u64::from(look.slabs_at[3]),
        free_on_nodes: look.free_at[3],
        empty_node_slabs: look.empty_listed,
        listed_mean_ns: look.listed_mean_ns,
        listed_longest_ns: look.listed_longest_ns,
        fast_allocs: look.fast_allocs,
        fast_frees: look.fast_frees,
        node_moves: look.node_moves,
        drains: look.drains,
        order_fallbacks: look.order_fallbacks,
    }
}

fn lifetime_bins(cache: &str, analysis: &Analysis, number: usize) -> Vec<LifetimeBin> {
    let lifetimes = &analysis.lives.caches[number].lifetimes;
    let mut bins = [0_u64; 64];
    for value in lifetimes.iter_recorded() {
        bins[value.value_iterated_to().max(1).ilog2() as usize] += u64::from(value.count_at_value());
    }
    (0..63)
        .zip(bins)
        .filter(|(_, objects)| *objects > 0)
        .map(|(bin, objects)| LifetimeBin { cache: cache.to_owned(), from_ns: 1 << bin, below_ns: 2 << bin, objects })
        .collect()
}

fn owner_figures(cache: String, owner: String, lives: &OwnerLives) -> OwnerFigures {
    let at = |share: f64| lives.lifetimes.value_at_quantile(share);
    let lifetime =
        (lives.frees > 0).then(|| Lifetime { p50_ns: at(0.5), p90_ns: at(0.9), p99_ns: at(0.99), longest_ns: lives.lifetimes.max() });
    OwnerFigures {
        cache,
        owner,
        allocs: lives.allocs,
        requested_bytes: lives.requested_bytes,
        frees: lives.frees,
        remote_frees: lives.remote_frees,
        live_objects: lives.live,
        live_requested_bytes: lives.live_requested_bytes,
        oldest_ns: lives.oldest_ns,
        lifetime,
    }
}

fn remote_frees(analysis: &Analysis) -> Vec<RemoteFrees> {
    let all = &analysis.lives.remote_frees;
    let pairs = (0..all.cpus).flat_map(|one| (0..all.cpus).map(move |other| (one, other)));
    pairs
        .map(|(one, other)| RemoteFrees { allocated_by: one as u32, freed_by: other as u32, frees: all.count(one, other) })
        .filter(|pair| pair.frees > 0)
        .collect()
}

fn caller_figures(facts: &Recording, caller: &Caller) -> CallerFigures {
    CallerFigures {
        call_site: facts.site_name(caller.call_site),
        allocated_bytes: caller.allocated_bytes,
        requested_bytes: caller.requested_bytes,
        hits: caller.hits,
        ping_pong: caller.ping_pong,
        fragmentation: caller.fragmentation(),
    }
}
