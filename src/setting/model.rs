//! The model that a setting asks for, and a replay by it.

use super::Setting;
use crate::allocators::AllocatorKind;
use crate::allocators::slab::{IndexPlace, Slab};
use crate::allocators::slob::Slob;
use crate::mem::PageSource;
use crate::prepare::{Plan, Recorded, Sibling};
use crate::replay::{Engine, Observer, Outcome, ReplayError, Setup, Timeline};

impl Setting {
    /// What a recording is prepared by.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        Recorded { allocator: self.allocator, slab: self.slab_machine() }
    }

    /// Replays a plan that was laid out for this setting. `feeds_freelists` says that the allocations of SLAB's own index arrays are
    /// among the operations, as in a recording of a SLAB kernel.
    ///
    /// # Errors
    ///
    /// If a check finds a law of the allocator broken.
    pub fn replay(
        &self,
        plan: &Plan,
        setup: &Setup,
        pages: impl PageSource,
        feeds_freelists: bool,
        observer: &mut dyn Observer,
    ) -> Result<(Outcome, Timeline), ReplayError> {
        match self.allocator {
            AllocatorKind::Slub => Engine::new(plan, setup, pages).run(observer),
            AllocatorKind::Slab => Engine::with(self.slab(plan, feeds_freelists), plan, setup, pages).run(observer),
            AllocatorKind::Slob => Engine::with(self.slob(plan), plan, setup, pages).run(observer),
        }
    }

    /// The SLAB model for the caches of a plan.
    ///
    /// # Panics
    ///
    /// If the plan was laid out for another allocator.
    #[must_use]
    pub fn slab(&self, plan: &Plan, feeds_freelists: bool) -> Slab {
        let machine = self.slab_machine();
        let by_name = |name: &str| plan.caches.iter().position(|cache| cache.name == name);
        let class_cache = |bytes: u32| by_name(&format!("kmalloc-{}", machine.kmalloc_class(bytes)?));
        let caches = plan.caches.iter().map(|cache| {
            let Sibling::Slab(spec) = cache.sibling else { unreachable!("the plan is laid out for SLAB") };
            let is_off = spec.geometry.index_place == IndexPlace::OffSlab && !feeds_freelists;
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
