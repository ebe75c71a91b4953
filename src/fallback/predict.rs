//! A replay with the page allocator modelled.

use super::FellBack;
use super::machine::PageMachine;
use super::observed::CacheWindow;
use crate::allocators::AllocatorKind;
use crate::mem::buddy::{Attempt, FailPages, OwnerPages, PageCounts, PageModel, PageSample, Placement, Refusal, TrafficCounts};
use crate::prepare::Plan;
use crate::replay::{Observer, Outcome, ReplayError, Setup, Timeline};
use crate::setting::Setting;

/// What to replay.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What it is laid out for.
    pub setting: &'a Setting,
    /// How to replay the caches.
    pub setup: &'a Setup,
    /// The page allocator.
    pub machine: &'a PageMachine,
    /// What each cache asks for.
    pub owners: Vec<OwnerPages>,
    /// By cache, the time that counts.
    pub windows: &'a [CacheWindow],
    /// Requests that fail on purpose.
    pub fail: Option<FailPages>,
    /// Where slabs go.
    pub placement: Placement,
    /// Moments of the trace clock at which the free blocks are kept.
    pub sample_at: Vec<u64>,
}

impl Question<'_> {
    /// The page allocator at the start.
    #[must_use]
    pub fn pages(&self) -> PageModel {
        let others = self.plan.traffic.with(&self.machine.start.unseen);
        let pages = PageModel::new(&self.machine.spec, &self.machine.start, self.owners.clone(), others)
            .placing(self.placement, self.plan.recorded_slabs.iter().cloned())
            .failing(self.fail)
            .sampling(self.sample_at.clone());
        match self.placement {
            Placement::Recorded => pages.refilling(self.plan.traffic.events()),
            Placement::ByRules => pages,
        }
    }
}

/// A cache's requests for new slabs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tries {
    /// First attempts, at the preferred order.
    pub attempts: u64,
    /// Of these, above order 0.
    pub high_order: u64,
    /// First attempts that failed, and the second did not.
    pub fallbacks: u64,
    /// Both failed.
    pub failures: u64,
    /// First attempts that failed for lack of a block of the order.
    pub no_block: u64,
    /// First attempts that failed at the watermark.
    pub watermark: u64,
    /// First attempts that failed on purpose.
    pub injected: u64,
}

/// What the model did.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// By cache, in its time.
    pub caches: Vec<Tries>,
    /// Fallbacks in the caches' times, by moment.
    pub fallbacks: Vec<FellBack>,
    /// Free blocks at the moments that were asked for.
    pub samples: Vec<PageSample>,
    /// What else happened.
    pub counts: PageCounts,
    /// How far the recorded traffic fitted.
    pub traffic: TrafficCounts,
    /// The caches.
    pub outcome: Outcome,
    /// The caches over time.
    pub timeline: Timeline,
}

/// Replays a plan with the page allocator modelled.
///
/// # Errors
///
/// If the replay finds its model broken.
pub fn predict(question: &Question<'_>, observer: &mut dyn Observer) -> Result<Prediction, ReplayError> {
    let (outcome, timeline, mut pages) = question.setting.replay(question.plan, question.setup, question.pages(), observer)?;
    pages.finish();
    let falls_back = question.setting.allocator == AllocatorKind::Slub;
    let (caches, fallbacks) = sum_up(pages.attempts(), &question.owners, question.windows, falls_back);
    let (samples, counts, traffic) = (pages.samples().to_vec(), pages.counts(), pages.traffic_counts());
    Ok(Prediction { caches, fallbacks, samples, counts, traffic, outcome, timeline })
}

/// Tells first attempts from second ones: if the allocator `falls_back`, a second one follows the first at once.
fn sum_up(attempts: &[Attempt], owners: &[OwnerPages], windows: &[CacheWindow], falls_back: bool) -> (Vec<Tries>, Vec<FellBack>) {
    let mut caches = vec![Tries::default(); owners.len()];
    let mut fallbacks = Vec::new();
    let mut is_second = false;
    for attempt in attempts {
        let number = attempt.owner as usize;
        let (Some(tries), Some(window)) = (caches.get_mut(number), windows.get(number)) else { continue };
        let counts = window.contains(attempt.time_ns);
        if is_second {
            is_second = false;
            if !counts {
                continue;
            }
            if attempt.refusal.is_some() {
                tries.failures += 1;
            } else {
                tries.fallbacks += 1;
                fallbacks.push(FellBack { time_ns: attempt.time_ns, cache: number, order: attempt.order });
            }
            continue;
        }
        is_second = falls_back && attempt.refusal.is_some();
        if !counts {
            continue;
        }
        tries.failures += u64::from(!falls_back && attempt.refusal.is_some());
        tries.attempts += 1;
        tries.high_order += u64::from(attempt.order > 0);
        match attempt.refusal {
            None => {}
            Some(Refusal::NoBlock) => tries.no_block += 1,
            Some(Refusal::Watermark) => tries.watermark += 1,
            Some(Refusal::Injected) => tries.injected += 1,
        }
    }
    (caches, fallbacks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::buddy::ZoneKind;

    #[test]
    fn attempts_come_in_pairs_where_the_first_fails() {
        let owner = OwnerPages { is_reclaimable: false, highest: ZoneKind::Normal, order: 2, min_order: 0 };
        let window = CacheWindow { from_ns: 10, to_ns: 20 };
        let attempt = |time_ns, owner, order, refusal| Attempt { time_ns, owner, order, refusal };
        let (no_block, watermark) = (Some(Refusal::NoBlock), Some(Refusal::Watermark));
        let attempts = [
            attempt(5, 0, 2, no_block),
            attempt(5, 0, 0, None),
            attempt(10, 0, 2, None),
            attempt(11, 1, 2, no_block),
            attempt(11, 1, 0, None),
            attempt(12, 0, 2, watermark),
            attempt(12, 0, 0, watermark),
            attempt(20, 0, 2, None),
        ];
        let (caches, fallbacks) = sum_up(&attempts, &[owner; 2], &[window; 2], true);
        let first = Tries { attempts: 2, high_order: 2, failures: 1, watermark: 1, ..Tries::default() };
        let second = Tries { attempts: 1, high_order: 1, fallbacks: 1, no_block: 1, ..Tries::default() };
        assert_eq!((caches, fallbacks), (vec![first, second], vec![FellBack { time_ns: 11, cache: 1, order: 0 }]));
    }
}
