//! Releases, build options and boot parameters as text.

use super::*;

#[test]
fn releases_from_text() {
    for (text, expected) in [
        ("6.12.117", (6, 12, 117)),
        ("6.18.44-fc-v669", (6, 18, 44)),
        ("5.10.223", (5, 10, 223)),
        ("5.14-rc5", (5, 14, 0)),
        ("5.14.0-rc5", (5, 14, 0)),
        ("6.1.0-9-amd64", (6, 1, 0)),
        ("2.6.38.8", (2, 6, 38)),
        ("6.12.y", (6, 12, 0)),
        (" 7.2.13\n", (7, 2, 13)),
        ("6.8+", (6, 8, 0)),
    ] {
        let (major, minor, patch) = expected;
        assert_eq!(text.parse(), Ok(KernelRelease::new(major, minor, patch)), "{text}");
    }
    for text in ["", "6", "6.", "v6.12", ".1.2", "99999999999.1", "6.-1", "é.1"] {
        assert_eq!(text.parse::<KernelRelease>(), Err(ReleaseError), "{text:?}");
    }
    assert!(release("6.9.1") < release("6.12"));
    assert!(release("2.6.38") < release("3.0"));
    let uname = "Linux (none) 6.12.117 #1 SMP Mon Nov 23 03:52:40 UTC 2026 x86_64 GNU/Linux";
    assert_eq!(KernelRelease::find(uname), Some(release("6.12.117")));
    assert_eq!(KernelRelease::find("no release"), None);
    assert_eq!(release("6.12.117").to_string(), "6.12.117");
}

fn booted(text: &str, cmdline: &str) -> (u32, u32, u32, bool) {
    let kernel = Kernel::booted(release(text), Machine::x86_64(4), Build::default(), cmdline);
    let SlubParams { min_order, max_order, min_objects, merge, .. } = kernel.params;
    (min_order, max_order, min_objects, merge)
}

#[test]
fn boot_parameters() {
    assert_eq!(booted("6.12", "quiet panic=-1"), (0, 3, 0, true));
    assert_eq!(booted("6.12", "slub_min_objects=4 slub_max_order=1"), (0, 1, 4, true));
    assert_eq!(booted("6.12", "slab_min_objects=0x10"), (0, 3, 16, true));
    assert_eq!(booted("6.8", "slab_min_objects=16"), (0, 3, 0, true), "not yet known");
    assert_eq!(booted("6.12", "slub_max_order=99"), (0, 10, 0, true), "capped");
    assert_eq!(booted("6.12", "slub_max_order=x slub-max-order=2"), (0, 2, 0, true));
    assert_eq!(booted("6.12", "a=\"b slub_nomerge\" -- slab_nomerge"), (0, 3, 0, true));
    assert_eq!(booted("6.12", "slub_max_order="), (0, 3, 0, true));
}

#[test]
fn orders_push_each_other_from_6_7_on() {
    assert_eq!(booted("6.12", "slub_min_order=5"), (5, 5, 0, true));
    assert_eq!(booted("6.6", "slub_min_order=5"), (5, 3, 0, true));
    let crossed = "slub_min_order=2 slub_max_order=1";
    assert_eq!(booted("6.12", crossed), (1, 1, 0, true));
    assert_eq!(booted("6.6", crossed), (2, 1, 0, true));
}

#[test]
fn merging_is_switched_by_the_last_option_known() {
    assert!(!booted("2.6.38", "slub_nomerge").3);
    assert!(booted("3.10", "slab_nomerge").3, "not yet known");
    assert!(!booted("3.19", "slab_nomerge").3);
    assert!(!booted("5.10", "slab_nomerge slab_merge").3, "not yet known");
    assert!(booted("5.15", "slab_nomerge slub_merge").3);
    assert!(!booted("5.15", "slab_merge slub_nomerge").3);
}

#[test]
fn build_options_from_a_configuration() {
    let config = "CONFIG_MEMCG=y\n# CONFIG_HARDENED_USERCOPY is not set\nCONFIG_SLUB_CPU_PARTIAL=y\n\
                  CONFIG_SLAB_MERGE_DEFAULT=y\nCONFIG_SLAB_BUCKETS=y\nCONFIG_ZONE_DMA=m\n";
    let build = Build::from_config(config, release("6.12.117"));
    let expected = Build { hardened_usercopy: false, zone_dma: false, slab_buckets: true, ..Build::default() };
    assert_eq!(build, expected);
    assert!(!Build::from_config(config, release("6.1")).memcg, "needs MEMCG_KMEM");
    let empty = Build::from_config("", release("2.6.38"));
    assert!(empty.merge_default && empty.cpu_partial, "not optional yet");
}
