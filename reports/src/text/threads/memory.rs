//! Memory of a replay on threads.

use crate::format::{bytes, thousands};
use crate::input::threads::ThreadsInput;
use crate::text::table::{
    Align::{Left, Right},
    Table,
};
use crate::text::{TextOptions, section};

pub(super) fn write(out: &mut String, input: &ThreadsInput, options: &TextOptions) {
    section(out, "Memory", options);
    let memory = &input.memory;
    let mut table = Table::new(&[("what", Left), ("size", Right)]);
    for (what, size) in [
        ("slabs, at peak", bytes(memory.slab_peak)),
        ("page frames that were ever in a slab", bytes(memory.frames)),
        ("descriptors of these", bytes(memory.descriptors)),
        ("slots in which objects are handed over", bytes(memory.slots)),
        ("state of CPUs in caches", bytes(memory.cpus)),
        ("objects live at most", thousands(memory.live_peak)),
        ("beside slabs, per object live at most", format!("{:.1} B", memory.overhead_per_object)),
        ("written to objects for their users", bytes(memory.touched)),
    ] {
        table.row(vec![what.to_owned(), size]);
    }
    table.write(out, options);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata::threads::small;

    #[test]
    fn sizes_in_units() {
        let mut out = String::new();
        write(&mut out, &small(), &TextOptions::default());
        assert!(out.contains("  slabs, at peak                          24.0 KiB\n"), "{out}");
        assert!(out.contains("  objects live at most                         150\n"), "{out}");
    }
}
