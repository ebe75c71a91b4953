//! The model against vectors that were taken from the compiled functions of 6.1.192 and 6.12.117, and against its laws.

use proptest::prelude::*;

use super::fallback::Stage;
use super::zone::{End, MOVABLE, RECLAIMABLE, UNMOVABLE, Zone};
use super::*;
use crate::mem::Rights;

/// A machine with one zone of that many pages from frame 0.
pub(super) fn spec(pages: u64) -> PageSpec {
    let marks = Marks { high: 2000, managed: pages, ..Marks::default() };
    let zone = ZoneSpec { node: 0, kind: ZoneKind::Dma32, start_pfn: 0, end_pfn: pages, marks };
    PageSpec { zones: vec![zone], pageblock_order: 9, cpus: 2, fallback: Fallback::ClaimThenSteal, pcp: PcpRule::Auto, page_bytes: 4096 }
}

pub(super) fn event(time_ns: u64, kind: PageEventKind, pfn: u64, order: u8) -> PageEvent {
    PageEvent { time_ns, pfn, cpu: 0, kind, order, migratetype: 0, is_slab: false }
}

/// Eight free blocks of the largest order, all pageblocks movable.
fn fresh(fallback: Fallback) -> (Zone, Fallback) {
    let spec = PageSpec { fallback, ..spec(8192) };
    let model = PageModel::new(&spec, &Start::fresh(&spec), Vec::new(), Traffic::default());
    (model.zones[0].clone(), fallback)
}

const RULES: [Fallback; 2] = [Fallback::Steal, Fallback::ClaimThenSteal];

fn take((zone, rule): &mut (Zone, Fallback), of_type: u8, order: u8, avoid: bool, stage: &mut Stage) -> Option<u32> {
    let frame = zone.take(order, of_type, avoid, *rule, stage)?;
    zone.mark_used(frame, order, of_type);
    Some(frame)
}

fn one(made: &mut (Zone, Fallback), of_type: u8, order: u8) -> Option<u32> {
    take(made, of_type, order, false, &mut Stage::default())
}

fn free((zone, _): &mut (Zone, Fallback), frame: u32, order: u8) {
    let of_type = zone.type_of(frame);
    zone.free_block(frame, order, of_type);
}

/// The blocks on a list, head first.
fn list((zone, _): &(Zone, Fallback), order: usize, of_type: u8) -> Vec<u32> {
    zone.lists[order][usize::from(of_type)].iter(&zone.frames[..]).collect()
}

#[test]
fn vector_1_claims_ascends_and_merges() {
    for rule in RULES {
        let mut zone = fresh(rule);
        assert_eq!(take(&mut zone, UNMOVABLE, 3, true, &mut Stage::default()), Some(0));
        assert_eq!((zone.0.type_of(0), zone.0.type_of(512), zone.0.type_of(1024)), (UNMOVABLE, UNMOVABLE, MOVABLE));
        assert_eq!(one(&mut zone, RECLAIMABLE, 0), Some(1024));
        let seven: Vec<_> = (0..7).filter_map(|_| one(&mut zone, UNMOVABLE, 3)).collect();
        assert_eq!(seven, [8, 16, 24, 32, 40, 48, 56]);
        assert_eq!((one(&mut zone, MOVABLE, 0), one(&mut zone, MOVABLE, 3)), (Some(2048), Some(2056)));
        assert_eq!([6, 7, 8, 9].map(|order| list(&zone, order, UNMOVABLE)), [[64], [128], [256], [512]]);
        assert_eq!([0, 1, 2, 3, 9].map(|order| list(&zone, order, RECLAIMABLE)), [[1025], [1026], [1028], [1032], [1536]]);
        assert_eq!([0, 1, 2, 4, 5, 9].map(|order| list(&zone, order, MOVABLE)), [[2049], [2050], [2052], [2064], [2080], [2560]]);
        assert_eq!(list(&zone, 10, MOVABLE), [3072, 4096, 5120, 6144, 7168]);
        assert_eq!((zone.0.free, zone.0.marks.boost), (8118, 0));
        free(&mut zone, 8, 3);
        free(&mut zone, 0, 3);
        free(&mut zone, 1024, 0);
        assert_eq!((list(&zone, 4, UNMOVABLE), list(&zone, 10, RECLAIMABLE), zone.0.free), (vec![0], vec![1024], 8135));
        free(&mut zone, 16, 3);
        assert_eq!(list(&zone, 3, UNMOVABLE), [16]);
    }
}

