//! Where slabs get their pages while knobs are tried.

use crate::allocators::AllocatorKind;
use crate::cli::args::PageChoice;
use crate::cli::failure::Failure;
use crate::cli::load::Loaded;
use crate::fallback::{Memory, PageMachine, owners};
use crate::tune::Pages;

/// What the user wants; else the page model where order fallbacks are what the load is about and the capture has the zones to model, as only
/// a model can tell what other orders would have got. Else pages as recorded. With a note of the choice.
pub(super) fn choose(loaded: &Loaded, wanted: Option<PageChoice>) -> Result<(Pages, String), Failure> {
    let counted = loaded.capture.as_ref().map(|capture| capture.pages_before()).transpose()?.flatten();
    let fallbacks = fallbacks(loaded);
    let can_model = counted.is_some() && loaded.plan.has_frames && loaded.setting.allocator == AllocatorKind::Slub;
    let (choice, why) = match wanted {
        Some(choice) => (choice, "as asked for".to_owned()),
        None if fallbacks > 0 && can_model => (PageChoice::Model, format!("the trace shows {fallbacks} order fallbacks")),
        None if fallbacks > 0 => (PageChoice::Recorded, "the capture has no zoneinfo to model the page allocator by".to_owned()),
        None => (PageChoice::Recorded, "the trace shows no order fallback".to_owned()),
    };
    Ok(match choice {
        PageChoice::Recorded => {
            (Pages::Recorded, format!("pages as recorded, to caches whose slabs have the recorded order, else without end: {why}"))
        }
        PageChoice::Unlimited => (Pages::Unlimited, format!("pages without end: {why}")),
        PageChoice::Model => {
            let machine = Box::new(PageMachine::resolve(&loaded.plan, &loaded.setting, counted.as_ref(), Memory::default()));
            let snapshot = loaded.capture.as_ref().and_then(|capture| capture.after.as_ref().or(capture.before.as_ref()));
            (Pages::Model { machine, owners: owners(&loaded.plan, snapshot) }, format!("pages from the model of the page allocator: {why}"))
        }
    })
}

/// Slabs that the trace shows being made of fewer pages than their cache prefers.
fn fallbacks(loaded: &Loaded) -> usize {
    let caches = loaded.plan.recorded_slabs.iter().zip(&loaded.plan.caches);
    caches.map(|(slabs, cache)| slabs.iter().filter(|slab| u32::from(slab.order) < cache.layout.order).count()).sum()
}
