//! Which CPUs are on which memory node, as a user says it.

use std::str::FromStr;

/// A machine's nodes: `2`, or `0-3/4-7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nodes {
    /// So many, with the CPUs split evenly among them, in order.
    Count(u16),
    /// The CPUs of each node.
    Lists(Vec<Vec<u16>>),
}

/// As many nodes as any kernel supports (`MAX_NUMNODES`).
const MAX_NODES: usize = 1024;

/// What a user can say, for messages.
const EXPECTED: &str = "expected a number of nodes such as 2, or the CPUs of each node such as 0-3/4-7 or 0,2/1,3";

impl FromStr for Nodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(count) = text.parse::<u16>() {
            let fits = (1..=MAX_NODES).contains(&usize::from(count));
            return if fits { Ok(Self::Count(count)) } else { Err(format!("expected 1 to {MAX_NODES} nodes")) };
        }
        let lists: Option<Vec<Vec<u16>>> = text.split('/').map(cpu_list).collect();
        let lists = lists.filter(|lists| lists.len() <= MAX_NODES).ok_or_else(|| EXPECTED.to_owned())?;
        let mut cpus: Vec<u16> = lists.iter().flatten().copied().collect();
        cpus.sort_unstable();
        match cpus.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("CPU {} is on two nodes; expected each CPU once", pair[0])),
            None => Ok(Self::Lists(lists)),
        }
    }
}

/// `0-3,8`.
fn cpu_list(text: &str) -> Option<Vec<u16>> {
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?);
        if first > last || last >= super::MAX_CPUS {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

impl Nodes {
    /// The node of each of `cpus` CPUs; else what was expected.
    ///
    /// # Errors
    ///
    /// If the CPUs cannot be split so, or a list leaves one out or names one too many.
    pub(super) fn of_cpus(&self, cpus: u16) -> Result<Vec<u16>, String> {
        match self {
            Self::Count(nodes) if *nodes > cpus => Err(format!("{nodes} nodes for {cpus} CPUs; expected at most as many nodes as CPUs")),
            Self::Count(nodes) => Ok((0..cpus).map(|cpu| (u32::from(cpu) * u32::from(*nodes) / u32::from(cpus)) as u16).collect()),
            Self::Lists(lists) => {
                let mut node_of_cpu = vec![None; usize::from(cpus)];
                for (node, list) in (0..).zip(lists) {
                    for &cpu in list {
                        let all = format!("expected each of the CPUs 0-{} once", cpus - 1);
                        let slot = node_of_cpu.get_mut(usize::from(cpu)).ok_or_else(|| format!("there is no CPU {cpu}; {all}"))?;
                        *slot = Some(node);
                    }
                }
                let missing = |cpu: usize| format!("CPU {cpu} is on no node; expected each of the CPUs 0-{} once", cpus - 1);
                node_of_cpu.into_iter().enumerate().map(|(cpu, node)| node.ok_or_else(|| missing(cpu))).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, cpus: u16) -> Result<Vec<u16>, String> {
        text.parse::<Nodes>().and_then(|nodes| nodes.of_cpus(cpus))
    }

    #[test]
    fn counts_split_evenly_and_lists_say_it() {
        assert_eq!(of("2", 4), Ok(vec![0, 0, 1, 1]));
        // 5 CPUs: 0*2/5, 1*2/5, 2*2/5, 3*2/5, 4*2/5.
        assert_eq!(of("2", 5), Ok(vec![0, 0, 0, 1, 1]));
        assert_eq!(of("1", 3), Ok(vec![0; 3]));
        assert_eq!(of("0-1/2-3", 4), of("2", 4));
        assert_eq!(of("0,2/1,3", 4), Ok(vec![0, 1, 0, 1]));
        assert_eq!(of("0-3", 4), Ok(vec![0; 4]));
    }

    #[test]
    fn what_does_not_fit_says_what_was_expected() {
        for (text, needle) in [
            ("0", "1 to 1024"),
            ("2000", "1 to 1024"),
            ("two", "such as 2"),
            ("3-1/0", "such as 2"),
            ("0-1/1-2", "CPU 1 is on two nodes"),
            ("5", "5 nodes for 4 CPUs"),
            ("0-1/2-4", "there is no CPU 4; expected each of the CPUs 0-3"),
            ("0-1/3-3", "CPU 2 is on no node"),
        ] {
            let error = of(text, 4).expect_err(text);
            assert!(error.contains(needle), "{text}: {error}");
        }
    }
}