/// The start of vectors 2 to 5: all taken, 15 pageblocks whole, the last page by page; then these pages of it are freed.
fn all_taken(rule: Fallback, of_type: u8, freed: impl IntoIterator<Item = u32>) -> (Zone, Fallback) {
    let mut zone = fresh(rule);
    let blocks: Vec<_> = (0..15).filter_map(|_| one(&mut zone, of_type, 9)).collect();
    assert_eq!(blocks, (0..15).map(|block| block * 512).collect::<Vec<_>>());
    let pages: Vec<_> = (0..512).filter_map(|_| one(&mut zone, of_type, 0)).collect();
    assert_eq!(pages, (7680..8192).collect::<Vec<_>>());
    freed.into_iter().for_each(|page| free(&mut zone, 7680 + page, 0));
    zone
}

#[test]
fn vector_2_breaks_the_largest_or_the_smallest() {
    for rule in RULES {
        let mut zone = all_taken(rule, MOVABLE, [0, 1, 4, 5, 6, 7]);
        assert_eq!((list(&zone, 1, MOVABLE), list(&zone, 2, MOVABLE)), (vec![7680], vec![7684]));
        assert_eq!((take(&mut zone, UNMOVABLE, 1, true, &mut Stage::default()), zone.0.marks.boost), (None, 0));
        assert_eq!(one(&mut zone, UNMOVABLE, 1), Some(7680));
        let mut batch = Stage::default();
        let mut three = |zone: &mut _| [(); 3].map(|()| take(zone, RECLAIMABLE, 0, false, &mut batch));
        if rule == Fallback::Steal {
            assert_eq!((list(&zone, 2, UNMOVABLE), zone.0.marks.boost), (vec![7684], 512));
            assert_eq!(three(&mut zone), [Some(7684), Some(7685), Some(7686)]);
            assert_eq!((list(&zone, 0, RECLAIMABLE), zone.0.marks.boost), (vec![7687], 1024));
        } else {
            assert_eq!((list(&zone, 2, MOVABLE), zone.0.marks.boost), (vec![7684], 1024));
            assert_eq!(three(&mut zone), [Some(7684), Some(7685), Some(7686)]);
            assert_eq!((list(&zone, 0, MOVABLE), zone.0.marks.boost), (vec![7687], 1536));
        }
    }
}

#[test]
fn vector_3_owns_a_pageblock_that_is_half_free() {
    for rule in RULES {
        let mut zone = all_taken(rule, MOVABLE, 0..256);
        assert_eq!(list(&zone, 8, MOVABLE), [7680]);
        assert_eq!((one(&mut zone, UNMOVABLE, 2), zone.0.type_of(7680), zone.0.marks.boost), (Some(7680), UNMOVABLE, 512));
        assert_eq!([2, 3, 7].map(|order| list(&zone, order, UNMOVABLE)), [[7684], [7688], [7808]]);
    }
}

#[test]
fn vector_4_a_movable_request_takes_the_smallest() {
    for rule in RULES {
        let mut zone = all_taken(rule, UNMOVABLE, [0, 1, 2, 3, 4, 5, 6, 7, 16]);
        assert_eq!((list(&zone, 0, UNMOVABLE), list(&zone, 3, UNMOVABLE)), (vec![7696], vec![7680]));
        assert_eq!((one(&mut zone, MOVABLE, 0), one(&mut zone, MOVABLE, 0)), (Some(7696), Some(7680)));
        let (rest, boost) = if rule == Fallback::Steal { (MOVABLE, 1024) } else { (UNMOVABLE, 0) };
        assert_eq!(([0, 1, 2].map(|order| list(&zone, order, rest)), zone.0.marks.boost), ([vec![7681], vec![7682], vec![7684]], boost));
    }
}

#[test]
fn vector_5_what_will_merge_goes_to_the_tail() {
    for rule in RULES {
        let mut zone = all_taken(rule, MOVABLE, [10, 2, 3, 0]);
        assert_eq!(list(&zone, 0, MOVABLE), [7690, 7680]);
        assert_eq!((one(&mut zone, MOVABLE, 0), one(&mut zone, MOVABLE, 0)), (Some(7690), Some(7680)));
    }
}

fn request(order: u8, cpu: u16, rights: Rights) -> PageRequest {
    PageRequest { owner: 0, order, cpu, node: 0, this_node_only: false, rights }
}

