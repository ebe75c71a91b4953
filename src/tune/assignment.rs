//! What a user writes: `[CACHE.]KNOB=VALUES`.

use std::str::FromStr;

use super::knob::Knob;

/// A knob, of all caches or of one, and the values to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The cache that is meant; `None` for all of them.
    pub cache: Option<String>,
    /// The knob.
    pub knob: Knob,
    /// Its values in the order given, each once; `None` for what the recorded kernel has.
    pub values: Vec<Option<u32>>,
}

/// Most values of one knob.
const MAX_VALUES: usize = 1000;

impl FromStr for Assignment {
    type Err = String;

    /// Reads `cpu_partial=30`, `dentry.cpu_partial=0,6,default`, `slab_max_order=0..3` (both ends included), `slab_nomerge`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (place, values) = match text.split_once('=') {
            Some((place, values)) => (place, values),
            None if Knob::of_name(text) == Some(Knob::NoMerge) => (text, "1"),
            None => {
                return Err(format!(
                    "{text}: expected KNOB=VALUE or CACHE.KNOB=VALUE, such as cpu_partial=30 or dentry.cpu_partial=0,6,30"
                ));
            }
        };
        // Names of caches may have dots in them, those of knobs have none.
        let (cache, name) = place.rsplit_once('.').map_or((None, place), |(cache, name)| (Some(cache), name));
        let knob = Knob::of_name(name).ok_or_else(|| {
            let known: Vec<&str> = Knob::ALL.iter().map(|knob| knob.name()).collect();
            format!("{name}: no such knob; there are {}", known.join(", "))
        })?;
        if let Some(cache) = cache {
            if cache.is_empty() {
                return Err(format!("{text}: the name of the cache is missing before the dot"));
            }
            if knob.is_boot() {
                return Err(format!("{text}: {knob} concerns all caches at once; leave `{cache}.` out"));
            }
        }
        let mut read: Vec<Option<u32>> = Vec::new();
        for part in values.split(',') {
            for value in range(part.trim()).map_err(|expected| format!("{text}: {expected}"))? {
                if !read.contains(&value) {
                    read.push(value);
                }
            }
            if read.len() > MAX_VALUES {
                return Err(format!("{text}: more than {MAX_VALUES} values"));
            }
        }
        Ok(Self { cache: cache.map(str::to_owned), knob, values: read })
    }
}

/// One value, or those from one to another.
fn range(part: &str) -> Result<Vec<Option<u32>>, String> {
    let number = |text: &str| text.trim().parse::<u32>().map_err(|_| format!("expected a number below 2^32, found {text:?}"));
    if part == "default" {
        return Ok(vec![None]);
    }
    let Some((from, to)) = part.split_once("..") else { return Ok(vec![Some(number(part)?)]) };
    let (from, to) = (number(from)?, number(to.strip_prefix('=').unwrap_or(to))?);
    match to.checked_sub(from) {
        None => Err(format!("expected a range that rises, found {part}")),
        Some(span) if span as usize >= MAX_VALUES => Err(format!("more than {MAX_VALUES} values in {part}")),
        Some(_) => Ok((from..=to).map(Some).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Assignment, String> {
        text.parse()
    }

    #[test]
    fn knobs_caches_lists_and_ranges() {
        let all = |knob, values: &[u32]| Ok(Assignment { cache: None, knob, values: values.iter().copied().map(Some).collect() });
        assert_eq!(parsed("cpu_partial=0,6,30,120"), all(Knob::CpuPartial, &[0, 6, 30, 120]));
        assert_eq!(parsed("slab_max_order=0..3"), all(Knob::SlabMaxOrder, &[0, 1, 2, 3]));
        assert_eq!(parsed("slub_max_order=1,1,0..2"), all(Knob::SlabMaxOrder, &[1, 0, 2]));
        assert_eq!(parsed("slab_nomerge"), all(Knob::NoMerge, &[1]));
        let of_one = Assignment { cache: Some("a.b".to_owned()), knob: Knob::MinPartial, values: vec![None, Some(5)] };
        assert_eq!(parsed("a.b.min_partial=default,5"), Ok(of_one));
        assert_eq!(parsed(":0000136.cpu_partial=1").unwrap().cache.as_deref(), Some(":0000136"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, says) in [
            ("cpu_partial", "expected KNOB=VALUE"),
            ("cpu_partials=1", "no such knob"),
            ("dentry.slab_max_order=1", "all caches at once"),
            (".cpu_partial=1", "name of the cache"),
            ("cpu_partial=", "expected a number"),
            ("cpu_partial=-1", "expected a number"),
            ("cpu_partial=4294967296", "expected a number"),
            ("cpu_partial=9..3", "range that rises"),
            ("cpu_partial=0..4294967295", "more than 1000"),
            ("=", "no such knob"),
            ("", "expected KNOB=VALUE"),
        ] {
            let error = parsed(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
