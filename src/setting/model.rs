//! The model that a setting asks for, and a replay by it.

use slubreplay_parsers::capture::Capture;

use super::{Setting, is_same_release};
use crate::allocators::AllocatorKind;
use crate::allocators::slab::{IndexPlace, Slab};
use crate::allocators::slob::Slob;
use crate::allocators::slub::sizing::KernelRelease;
use crate::mem::PageSource;
use crate::prepare::{Op, Plan, Recorded, Sibling};
use crate::replay::{Engine, Observer, Outcome, ReplayError, Setup, Timeline};

/// A model as a user names it: `slub-6.12`, `slab`, `slab-5.15`, `slob`, `slub-tiny`; without a release, that of the recording if there is
/// such a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelName {
    /// Its allocator.
    pub allocator: AllocatorKind,
    /// SLUB, built with `CONFIG_SLUB_TINY`.
    pub is_tiny: bool,
    /// Its release, if one was named.
    pub release: Option<KernelRelease>,
}

/// The first release with `CONFIG_SLUB_TINY`.
const FIRST_TINY: KernelRelease = KernelRelease::new(6, 2, 0);

impl std::str::FromStr for ModelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text}: expected slub, slab, slob or slub-tiny, and a release such as in slub-6.12 if it matters");
        let (name, rest) = text.split_once('-').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let allocator: AllocatorKind = name.parse().map_err(|_| expected())?;
        let tiny = rest.and_then(|rest| rest.strip_prefix("tiny")).filter(|_| allocator == AllocatorKind::Slub);
        let release = match (tiny, rest) {
            (Some(""), _) | (None, None) => None,
            (Some(after), _) => Some(after.strip_prefix('-').ok_or_else(expected)?),
            (None, Some(rest)) => Some(rest),
        };
        let release = release.map(|release| release.parse::<KernelRelease>().map_err(|_| expected())).transpose()?;
        if let Some(release) = release.filter(|&release| !allocator.exists_in(release)) {
            return Err(format!("{text}: {release} cannot be built with {}", allocator.name()));
        }
        if tiny.is_some() && release.is_some_and(|release| release < FIRST_TINY) {
            return Err(format!("{text}: SLUB_TINY came with {FIRST_TINY}"));
        }
        Ok(Self { allocator, is_tiny: tiny.is_some(), release })
    }
}

impl Setting {
    /// The setting of a model on the machine of this one, which is the recorded kernel's; this one itself if that is what is named.
    #[must_use]
    pub fn for_model_name(&self, name: ModelName, capture: Option<&Capture>) -> Self {
        let own = self.kernel.release;
        let is_own_build = name.allocator == self.allocator && name.is_tiny == self.kernel.build.slub_tiny;
        if is_own_build && name.release.is_none_or(|asked| is_same_release(asked, own)) {
            return self.clone();
        }
        let exists = name.allocator.exists_in(own) && (!name.is_tiny || own >= FIRST_TINY);
        let reference = name.allocator.reference_release().unwrap_or(super::DEFAULT_RELEASE);
        let release = name.release.unwrap_or(if exists { own } else { reference });
        self.for_model((name.allocator, release), name.is_tiny, capture)
    }

    /// Short name for tables: the release of a SLUB kernel, with the allocator before it for others.
    #[must_use]
    pub fn label(&self) -> String {
        let release = self.kernel.release;
        match self.allocator {
            AllocatorKind::Slub if self.kernel.build.slub_tiny => format!("slub-tiny-{release}"),
            AllocatorKind::Slub => release.to_string(),
            AllocatorKind::Slab => format!("slab-{release}"),
            AllocatorKind::Slob => format!("slob-{release}"),
        }
    }

    /// What a recording is prepared by.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        Recorded { allocator: self.allocator, slab: self.slab_machine() }
    }

    /// Replays a plan that was laid out for this setting; gives the page source back, too.
    ///
    /// # Errors
    ///
    /// If a check finds a law of the allocator broken.
    pub fn replay<P: PageSource>(
        &self,
        plan: &Plan,
        setup: &Setup,
        pages: P,
        observer: &mut dyn Observer,
    ) -> Result<(Outcome, Timeline, P), ReplayError> {
        self.replay_parts(plan, &[&plan.ops], setup, pages, observer)
    }

    /// The same with operations that are kept elsewhere than in the plan: [`Engine::run_parts`].
    ///
    /// # Errors
    ///
    /// If a check finds a law of the allocator broken.
    pub fn replay_parts<P: PageSource>(
        &self,
        plan: &Plan,
        parts: &[&[Op]],
        setup: &Setup,
        pages: P,
        observer: &mut dyn Observer,
    ) -> Result<(Outcome, Timeline, P), ReplayError> {
        match self.allocator {
            AllocatorKind::Slub => Engine::new(plan, setup, pages).run_parts(parts, observer),
            AllocatorKind::Slab => Engine::with(self.slab(plan), plan, setup, pages).run_parts(parts, observer),
            AllocatorKind::Slob => Engine::with(self.slob(plan), plan, setup, pages).run_parts(parts, observer),
        }
    }

    /// The SLAB model for the caches of a plan.
    ///
    /// # Panics
    ///
    /// If the plan was laid out for another allocator.
    #[must_use]
    pub fn slab(&self, plan: &Plan) -> Slab {
        let machine = self.slab_machine();
        let by_name = |name: &str| plan.caches.iter().position(|cache| cache.name == name);
        let class_cache = |bytes: u32| by_name(&format!("kmalloc-{}", machine.kmalloc_class(bytes)?));
        let caches = plan.caches.iter().map(|cache| {
            let Sibling::Slab(spec) = cache.sibling else { unreachable!("the plan is laid out for SLAB") };
            let is_off = spec.geometry.index_place == IndexPlace::OffSlab && !plan.has_index_arrays;
            (spec, if is_off { class_cache(spec.geometry.freelist_size) } else { None })
        });
        Slab::new(caches, &self.slab_setting(), self.siblings.hz, plan.time_range_ns.0)
    }

    /// The SLOB model for the caches of a plan, whose last one is the row of the free space.
    ///
    /// # Panics
    ///
    /// If the plan was laid out for another allocator.
    #[must_use]
    pub fn slob(&self, plan: &Plan) -> Slob {
        let caches = plan.caches.iter().filter_map(|cache| match cache.sibling {
            Sibling::Slob(spec) => Some(spec),
            Sibling::SlobFreeSpace => None,
            Sibling::None | Sibling::Slab(_) => unreachable!("the plan is laid out for SLOB"),
        });
        Slob::new(caches, self.slob_setting())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_have_a_release_or_not() {
        let parsed = |text: &str| text.parse::<ModelName>();
        let name = |allocator, is_tiny, release: Option<(u32, u32)>| {
            Ok(ModelName { allocator, is_tiny, release: release.map(|(major, minor)| KernelRelease::new(major, minor, 0)) })
        };
        assert_eq!(parsed("slub-6.12"), name(AllocatorKind::Slub, false, Some((6, 12))));
        assert_eq!(parsed("slab"), name(AllocatorKind::Slab, false, None));
        assert_eq!(parsed("slab-5.15"), name(AllocatorKind::Slab, false, Some((5, 15))));
        assert_eq!(parsed("slub-tiny"), name(AllocatorKind::Slub, true, None));
        assert_eq!(parsed("slub-tiny-6.6"), name(AllocatorKind::Slub, true, Some((6, 6))));
        for bad in ["slab-6.8", "slob-6.4", "slub-tiny-6.1", "slab-tiny", "buddy", "slub-", "slub-tinyx"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
