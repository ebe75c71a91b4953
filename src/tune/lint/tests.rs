//! Lints by version; expectations are from the table of knobs: which file is writable when, which word is spelled how.

use proptest::prelude::*;

use super::*;
use crate::allocators::AllocatorKind;
use crate::allocators::slub::Topology;
use crate::allocators::slub::sizing::{Build, Kernel, KernelRelease, Machine};
use crate::setting::Setting;

fn kernel(major: u32, minor: u32) -> Setting {
    let kernel = Kernel::new(KernelRelease::new(major, minor, 0), Machine::x86_64(4), Build::default());
    Setting::slub(kernel, Topology::new(vec![0, 0, 1, 1]))
}

fn slab(major: u32, minor: u32) -> Setting {
    Setting { allocator: AllocatorKind::Slab, ..kernel(major, minor) }
}

/// What of a text is dead: the setting, and what to do instead.
fn dead(linted: &Linted) -> Vec<(String, String)> {
    let each = |found: &Found| match &found.verdict {
        Verdict::Dead { instead, .. } => Some((found.text.clone(), instead.clone())),
        Verdict::Works => None,
    };
    linted.settings.iter().filter_map(each).collect()
}

fn words(text: &str, setting: &Setting) -> Vec<(String, String)> {
    dead(&lint_cmdline(text, setting))
}

fn pair(text: &str, instead: &str) -> Vec<(String, String)> {
    vec![(text.to_owned(), instead.to_owned())]
}

#[test]
fn spellings_by_version() {
    let line = "root=/dev/vda1 slab_max_order=0 quiet";
    assert_eq!(words(line, &kernel(6, 8)), pair("slab_max_order=0", "slub_max_order=0"));
    assert_eq!(words(line, &kernel(6, 9)), []);
    // The old spelling goes on to be taken, 7.3 included.
    for (major, minor) in [(4, 4), (5, 10), (6, 8), (6, 12), (7, 3)] {
        assert_eq!(words("slub_max_order=0 slub_nomerge", &kernel(major, minor)), [], "{major}.{minor}");
    }
    assert_eq!(words("slab_debug=U,dentry", &kernel(6, 8)), pair("slab_debug=U,dentry", "slub_debug=U,dentry"));
    assert_eq!(words("slab_debug=U,dentry slab_strict_numa", &kernel(6, 13)), []);
    assert_eq!(words("slab_strict_numa", &kernel(6, 12)).len(), 1);
    assert_eq!(words("slab_nomerge slab_merge", &kernel(6, 12)).len(), 1, "taken back");
    assert_eq!(words("slab_merge", &kernel(5, 10)).len(), 1);
}

#[test]
fn words_of_other_allocators() {
    assert_eq!(words("slub_max_order=1 noaliencache slab_max_order=1 slab_nomerge", &slab(6, 1)).len(), 1);
    assert_eq!(words("noaliencache", &kernel(6, 1)).len(), 1);
    // On 6.1 with SLUB the word of SLAB is ignored.
    assert_eq!(words("slab_max_order=1", &kernel(6, 1)), pair("slab_max_order=1", "slub_max_order=1"));
}

#[test]
fn words_that_no_kernel_has_and_values_that_none_takes() {
    for word in ["slub_cpu_partial=30", "cpu_partial=30", "slab_min_partial=2", "slab_sheaf_capacity=64", "slub_max_orders=1"] {
        assert_eq!(words(word, &kernel(7, 2)).len(), 1, "{word}");
    }
    assert_eq!(words("slub_max_order=high", &kernel(6, 1)).len(), 1);
    // A range was taken by its leading number before 6.19.
    assert_eq!(words("slub_max_order=3,5", &kernel(6, 18)), []);
    assert_eq!(words("slub_max_order=3,5", &kernel(6, 19)), pair("slub_max_order=3,5", "slub_max_order=3"));
    assert_eq!(words("slub_max_order=3 slab_max_order=1", &kernel(6, 12)), pair("slub_max_order=3", "take it out"));
    // Arguments of init, and modules.
    assert_eq!(words("slab_common.usercopy_fallback=1 -- slub_bogus=1", &kernel(6, 1)), []);
}