fn owner(order: u8, is_reclaimable: bool) -> OwnerPages {
    OwnerPages { is_reclaimable, highest: ZoneKind::Normal, order, min_order: 0 }
}

/// With batch 63 a request of order 3 takes seven blocks, of order 2 fifteen, and keeps all but one for the CPU.
#[test]
fn a_refill_parks_what_nobody_else_can_have() {
    let spec = spec(1 << 18);
    let mut model = PageModel::new(&spec, &Start::fresh(&spec), vec![owner(3, false)], Traffic::default());
    let before = model.free_blocks().pages();
    let got = model.alloc(request(3, 1, Rights::AtOnce)).unwrap();
    assert_eq!((got.pfn, model.parked(), before - model.free_blocks().pages()), (0, 6 * 8, 7 * 8));
    model.alloc(request(2, 0, Rights::AtOnce)).unwrap();
    assert_eq!(model.parked(), 6 * 8 + 14 * 4);
    model.validate().unwrap();
}

/// Watermarks look at the zone's blocks only: with none of the order left, the CPU's own list does not help.
#[test]
fn parked_blocks_do_not_pass_the_watermark() {
    let spec = PageSpec {
        zones: vec![ZoneSpec { marks: Marks { managed: 1024, ..Marks::default() }, ..spec(1024).zones[0].clone() }],
        ..spec(1024)
    };
    // 28 blocks of order 1, and two of order 3: with batch 3 a refill takes two blocks of order 3.
    let mut start = Start { free: (0..28).map(|block| block * 8..block * 8 + 2).collect(), ..Start::default() };
    start.free.push(512..528);
    let mut model = PageModel::new(&spec, &start, vec![owner(3, false)], Traffic::default());
    model.zones[0].pcp.iter_mut().for_each(|lists| *lists = CpuLists::new(12_288, 0, 2, PcpRule::Auto, 4096));
    assert!(model.alloc(request(3, 0, Rights::AtOnce)).is_some());
    // The refill took both blocks: one is parked, and the zone has none.
    assert_eq!((model.parked(), model.free_blocks().0[3..].iter().sum::<u64>()), (8, 0));
    assert_eq!(model.alloc(request(3, 0, Rights::AtOnce)), None);
    assert_eq!(model.attempts().last().and_then(|attempt| attempt.refusal), Some(Refusal::NoBlock));
    // The caller's own rights bring reclaim; the parked block is what it gets.
    assert!(model.alloc(request(3, 0, Rights::Reclaim)).is_some());
    assert_eq!((model.counts().reclaimed, model.counts().invented), (1, 0));
    model.validate().unwrap();
}

#[test]
fn rights_decide_at_the_watermark() {
    let marks = Marks { min: 800, low: 1000, high: 1200, managed: 2048, ..Marks::default() };
    let spec = PageSpec { zones: vec![ZoneSpec { marks, ..spec(2048).zones[0].clone() }], ..spec(2048) };
    let free_pages = |free: u64| {
        let start = Start { free: std::iter::once(0..free).collect(), ..Start::default() };
        let ask = |rights| {
            let mut model = PageModel::new(&spec, &start, vec![owner(3, false)], Traffic::default());
            let got = model.alloc(request(3, 0, rights)).is_some();
            (got, model.attempts()[0].refusal)
        };
        [Rights::AtOnce, Rights::NoWait, Rights::Atomic].map(ask)
    };
    // 800 + 7 pages have to be there and one more; GFP_ATOMIC may go down to three eighths of 800.
    let refused = (false, Some(Refusal::Watermark));
    assert_eq!(free_pages(808), [(true, None); 3]);
    assert_eq!(free_pages(807), [refused, refused, (true, None)]);
    assert_eq!(free_pages(308), [refused, refused, (true, None)]);
    assert_eq!(free_pages(307), [refused; 3]);
}

#[test]
fn traffic_goes_where_it_was_recorded_and_slabs_come_first() {
    use PageEventKind::{Alloc, Free};
    let spec = spec(2048);
    let events = vec![event(1, Alloc, 0, 3), event(2, Alloc, 100, 0), event(3, Free, 0, 3), event(4, Free, 100, 0), event(5, Free, 700, 0)];
    let mut model = PageModel::new(&spec, &Start::fresh(&spec), vec![owner(3, false)], Traffic::new(events));
    let slab = model.alloc(request(3, 0, Rights::AtOnce)).unwrap();
    assert_eq!(slab.pfn, 0);
    model.advance(2, 0);
    // Frame 0 is the slab's: the recorded block is elsewhere.
    let counts = TrafficCounts { placed: 1, displaced: 1, ..TrafficCounts::default() };
    assert_eq!((model.traffic_counts(), model.census().0), (counts, 8 + 8 + 1));
    model.finish();
    assert_eq!(model.traffic_counts(), TrafficCounts { freed: 2, ignored_frees: 1, ..counts });
    model.free(slab);
    assert_eq!(model.census().0, 0);
    model.validate().unwrap();
}

