//! Where each object came from: who allocated it, and under which name the trace has its cache.

use rustc_hash::FxHashMap;
use slubreplay_parsers::recording::Recording;

use super::pairing::Paired;

/// Who allocated the objects of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    /// Call sites that allocated, each once, in the order of their first object: addresses, or what
    /// [`Recording::site`] takes.
    pub sites: Vec<u64>,
    /// Names that the trace has for caches, as in [`Recording::names`]. Several may be of one cache, merged.
    pub names: Vec<String>,
    of_object: Vec<Origin>,
}

/// Who allocated an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Call site, as an index into [`Origins::sites`]; `None` if the trace does not show the allocation.
    pub site: Option<u32>,
    /// Thread that ran, also in interrupts; `None` if the trace does not show the allocation.
    pub pid: Option<i32>,
    /// Name of the cache in the object's events, as an index into [`Origins::names`], where they have one.
    pub name: Option<u16>,
}

impl Origin {
    /// Of an object that no event shows being allocated.
    pub const UNKNOWN: Self = Self { site: None, pid: None, name: None };
}

impl Origins {
    /// Who allocated an object of the plan.
    #[must_use]
    pub fn of(&self, object: u32) -> Origin {
        self.of_object.get(object as usize).copied().unwrap_or(Origin::UNKNOWN)
    }

    pub(super) fn find(paired: &Paired, recording: &Recording) -> Self {
        let mut sites = Vec::new();
        let mut numbers: FxHashMap<u64, u32> = FxHashMap::default();
        let mut number = |site: u64| {
            *numbers.entry(site).or_insert_with(|| {
                sites.push(site);
                sites.len() as u32 - 1
            })
        };
        let of_object = paired
            .objects
            .iter()
            .map(|object| {
                let key = object.key.and_then(|key| paired.keys.get(key as usize));
                let name = key.and_then(|key| key.name).or(object.freed_as);
                Origin { site: key.map(|key| number(key.call_site)), pid: object.pid, name: name.map(|name| name.0) }
            })
            .collect();
        Self { sites, names: recording.names.clone(), of_object }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Script;

    #[test]
    fn objects_are_traced_to_who_allocated_them() {
        let mut script = Script::default();
        script.on(0).alloc(0xa1, 0x1000, 64, 64).free(0x1000, "foo").alloc(0xa2, 0x1000, 64, 64);
        script.on(1).alloc(0xa1, 0x2000, 64, 64).free(0x1000, "bar").free(0x2000, "foo").free(0x3000, "foo");
        let origins = script.plan().origins;
        let of = |object| {
            let origin = origins.of(object);
            (
                origin.site.map(|site| origins.sites[site as usize]),
                origin.pid,
                origin.name.map(|name| origins.names[usize::from(name)].as_str()),
            )
        };
        // Threads of a script are 100 and the CPU.
        assert_eq!(of(0), (Some(0xa1), Some(100), Some("foo")));
        assert_eq!(of(1), (Some(0xa2), Some(100), Some("bar")));
        assert_eq!(of(2), (Some(0xa1), Some(101), Some("foo")));
        // It was allocated before the trace, and nobody has a fifth object.
        assert_eq!(of(3), (None, None, Some("foo")));
        assert_eq!((of(4), origins.sites.len()), ((None, None, None), 2));
    }
}
