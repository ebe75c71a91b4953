//! Records of slab and page events whose fields are where kernels of 64 bits have them since 6.1: read by constant offsets, which takes half the time
//! of looking each up. Frees are laid out like this since 2.6.31, those with a name since 5.12.
//!
//! Whether they are is told by the trace's own formats, as for all others.

use super::{Piece, Shape, Slot, TextSlot, integer, name_at, narrow, valid_pointer};
use crate::event::{Alloc, AllocCall, Body, Context, Event, Free, FreeCall, PageAlloc};
use crate::eventformat::EventFormat;

/// Events that are read by constant offsets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Usual {
    Alloc {
        call: AllocCall,
        has_accounted: bool,
    },
    Free {
        call: FreeCall,
        has_name: bool,
    },
    /// Since 4.1.
    PageAlloc,
    PageFree,
}

/// Where the name of `kmem_cache_free` is told.
const NAME: TextSlot = TextSlot::DataLoc(24);

impl Usual {
    /// `None` if any field is elsewhere.
    pub(super) fn of(shape: &Shape, format: &EventFormat) -> Option<Self> {
        let common = [(integer(format, "common_pid"), (4, 4, true)), (integer(format, "common_flags"), (2, 1, false))];
        let is_at = |slot: Option<Slot>, (offset, size, signed): (u32, u8, bool)| {
            slot.is_some_and(|slot| (slot.offset, slot.size) == (offset, size) && (slot.signed == signed || size == 8))
        };
        let long = |slot: Option<Slot>, offset: u32| is_at(slot, (offset, 8, false));
        if !common.into_iter().all(|(slot, place)| is_at(slot, place)) {
            return None;
        }
        match *shape {
            Shape::Alloc { call, call_site, ptr, req, alloc, gfp, node, accounted, name: None } => {
                let longs = [(call_site, 8), (Some(ptr), 16), (Some(req), 24), (Some(alloc), 32), (gfp, 40)];
                let is_usual = longs.into_iter().all(|(slot, offset)| long(slot, offset))
                    && is_at(node, (48, 4, true))
                    && accounted.is_none_or(|slot| (slot.offset, slot.size) == (52, 1));
                is_usual.then_some(Self::Alloc { call, has_accounted: accounted.is_some() })
            }
            Shape::Free { call, call_site, ptr, name } => {
                let is_usual = long(call_site, 8) && long(Some(ptr), 16) && matches!(name, None | Some(NAME));
                is_usual.then_some(Self::Free { call, has_name: name.is_some() })
            }
            Shape::PageAlloc { pfn, order, gfp, migratetype } => {
                let is_usual =
                    long(Some(pfn), 8) && is_at(Some(order), (16, 4, false)) && long(gfp, 24) && is_at(migratetype, (32, 4, true));
                is_usual.then_some(Self::PageAlloc)
            }
            Shape::PageFree { pfn, order } => (long(Some(pfn), 8) && is_at(Some(order), (16, 4, false))).then_some(Self::PageFree),
            _ => None,
        }
    }

    /// Reads a record; `None` if it is too short. The trace is little-endian.
    ///
    /// Its length is looked at once. Each kind puts its event where it is to be: one place for both would move every event once more.
    #[inline]
    pub(super) fn read(self, cpu: u16, time_ns: u64, payload: &[u8], piece: &mut Piece) -> Option<()> {
        match self {
            Self::Alloc { call, has_accounted } => {
                let mut rest = payload.first_chunk::<52>()?.as_slice();
                let [_, _, flags, _] = take(&mut rest)?;
                let pid = i32::from_le_bytes(take(&mut rest)?);
                let mut long = || take(&mut rest).map(u64::from_le_bytes);
                let (call_site, ptr) = (long()?, valid_pointer(long()?, 8));
                let (bytes_req, bytes_alloc, gfp) = (long()?, long()?, long()?);
                let node = i32::from_le_bytes(take(&mut rest)?);
                let accounted = if has_accounted { Some(*payload.get(52)? != 0) } else { None };
                let alloc = Alloc { call_site, ptr, bytes_req, bytes_alloc, gfp_flags: gfp as u32, node, name: None, call, accounted };
                piece.events.push(Event { time_ns, body: Body::Alloc(alloc), pid, cpu, context: Context(flags) });
            }
            Self::Free { call, has_name } => {
                let mut rest = payload.first_chunk::<24>()?.as_slice();
                let [_, _, flags, _] = take(&mut rest)?;
                let pid = i32::from_le_bytes(take(&mut rest)?);
                let mut long = || take(&mut rest).map(u64::from_le_bytes);
                let (call_site, ptr) = (long()?, long()?);
                let name = name_at::<false>(payload, has_name.then_some(NAME), piece)?;
                let free = Free { call_site, ptr, name, call };
                piece.events.push(Event { time_ns, body: Body::Free(free), pid, cpu, context: Context(flags) });
            }
            Self::PageAlloc => {
                let mut rest = payload.first_chunk::<36>()?.as_slice();
                let [_, _, flags, _] = take(&mut rest)?;
                let pid = i32::from_le_bytes(take(&mut rest)?);
                let pfn = u64::from_le_bytes(take(&mut rest)?);
                let order = u32::from_le_bytes(take(&mut rest)?);
                let _: [u8; 4] = take(&mut rest)?;
                let gfp = u64::from_le_bytes(take(&mut rest)?);
                let migratetype = i32::from_le_bytes(take(&mut rest)?) as i16;
                let pfn = Some(pfn).filter(|&frame| frame != u64::MAX && frame != 0);
                let page = PageAlloc { pfn, gfp_flags: gfp as u32, migratetype, order: narrow(order.into()) };
                piece.events.push(Event { time_ns, body: Body::PageAlloc(page), pid, cpu, context: Context(flags) });
            }
            Self::PageFree => {
                let mut rest = payload.first_chunk::<20>()?.as_slice();
                let [_, _, flags, _] = take(&mut rest)?;
                let pid = i32::from_le_bytes(take(&mut rest)?);
                let pfn = u64::from_le_bytes(take(&mut rest)?);
                let order = narrow(u32::from_le_bytes(take(&mut rest)?).into());
                piece.events.push(Event { time_ns, body: Body::PageFree { pfn, order }, pid, cpu, context: Context(flags) });
            }
        }
        Some(())
    }
}

/// The next bytes.
#[inline]
fn take<const BYTES: usize>(rest: &mut &[u8]) -> Option<[u8; BYTES]> {
    let (taken, left) = rest.split_first_chunk::<BYTES>()?;
    *rest = left;
    Some(*taken)
}