/// With batch 63 a refill is large enough for all that the recording shows of it.
#[test]
fn lists_are_refilled_with_what_the_recording_shows() {
    use PageEventKind::{Alloc, Drain};
    let spec = spec(1 << 18);
    let events = vec![event(1, Alloc, 100, 0), event(5, Alloc, 200, 0), event(9, Drain, 300, 0), event(9, Drain, 302, 0)];
    let mut model = PageModel::new(&spec, &Start::fresh(&spec), vec![], Traffic::new(events.clone())).refilling(&events);
    model.advance(1, 0);
    let zone = &model.zones[0];
    assert!(zone.is_used(100) && [200, 300, 302].iter().all(|&frame| zone.parked_order(frame) == Some(0) && !zone.is_supposed(frame)));
    assert_eq!((zone.free_order(101), zone.free_order(201), zone.free_order(301)), (Some(0), Some(0), Some(0)));
    // The rest of the batch has not left when the recording ends: it is taken by the rules.
    assert_eq!(model.parked(), 62);
    model.advance(5, 0);
    assert_eq!((model.parked(), model.traffic_counts().placed), (61, 2));
    model.finish();
    assert_eq!((model.parked(), model.traffic_counts().drained, model.traffic_counts().exchanged_drains), (59, 2, 0));
    model.validate().unwrap();
}

/// The model has a slab at the recorded place of somebody's page, and none at the slab's: they change places, and all else is as recorded.
#[test]
fn a_displaced_page_goes_where_the_recording_has_what_displaced_it() {
    use PageEventKind::{Alloc, Free};
    let spec = spec(2048);
    let slab = PageEvent { is_slab: true, ..event(1, Alloc, 50, 0) };
    let events = vec![slab, event(2, Alloc, 0, 0), event(3, Alloc, 1, 0), event(4, Free, 0, 0)];
    let mut model = PageModel::new(&spec, &Start::fresh(&spec), vec![owner(0, false)], Traffic::new(events.clone())).refilling(&events);
    assert_eq!(model.alloc(request(0, 1, Rights::AtOnce)).map(|pages| pages.pfn), Some(0));
    model.advance(2, 0);
    assert!(model.zones[0].is_used(0) && model.zones[0].is_used(50));
    model.advance(3, 0);
    assert_eq!((model.traffic_counts().placed, model.traffic_counts().displaced, model.census().0), (1, 1, 3));
    model.advance(4, 0);
    assert!(model.zones[0].is_used(0) && !model.zones[0].is_used(50));
    model.validate().unwrap();
}

/// A recorded return of what the model has in use sends back what the recording does not have on the list, and never what it has.
#[test]
fn returns_of_displaced_pages_send_others_back() {
    use PageEventKind::{Alloc, Drain, Free};
    let spec = spec(2048);
    // The recording frees 8, which is on the CPU's list then, and has 100 go back, where the model has a slab.
    let events = vec![event(1, Alloc, 8, 0), event(2, Free, 8, 0), event(3, Drain, 100, 0), event(4, Drain, 100, 0)];
    let mut model = PageModel::new(&spec, &Start::fresh(&spec), vec![owner(0, false); 2], Traffic::new(events.clone()))
        .placing(Placement::Recorded, vec![vec![RecordedSlab { pfn: Some(100), ..RecordedSlab::default() }]])
        .refilling(&events);
    let slab = model.alloc(request(0, 0, Rights::AtOnce)).unwrap();
    assert_eq!(slab.pfn, 100);
    let other = model.alloc(PageRequest { owner: 1, ..request(0, 1, Rights::AtOnce) }).unwrap();
    model.advance(2, 0);
    model.free(other);
    let zone = &model.zones[0];
    let place = zone.place(other.pfn, 0).unwrap();
    assert_eq!([8, place].map(|frame| zone.parked_order(frame)), [Some(0); 2]);
    model.advance(4, 0);
    let zone = &model.zones[0];
    assert_eq!([8, place].map(|frame| zone.parked_order(frame)), [Some(0), None]);
    assert_eq!(model.traffic_counts().exchanged_drains, 1);
    model.validate().unwrap();
}

