//! The layouts of kmem events that kernels have had, field by field (kmem-events.md section 2).

use super::records::{Format, Machine};

/// A kernel generation, by what changed the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kernel {
    /// 3.4: one more common word.
    V3_4,
    V5_15,
    V6_0,
    V6_1,
    V6_18,
}

pub(crate) const KERNELS: [Kernel; 5] = [Kernel::V3_4, Kernel::V5_15, Kernel::V6_0, Kernel::V6_1, Kernel::V6_18];

pub(crate) const KMALLOC: u16 = 650;
pub(crate) const KMALLOC_NODE: u16 = 651;
pub(crate) const CACHE_ALLOC: u16 = 652;
pub(crate) const CACHE_ALLOC_NODE: u16 = 653;
pub(crate) const KFREE: u16 = 654;
pub(crate) const CACHE_FREE: u16 = 655;
pub(crate) const PAGE_ALLOC: u16 = 656;
pub(crate) const PAGE_FREE: u16 = 657;
pub(crate) const PRINT: u16 = 5;

type Fields = Vec<(&'static str, usize, usize)>;

const SITE: &str = "unsigned long call_site";
const PTR: &str = "const void * ptr";
const REQ: &str = "size_t bytes_req";
const ALLOC: &str = "size_t bytes_alloc";
const GFP_T: &str = "gfp_t gfp_flags";
const GFP_LONG: &str = "unsigned long gfp_flags";
const NODE: &str = "int node";
const ACCOUNTED: &str = "bool accounted";
const NAME: &str = "__data_loc char[] name";

/// All formats of a kernel.
pub(crate) fn formats(kernel: Kernel, machine: Machine) -> Vec<Format> {
    let mut all = vec![kmalloc(kernel, machine), cache_alloc(kernel, machine), kfree(kernel, machine), cache_free(kernel, machine)];
    if kernel <= Kernel::V6_0 {
        all.extend([node(KMALLOC_NODE, "kmalloc_node", kernel, machine), node(CACHE_ALLOC_NODE, "kmem_cache_alloc_node", kernel, machine)]);
    }
    all.extend([page_alloc(), page_free(), print(machine)]);
    all
}

fn kmem(name: &'static str, id: u16, fields: Fields, fixed: usize) -> Format {
    Format { system: "kmem", name, id, fields, fixed }
}

/// The fields up to `bytes_alloc`, which all allocation events without a name share, and their end.
fn request(machine: Machine) -> (Fields, usize) {
    if machine.long == 8 {
        (vec![(SITE, 8, 8), (PTR, 16, 8), (REQ, 24, 8), (ALLOC, 32, 8)], 40)
    } else {
        (vec![(SITE, 8, 4), (PTR, 12, 4), (REQ, 16, 4), (ALLOC, 20, 4)], 24)
    }
}

/// The common word of 3.4 moves every field of its own by 4; only the 32-bit layout is known.
fn shifted(format: Format, kernel: Kernel) -> Format {
    if kernel != Kernel::V3_4 {
        return format;
    }
    let moved = format.fields.iter().map(|&(declaration, offset, size)| (declaration, offset + 4, size));
    let fields = [("int common_padding", 8, 4)].into_iter().chain(moved).collect();
    Format { fields, fixed: format.fixed + 4, ..format }
}

fn kmalloc(kernel: Kernel, machine: Machine) -> Format {
    let (mut fields, end) = request(machine);
    let fixed = match kernel {
        Kernel::V3_4 | Kernel::V5_15 => {
            fields.push((GFP_T, end, 4));
            end + 4
        }
        Kernel::V6_0 => {
            fields.extend([(GFP_LONG, end, machine.long), (ACCOUNTED, end + machine.long, 1)]);
            end + 2 * machine.long
        }
        Kernel::V6_1 | Kernel::V6_18 => {
            fields.extend([(GFP_LONG, end, machine.long), (NODE, end + machine.long, 4)]);
            end + 2 * machine.long
        }
    };
    shifted(kmem("kmalloc", KMALLOC, fields, fixed), kernel)
}

fn cache_alloc(kernel: Kernel, machine: Machine) -> Format {
    if kernel == Kernel::V6_18 && machine.long == 8 {
        let start = vec![(SITE, 8, 8), (PTR, 16, 8), (NAME, 24, 4), (REQ, 32, 8), (ALLOC, 40, 8)];
        let fields = [start, vec![(GFP_LONG, 48, 8), (NODE, 56, 4), (ACCOUNTED, 60, 1)]].concat();
        return kmem("kmem_cache_alloc", CACHE_ALLOC, fields, 64);
    }
    if kernel == Kernel::V6_18 {
        let start = vec![(SITE, 8, 4), (PTR, 12, 4), (NAME, 16, 4), (REQ, 20, 4), (ALLOC, 24, 4)];
        let fields = [start, vec![(GFP_LONG, 28, 4), (NODE, 32, 4), (ACCOUNTED, 36, 1)]].concat();
        return kmem("kmem_cache_alloc", CACHE_ALLOC, fields, 40);
    }
    let mut format = kmalloc(kernel, machine);
    if kernel == Kernel::V6_1 {
        let node_end = if machine.long == 8 { 52 } else { 32 };
        format.fields.push((ACCOUNTED, node_end, 1));
        format.fixed = node_end + 4;
    }
    Format { name: "kmem_cache_alloc", id: CACHE_ALLOC, ..format }
}

fn node(id: u16, name: &'static str, kernel: Kernel, machine: Machine) -> Format {
    let (mut fields, end) = request(machine);
    let fixed = if kernel == Kernel::V6_0 {
        let node_at = end + machine.long;
        fields.extend([(GFP_LONG, end, machine.long), (NODE, node_at, 4), (ACCOUNTED, node_at + 4, 1)]);
        node_at + 8
    } else {
        fields.extend([(GFP_T, end, 4), (NODE, end + 4, 4)]);
        end + 8
    };
    shifted(kmem(name, id, fields, fixed), kernel)
}

fn kfree(kernel: Kernel, machine: Machine) -> Format {
    let long = machine.long;
    shifted(kmem("kfree", KFREE, vec![(SITE, 8, long), (PTR, 8 + long, long)], 8 + 2 * long), kernel)
}

fn cache_free(kernel: Kernel, machine: Machine) -> Format {
    let mut format = kfree(Kernel::V5_15, machine);
    // Since 5.12.
    if kernel >= Kernel::V5_15 {
        format.fields.push((NAME, format.fixed, 4));
        format.fixed += 4;
    }
    shifted(Format { name: "kmem_cache_free", id: CACHE_FREE, ..format }, kernel)
}

fn page_alloc() -> Format {
    let fields = vec![("unsigned long pfn", 8, 8), ("unsigned int order", 16, 4), (GFP_LONG, 24, 8), ("int migratetype", 32, 4)];
    kmem("mm_page_alloc", PAGE_ALLOC, fields, 36)
}

fn page_free() -> Format {
    kmem("mm_page_free", PAGE_FREE, vec![("unsigned long pfn", 8, 8), ("unsigned int order", 16, 4)], 20)
}

fn print(machine: Machine) -> Format {
    let fields = vec![("unsigned long ip", 8, machine.long), ("char buf[]", 8 + machine.long, 0)];
    Format { system: "ftrace", name: "print", id: PRINT, fields, fixed: 8 + machine.long }
}
