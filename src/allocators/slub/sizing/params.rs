//! Slab parameters of the kernel command line.

use super::{Build, Machine, SizingRules};

/// Boot parameters that change layouts or merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlubParams {
    /// `slub_min_order=`: least page order of a slab.
    pub min_order: u32,
    /// `slub_max_order=`: largest order that is tried to reduce waste. 0 with page guards
    /// (`debug_guardpage_minorder=`), which only the caller can know to be built in.
    pub max_order: u32,
    /// `slub_min_objects=`: objects a slab should hold; 0 leaves it to the number of cpus.
    pub min_objects: u32,
    /// Caches may be merged.
    pub merge: bool,
    /// `slab_debug=O`: no debug metadata where it would raise a cache's least order.
    pub keep_order: bool,
}

impl SlubParams {
    /// Returns the parameters of a kernel that was booted without any.
    pub fn of(build: &Build) -> Self {
        Self {
            min_order: 0,
            // PAGE_ALLOC_COSTLY_ORDER, above which the page allocator tries less hard.
            max_order: if build.slub_tiny { 1 } else { 3 },
            min_objects: 0,
            merge: build.merge_default,
            keep_order: false,
        }
    }

    /// Reads a kernel command line, as in `/proc/cmdline`.
    ///
    /// Knows the spellings of the release behind `rules`, applies options from left to right as
    /// the kernel does, and stops at `--`, where the arguments of init begin. A value that is not
    /// a number leaves its parameter as it was. Debug options are not read: which caches they
    /// apply to is a question of names.
    ///
    /// Source: the `setup_slub_*()` functions, `mm/slub.c`, and `mm/slab_common.c`.
    pub fn from_cmdline(cmdline: &str, rules: &SizingRules, machine: &Machine, build: &Build) -> Self {
        let mut params = Self::of(build);
        for word in words(cmdline) {
            if word == "--" {
                break;
            }
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            params.apply(&key.replace('-', "_"), value, rules, machine);
        }
        params
    }

    fn apply(&mut self, key: &str, value: &str, rules: &SizingRules, machine: &Machine) {
        let option = match (key.strip_prefix("slub_"), key.strip_prefix("slab_")) {
            (Some("merge"), _) | (_, Some("merge")) if !rules.merge_option => return,
            (_, Some("nomerge")) if !rules.slab_nomerge_option => return,
            (_, Some("min_order" | "max_order" | "min_objects")) if !rules.slab_order_options => {
                return;
            }
            (Some(option), _) | (_, Some(option)) => option,
            (None, None) => return,
        };
        self.apply_option(option, number(value), rules, machine);
    }

    /// Sets `min_order`, `max_order` or `min_objects`, as the word of the command line does whose name ends like that.
    pub fn set(&mut self, option: &str, value: u32, rules: &SizingRules, machine: &Machine) {
        self.apply_option(option, Some(value), rules, machine);
    }

    fn apply_option(&mut self, option: &str, number: Option<u32>, rules: &SizingRules, machine: &Machine) {
        match (option, number) {
            ("merge", _) => self.merge = true,
            ("nomerge", _) => self.merge = false,
            ("min_objects", Some(objects)) => self.min_objects = objects,
            ("min_order", Some(order)) => {
                self.min_order = order;
                if rules.orders_push && order > self.max_order {
                    self.max_order = order.min(machine.max_page_order);
                    // The pair stays ordered even where the limit cut the larger one.
                    self.min_order = self.max_order;
                }
            }
            ("max_order", Some(order)) => {
                self.max_order = order.min(machine.max_page_order);
                if rules.orders_push {
                    self.min_order = self.min_order.min(self.max_order);
                }
            }
            _ => {}
        }
    }
}

/// Splits at blanks outside of double quotes, as `next_arg()` in `lib/cmdline.c` does.
fn words(cmdline: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    cmdline
        .split(move |c: char| {
            quoted ^= c == '"';
            !quoted && c.is_whitespace()
        })
        .filter(|word| !word.is_empty())
}

/// Reads a number as `simple_strtoul()` does: `0x` and a leading `0` name the base, and what
/// follows the digits is ignored.
fn number(text: &str) -> Option<u32> {
    let text = text.trim_matches('"');
    let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    u32::from_str_radix(&digits[..end], radix).ok()
}
