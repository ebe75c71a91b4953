//! Every kernel's layouts in every kind of file.

use super::layouts::{
    CACHE_ALLOC, CACHE_ALLOC_NODE, CACHE_FREE, KERNELS, KFREE, KMALLOC, KMALLOC_NODE, Kernel, PAGE_ALLOC, PAGE_FREE, PRINT, formats,
};
use super::records::{Format, LITTLE_64, Machine, Page, Record};
use super::writer::{Buffer, Codec, TraceFile};
use super::{Seen, format_of, read, seen};
use crate::event::{Alloc, AllocCall, Body, Context, Event, Free, FreeCall, MarkId, PageAlloc};

const MACHINES: [Machine; 4] = [LITTLE_64, Machine { big: false, long: 4 }, Machine { big: true, long: 8 }, Machine { big: true, long: 4 }];

/// One event of each kind on a CPU: payload, and what it must become at time 0.
fn samples(kernel: Kernel, machine: Machine, cpu: u16) -> Vec<(Vec<u8>, Seen)> {
    let formats = formats(kernel, machine);
    let (call_site, ptr) = if machine.long == 8 { (0xffff_ffff_8123_4567, 0xffff_8881_0000_1000) } else { (0xc012_3456, 0xc800_1000) };
    let ptr = ptr + u64::from(cpu) * 64;
    let pid = 1000 + i32::from(cpu);
    let event = |flags: u8, body: Body| Event { time_ns: 0, body, pid, cpu, context: Context(flags) };
    let numbers = |format: &Format, all: &[(&'static str, u64)]| -> Vec<(&'static str, u64)> {
        let has = |name: &str| format.fields.iter().any(|(declaration, ..)| declaration.ends_with(name));
        all.iter().copied().filter(|(name, _)| has(name)).collect()
    };
    let mut samples = Vec::new();
    let mut alloc = |id: u16, call: AllocCall, node: Option<i32>, accounted: Option<bool>, name: &str| {
        let format = format_of(&formats, id);
        let asked = [("call_site", call_site), ("ptr", ptr), ("bytes_req", 184), ("bytes_alloc", 192), ("gfp_flags", 0xdc0)];
        let rest = [("node", u64::from(node.unwrap_or(0) as u32)), ("accounted", 1)];
        let texts: &[(&str, &str)] = if name.is_empty() { &[] } else { &[("name", name)] };
        let payload = format.payload(machine, pid, 0x10, &numbers(format, &[&asked[..], &rest].concat()), texts);
        let body = Alloc {
            call_site,
            ptr,
            bytes_req: 184,
            bytes_alloc: 192,
            gfp_flags: 0xdc0,
            node: node.unwrap_or(-1),
            name: None,
            call,
            accounted,
        };
        samples.push((payload, (event(0x10, Body::Alloc(body)), name.to_owned())));
    };
    // Which fields there are when: kmem-events.md section 1.
    let node = (kernel >= Kernel::V6_1).then_some(1);
    let only_6_0 = (kernel == Kernel::V6_0).then_some(true);
    let since_6_0 = (kernel >= Kernel::V6_0).then_some(true);
    alloc(KMALLOC, AllocCall::Kmalloc, node, only_6_0, "");
    alloc(CACHE_ALLOC, AllocCall::KmemCacheAlloc, node, since_6_0, if kernel == Kernel::V6_18 { "dentry" } else { "" });
    if kernel <= Kernel::V6_0 {
        alloc(KMALLOC_NODE, AllocCall::Kmalloc, Some(-1), only_6_0, "");
        alloc(CACHE_ALLOC_NODE, AllocCall::KmemCacheAlloc, Some(2), since_6_0, "");
    }
    let mut free = |id: u16, call: FreeCall, name: &str| {
        let texts: &[(&str, &str)] = if name.is_empty() { &[] } else { &[("name", name)] };
        let payload = format_of(&formats, id).payload(machine, pid, 0x09, &[("call_site", call_site), ("ptr", ptr)], texts);
        let body = Free { call_site, ptr, name: None, call };
        samples.push((payload, (event(0x09, Body::Free(body)), name.to_owned())));
    };
    free(KFREE, FreeCall::Kfree, "");
    free(CACHE_FREE, FreeCall::KmemCacheFree, if kernel >= Kernel::V5_15 { "vm_area_struct" } else { "" });
    let mut other = |id: u16, fields: &[(&str, u64)], texts: &[(&str, &str)], body: Body, text: &str| {
        let payload = format_of(&formats, id).payload(machine, pid, 0, fields, texts);
        samples.push((payload, (event(0, body), text.to_owned())));
    };
    // The allocation event's gfp_flags is 8 bytes here on every machine: see `layouts::page_alloc`.
    let taken = PageAlloc { pfn: Some(0x12_3456), gfp_flags: 0x52cc0, migratetype: 2, order: 3 };
    let fields = [("pfn", 0x12_3456), ("order", 3), ("gfp_flags", 0x52cc0), ("migratetype", 2)];
    other(PAGE_ALLOC, &fields, &[], Body::PageAlloc(taken), "");
    other(PAGE_FREE, &[("pfn", 0x12_3456), ("order", 3)], &[], Body::PageFree { pfn: 0x12_3456, order: 3 }, "");
    other(PRINT, &[("ip", call_site)], &[("buf", "phase: warm up\n")], Body::Mark(MarkId(0)), "phase: warm up");
    samples
}

/// A CPU's sub-buffers with the samples at 100 ns distance, and the events in them.
fn stream(kernel: Kernel, machine: Machine, cpu: u16, pages: u64) -> (Vec<Page>, Vec<Seen>) {
    let mut expected = Vec::new();
    let page = |number: u64| {
        let base = 5_000_000_000 + number * 1_000_000 + u64::from(cpu);
        let mut time = base;
        let record = |(payload, (mut event, text)): (Vec<u8>, Seen)| {
            time += 100;
            event.time_ns = time;
            expected.push((event, text));
            Record::Data(100, payload)
        };
        Page::new(base, samples(kernel, machine, cpu).into_iter().map(record).collect())
    };
    let pages = (0..pages).map(page).collect();
    (pages, expected)
}

/// The events of some CPUs in the order of `trace-cmd report`: by time, then CPU.
fn merged(streams: Vec<Vec<Seen>>) -> Vec<Seen> {
    let mut all: Vec<Seen> = streams.into_iter().flatten().collect();
    all.sort_by_key(|(event, _)| (event.time_ns, event.cpu));
    all
}

fn check(version: u8, machine: Machine, kernel: Kernel, page_bytes: usize, change: impl Fn(&mut TraceFile)) {
    let (pages_0, seen_0) = stream(kernel, machine, 0, 23);
    let (pages_2, seen_2) = stream(kernel, machine, 2, 3);
    let buffer = Buffer::new("", page_bytes, vec![(0, pages_0), (2, pages_2)]);
    let mut file = TraceFile::new(version, machine, formats(kernel, machine), vec![buffer]);
    file.writer_long = 12 - machine.long as u8; // the writing program's, not the kernel's
    change(&mut file);
    let what = format!("v{version}, {machine:?}, {kernel:?}, {page_bytes} bytes, {:?}, quirk {}", file.codec, file.size_quirk);
    let recording = read(&file);
    assert_eq!(seen(&recording), merged(vec![seen_0, seen_2]), "{what}");
    let accounting = &recording.accounting;
    assert_eq!(accounting.sub_buffers, 26, "{what}");
    assert_eq!(accounting.events["kmalloc"], 26, "{what}");
    assert_eq!(accounting.events["print"], 26, "{what}");
    assert_eq!(accounting.damages, [], "{what}");
    assert!(accounting.remarks.is_empty(), "{what}: {:?}", accounting.remarks);
    assert_eq!((&accounting.unknown_ids, &accounting.short_records), (&[].into(), &[].into()), "{what}");
    let info = &recording.info;
    assert_eq!((info.long_bytes, info.big_endian, info.cpus), (machine.long as u8, machine.big, 3), "{what}");
    assert_eq!((info.clock.as_str(), info.kernel.as_str()), ("local", "6.12.0-test"), "{what}");
}

#[test]
fn version_6_of_every_kernel_and_machine() {
    for kernel in KERNELS {
        for machine in MACHINES {
            check(6, machine, kernel, 4096, |_| {});
        }
    }
}

#[test]
fn version_7_of_every_kernel_and_machine() {
    for kernel in KERNELS {
        for machine in MACHINES {
            check(7, machine, kernel, 4096, |file| file.codec = Codec::Zstd);
        }
    }
}

#[test]
fn every_sub_buffer_size_and_compression() {
    for page_bytes in [4096, 16 << 10, 64 << 10] {
        check(6, LITTLE_64, Kernel::V6_1, page_bytes, |_| {});
        for codec in [Codec::None, Codec::Zlib, Codec::Zstd] {
            for (size_quirk, chunk_pages) in [(false, 10), (true, 10), (false, 1), (true, 100)] {
                check(7, LITTLE_64, Kernel::V6_1, page_bytes, |file| {
                    (file.codec, file.size_quirk, file.chunk_pages) = (codec, size_quirk, chunk_pages)
                });
            }
        }
    }
}

/// More chunks than one job takes: names and marks of all pieces are numbered as one.
#[test]
fn names_and_marks_are_numbered_over_all_pieces() {
    let (pages, expected) = stream(Kernel::V6_18, LITTLE_64, 0, 700);
    let buffer = Buffer::new("", 4096, vec![(0, pages)]);
    for codec in [Codec::None, Codec::Zstd] {
        let mut file = TraceFile::new(7, LITTLE_64, formats(Kernel::V6_18, LITTLE_64), vec![buffer.clone()]);
        file.codec = codec;
        let recording = read(&file);
        assert_eq!(seen(&recording), expected);
        assert_eq!(recording.names, ["dentry", "vm_area_struct"]);
        assert_eq!(recording.marks.len(), 700);
    }
}