#[test]
fn injected_failures_leave_the_lists_alone() {
    let spec = spec(2048);
    let mut model =
        PageModel::new(&spec, &Start::fresh(&spec), vec![owner(3, false)], Traffic::default()).failing("order>=3,times=1".parse().ok());
    let before = model.free_blocks();
    assert_eq!((model.alloc(request(3, 0, Rights::AtOnce)), model.free_blocks()), (None, before));
    assert_eq!(model.attempts()[0].refusal, Some(Refusal::Injected));
    assert!(model.alloc(request(3, 0, Rights::AtOnce)).is_some());
}

/// A step of a random stream.
#[derive(Debug, Clone)]
enum Step {
    Slab { order: u8, cpu: u16, rights: Rights },
    FreeSlab(usize),
    Traffic(PageEvent),
}

fn step() -> impl Strategy<Value = Step> {
    use PageEventKind::{Alloc, Claim, Drain, Free, Steal};
    let rights = prop_oneof![Just(Rights::AtOnce), Just(Rights::NoWait), Just(Rights::Atomic), Just(Rights::Reclaim)];
    let kind = prop_oneof![4 => Just(Alloc), 4 => Just(Free), 2 => Just(Drain), 1 => Just(Claim), 1 => Just(Steal)];
    let traffic = (kind, 0_u64..4200, 0_u8..=10, 0_u16..3, -1_i8..5);
    prop_oneof![
        3 => (0_u8..=4, 0_u16..3, rights).prop_map(|(order, cpu, rights)| Step::Slab { order, cpu, rights }),
        2 => any::<usize>().prop_map(Step::FreeSlab),
        5 => traffic.prop_map(|(kind, pfn, order, cpu, migratetype)| {
            let order = if pfn % 3 == 0 { order } else { order % 3 };
            Step::Traffic(PageEvent { time_ns: 0, pfn: pfn >> order << order, cpu, kind, order, migratetype, is_slab: false })
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// No stream of requests and events, sensible or not, breaks a law; and no page is lost or made.
    #[test]
    fn laws_hold_after_every_operation(
        steps in prop::collection::vec(step(), 1..300),
        steal in any::<bool>(),
        pcp in prop_oneof![Just(PcpRule::Single), Just(PcpRule::Factor), Just(PcpRule::Auto)],
        percent in 0_u64..=100,
        is_recorded in any::<bool>(),
    ) {
        let events = steps.iter().filter_map(|step| match step {
            Step::Traffic(event) => Some(*event),
            _ => None,
        });
        let events: Vec<PageEvent> = events.zip(1..).map(|(event, time_ns)| PageEvent { time_ns, ..event }).collect();
        let fallback = if steal { Fallback::Steal } else { Fallback::ClaimThenSteal };
        let spec = PageSpec { fallback, pcp, ..spec(4096) };
        let mut start = Start::fresh(&spec);
        fragment(&mut start, percent, 5);
        let mut model = PageModel::new(&spec, &start, vec![owner(2, true)], Traffic::new(events.clone()));
        if is_recorded {
            model = model.refilling(&events);
        }
        let (mut slabs, mut time_ns) = (Vec::new(), 0);
        for step in steps {
            match step {
                Step::Slab { order, cpu, rights } => slabs.extend(model.alloc(request(order, cpu, rights))),
                Step::FreeSlab(number) if !slabs.is_empty() => model.free(slabs.swap_remove(number % slabs.len())),
                Step::FreeSlab(_) => {}
                Step::Traffic(_) => {
                    time_ns += 1;
                    model.advance(time_ns, 0);
                }
            }
            model.validate().map_err(|broken| TestCaseError::fail(broken.to_string()))?;
            let (used, free, parked) = model.census();
            prop_assert_eq!(used + free + parked, 4096);
        }
    }
}

#[test]
fn a_list_keeps_its_ends() {
    let (mut zone, _) = fresh(Fallback::Steal);
    let frame = zone.lists[10][usize::from(MOVABLE)].head().unwrap();
    zone.remove(frame, 10);
    zone.insert(frame, 10, MOVABLE, End::Tail);
    assert_eq!(zone.lists[10][usize::from(MOVABLE)].tail(), Some(frame));
    zone.drain_all(0);
}
