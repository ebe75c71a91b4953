//! Failures on purpose, like those of `fail_page_alloc`: `should_fail_alloc_page()`, `mm/fail_page_alloc.c`, and
//! `should_fail_ex()`, `lib/fault-inject.c`, 6.12.

use std::str::FromStr;

use crate::mem::Rights;

/// Which requests fail. Text form: `order>=N,probability=P,interval=I,times=T,space=S,seed=S`, all parts optional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailPages {
    /// Requests of lower orders never fail (`min-order`).
    pub min_order: u8,
    /// Per cent of the others (`probability`).
    pub probability: u32,
    /// Only every so many of them (`interval`).
    pub interval: u64,
    /// How many in all; -1 for no limit (`times`).
    pub times: i64,
    /// Pages that pass first (`space`).
    pub space: u64,
    /// Of the random numbers: the same seed gives the same failures.
    pub seed: u64,
}

impl Default for FailPages {
    /// The kernel's own defaults, but for `probability` and `times`, which would let nothing fail.
    fn default() -> Self {
        Self { min_order: 1, probability: 100, interval: 1, times: -1, space: 0, seed: 1 }
    }
}

/// A text that does not say which requests fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}`: expected order>=N, probability=P in percent, interval=N, times=N (-1 for no limit), space=PAGES or seed=N")]
pub struct InvalidFailPages {
    /// The part of the text.
    pub found: String,
}

impl FromStr for FailPages {
    type Err = InvalidFailPages;

    fn from_str(text: &str) -> Result<Self, InvalidFailPages> {
        let mut fail = Self::default();
        for part in text.split(',') {
            fail.part(part.trim()).ok_or_else(|| InvalidFailPages { found: part.to_owned() })?;
        }
        Ok(fail)
    }
}

impl FailPages {
    fn part(&mut self, part: &str) -> Option<()> {
        if let Some(order) = part.strip_prefix("order>=") {
            self.min_order = order.parse().ok().filter(|&order| order <= super::MAX_ORDER)?;
            return Some(());
        }
        let (key, value) = part.split_once('=')?;
        match key {
            "probability" => self.probability = value.trim_end_matches('%').parse().ok().filter(|&percent| percent <= 100)?,
            "interval" => self.interval = value.parse().ok().filter(|&interval| interval > 0)?,
            "times" => self.times = value.parse().ok().filter(|&times| times >= -1)?,
            "space" => self.space = value.parse().ok()?,
            "seed" => self.seed = value.parse().ok()?,
            _ => return None,
        }
        Some(())
    }
}

/// Decides, request by request.
#[derive(Debug, Clone)]
pub(super) struct Injector {
    fail: FailPages,
    count: u64,
    random: fastrand::Rng,
}

impl Injector {
    pub(super) fn new(fail: FailPages) -> Self {
        Self { random: fastrand::Rng::with_seed(fail.seed), count: 0, fail }
    }

    /// A request that may reclaim never fails (`ignore-gfp-wait`), so the retry at the minimum order does not.
    pub(super) fn should_fail(&mut self, order: u8, rights: Rights) -> bool {
        let fail = &mut self.fail;
        if order < fail.min_order || rights == Rights::Reclaim || fail.probability == 0 || fail.times == 0 {
            return false;
        }
        if fail.space > 1 << order {
            fail.space -= 1 << order;
            return false;
        }
        self.count += 1;
        if !self.count.is_multiple_of(fail.interval) {
            return false;
        }
        if self.random.u32(..100) >= fail.probability {
            return false;
        }
        if fail.times > 0 {
            fail.times -= 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(text: &str, requests: u32) -> Vec<u32> {
        let mut injector = Injector::new(text.parse().unwrap());
        (0..requests).filter(|_| injector.should_fail(3, Rights::AtOnce)).collect()
    }

    #[test]
    fn every_third_twice() {
        assert_eq!(failures("order>=2,interval=3,times=2", 100), [2, 5]);
        // 8 pages a request: 20 > 8 and 12 > 8 pass, then 4 are not enough.
        assert_eq!(failures("space=20,times=1", 100), [2]);
    }

    #[test]
    fn one_in_four_by_chance_and_again() {
        let some = failures("probability=25%,seed=7", 10_000);
        // Six standard deviations of a binomial distribution: 43 each.
        assert!((2240..=2760).contains(&some.len()), "{}", some.len());
        assert_eq!(some, failures("probability=25,seed=7", 10_000));
        assert_ne!(some, failures("probability=25,seed=8", 10_000));
        assert!(failures("probability=0", 100).is_empty());
    }

    #[test]
    fn low_orders_and_sleepers_are_spared() {
        let mut injector = Injector::new("order>=2".parse().unwrap());
        assert!(!injector.should_fail(1, Rights::AtOnce) && !injector.should_fail(2, Rights::Reclaim));
        assert!(injector.should_fail(2, Rights::Atomic) && injector.should_fail(2, Rights::AtOnce));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for text in ["order>=11", "order=2", "probability=101", "interval=0", "times=-2", "whatever", ""] {
            assert_eq!(text.parse::<FailPages>(), Err(InvalidFailPages { found: text.to_owned() }));
        }
    }
}
