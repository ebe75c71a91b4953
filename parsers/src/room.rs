//! Room for a trace's events, made ahead: memory that grows again and again is moved each time, and fresh pages cost more than
//! what is written to them.

use crate::event::Event;
use crate::mapped::prefer_huge_pages;

/// Events take 6 bytes of a file and more; what claims to be denser gets no room ahead.
const EVENT_BYTES: u128 = 2;

/// Makes room for `more` events and, if the rest of `all_bytes` of data holds as many in a byte as those that are done, for all to come. What is not
/// filled is never touched.
#[inline]
pub(crate) fn make_room(events: &mut Vec<Event>, more: usize, done_bytes: usize, all_bytes: usize) {
    let known = events.len() + more;
    if events.capacity() < known {
        grow(events, known, done_bytes, all_bytes);
    }
}

#[cold]
fn grow(events: &mut Vec<Event>, known: usize, done_bytes: usize, all_bytes: usize) {
    let expected = known as u128 * all_bytes as u128 * 9 / 8 / done_bytes.max(1) as u128;
    let wanted = expected.min(all_bytes as u128 / EVENT_BYTES).max(known as u128 * 5 / 4) as usize;
    // Where there is no such room it grows as any other.
    if events.try_reserve_exact(wanted - events.len()).is_ok() {
        prefer_huge_pages(events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_for_what_the_rest_of_the_data_holds() {
        let mut events = Vec::new();
        make_room(&mut events, 1000, 64_000, 640_000);
        assert!((10_000..20_000).contains(&events.capacity()), "{}", events.capacity());
        let capacity = events.capacity();
        make_room(&mut events, 10_000, 640_000, 640_000);
        assert_eq!(events.capacity(), capacity, "it is enough");
    }

    #[test]
    fn a_dense_beginning_promises_nothing() {
        let mut events = Vec::new();
        make_room(&mut events, 100_000, 100, 300_000);
        assert!((100_000..=150_000).contains(&events.capacity()), "{}", events.capacity());
    }
}
