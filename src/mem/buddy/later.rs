//! What a recording shows of a page frame after a moment.

use super::traffic::{PageEvent, PageEventKind};

/// By frame of a zone: its events, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Later {
    /// Where the events of each frame begin, and where the last ones end.
    starts: Vec<u32>,
    /// When they were, and whether they show that the frame was free until then: an allocation, or a return from a CPU's list.
    events: Vec<(u64, bool)>,
}

impl Later {
    /// The events of the `frames` page frames from `base` on, by frame.
    pub(super) fn of(events: &[PageEvent], base: u64, frames: usize) -> Self {
        let shown = || {
            events.iter().filter_map(|event| {
                let was_free = match event.kind {
                    PageEventKind::Alloc | PageEventKind::Drain => true,
                    PageEventKind::Free | PageEventKind::Migrate => false,
                    PageEventKind::Claim | PageEventKind::Steal | PageEventKind::Unseen => return None,
                };
                let from = usize::try_from(event.pfn.checked_sub(base)?).ok().filter(|&from| from < frames)?;
                Some((from..(from + (1 << event.order)).min(frames), event.time_ns, was_free))
            })
        };
        let mut starts = vec![0_u32; frames + 1];
        for (range, ..) in shown() {
            range.for_each(|frame| starts[frame + 1] += 1);
        }
        for frame in 0..frames {
            starts[frame + 1] += starts[frame];
        }
        let mut next = starts.clone();
        let mut of_frames = vec![(0, false); starts[frames] as usize];
        for (range, time_ns, was_free) in shown() {
            for frame in range {
                of_frames[next[frame] as usize] = (time_ns, was_free);
                next[frame] += 1;
            }
        }
        Self { starts, events: of_frames }
    }

    /// True if the next event after that moment shows that the frame is free at that moment.
    pub(super) fn shows_free(&self, frame: u32, now_ns: u64) -> bool {
        let Some(&[start, end]) = self.starts.get(frame as usize..).and_then(|starts| starts.first_chunk()) else { return false };
        let events = &self.events[start as usize..end as usize];
        let next = events.partition_point(|&(time_ns, _)| time_ns <= now_ns);
        events.get(next).is_some_and(|&(_, was_free)| was_free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::buddy::tests::event;

    #[test]
    fn the_next_event_tells() {
        use PageEventKind::{Alloc, Drain, Free};
        // Frame 9 is freed at 30 without having been allocated: something was put there between 10 and 30.
        let events = [event(5, Alloc, 8, 1), event(10, Drain, 8, 1), event(20, Alloc, 8, 0), event(30, Free, 9, 0), event(40, Drain, 9, 0)];
        let later = Later::of(&events, 8, 4);
        let shows = |now_ns| [0, 1, 2, 7].map(|frame| later.shows_free(frame, now_ns));
        assert_eq!(shows(0), [true, true, false, false]);
        assert_eq!(shows(10), [true, false, false, false]);
        assert_eq!(shows(20), [false, false, false, false]);
        assert_eq!(shows(30), [false, true, false, false]);
    }
}