#[test]
fn scripts_in_many_forms() {
    let script = "#!/bin/sh
# comment
echo 30 > /sys/kernel/slab/dentry/cpu_partial
echo 0 | sudo tee /sys/kernel/slab/zs_handle/store_user
printf '%s\\n' 1 > /sys/kernel/slab/inode_cache/order
write /sys/kernel/slab/zspage/store_user 0
w- /sys/kernel/slab/dentry/min_partial - - - - 10
for f in /sys/kernel/slab/*/remote_node_defrag_ratio; do echo 200 > \"$f\"; done
tee /sys/kernel/slab/filp/cpu_partial <<< 13
echo \"dentry 240 120 8\" > /proc/slabinfo
GRUB_CMDLINE_LINUX=\"quiet slab_max_order=0\"
grubby --update-kernel=ALL --args=\"slub_min_objects=12\"
cat /sys/kernel/slab/dentry/objects
dd if=x of=/sys/kernel/slab/dentry/shrink
";
    let linted = lint_script(script, &kernel(6, 1));
    let places: Vec<(u64, &str)> = linted.dead().map(|found| (found.line, found.text.as_str())).collect();
    assert_eq!(
        places,
        [
            (4, "zs_handle/store_user: 0"),
            (5, "inode_cache/order: 1"),
            (6, "zspage/store_user: 0"),
            (8, "*/remote_node_defrag_ratio: 200"),
            (10, "/proc/slabinfo: dentry 240 120 8"),
            (11, "slab_max_order=0"),
        ]
    );
    assert_eq!((linted.settings.len(), linted.not_understood_count), (10, 1), "{linted:#?}");
    // Everything but the range and the line for SLAB worked in 5.4.
    let old: Vec<u64> = lint_script(script, &kernel(5, 4)).dead().map(|found| found.line).collect();
    assert_eq!(old, [8, 10, 11]);
    let new: Vec<u64> = lint_script(script, &kernel(7, 0)).dead().map(|found| found.line).collect();
    assert_eq!(new, [3, 4, 5, 6, 8, 9, 10]);
}

#[test]
fn remedies_are_spelled_for_the_kernel() {
    let script = "echo 0 > /sys/kernel/slab/zs_handle/store_user\necho 1 > /sys/kernel/slab/dentry/red_zone";
    let instead = |setting: &Setting| dead(&lint_script(script, setting)).into_iter().map(|(_, instead)| instead).collect::<Vec<_>>();
    assert_eq!(
        instead(&kernel(6, 1)),
        ["slub_debug=-,zs_handle on the command line, if anything else there switches it on", "slub_debug=Z,dentry on the command line"]
    );
    assert!(instead(&kernel(6, 12)).iter().all(|text| text.starts_with("slab_debug=")));
}

#[test]
fn lines_of_slabinfo() {
    let count = |line: &str| lint_script(&format!("echo {line} > /proc/slabinfo"), &slab(5, 10)).dead().count();
    assert_eq!(["dentry 240 120 8", "dentry 120 240 8", "dentry 0 0 0", "dentry 240 120", "dentry x y z"].map(count), [0, 1, 1, 1, 1]);
    assert_eq!(lint_script("echo 1 > /sys/kernel/slab/dentry/shrink", &slab(5, 10)).dead().count(), 1);
}

proptest! {
    #[test]
    fn odd_input_does_no_harm(text in "[a-z /_.=$#>|<\"'`\\\\{}();&*0-9\n\t-]{0,300}", tail in "\\PC{0,60}") {
        for setting in [kernel(5, 4), kernel(6, 18), kernel(7, 2), slab(6, 1)] {
            for text in [format!("{text}{tail}"), format!("echo {text} > /sys/kernel/slab/{tail}"), format!("slub_{text}={tail}")] {
                let _ = lint_script(&text, &setting);
                let _ = lint_cmdline(&text, &setting);
            }
        }
    }
}
