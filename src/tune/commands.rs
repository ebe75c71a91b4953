//! The commands that apply changes to a kernel, keep them, and take them back.

use super::change::{Change, value_of};
use super::knob::Knob;
use super::standing::{Standing, Way, standing};
use crate::allocators::AllocatorKind;
use crate::prepare::{PlannedCache, Sibling};
use crate::setting::Setting;

/// Blocks to paste as they are, each for a shell of root unless it says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    /// Every setting with what it hits.
    pub writes: Vec<Write>,
    /// Applies what a running kernel takes.
    pub now: Vec<String>,
    /// Takes that back.
    pub undo_now: Vec<String>,
    /// Applies it at every start.
    pub keep: Vec<Block>,
    /// Takes that back.
    pub undo_keep: Vec<String>,
    /// Words for the kernel's command line.
    pub boot_words: Vec<String>,
    /// Puts them there, by each way that there is: use one.
    pub boot: Vec<Block>,
    /// Takes them out again.
    pub undo_boot: Vec<Block>,
    /// What a build would have to have.
    pub build: Vec<String>,
    /// What the kernel's code would have to say.
    pub code: Vec<String>,
    /// What to mind.
    pub notes: Vec<String>,
}

/// Lines with a heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it is for.
    pub title: String,
    /// Lines to paste.
    pub lines: Vec<String>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The knob.
    pub knob: Knob,
    /// Directory of the cache; `None` for all caches.
    pub cache: Option<String>,
    /// Other names of it: the write changes them all.
    pub aliases: Vec<String>,
    /// Value before; `None` if caches differ.
    pub old: Option<u32>,
    /// Value after.
    pub new: u32,
    /// File that is written, or word of the command line.
    pub target: String,
    /// It takes a reboot.
    pub needs_reboot: bool,
    /// Nobody can set it in a released kernel.
    pub is_what_if: bool,
}

const SYSFS: &str = "/sys/kernel/slab";
const TMPFILES: &str = "/etc/tmpfiles.d/slab-tuning.conf";
const UNIT: &str = "/etc/systemd/system/slab-tuning.service";
const STATE: &str = "/run/slab-tuning.old";

impl Commands {
    /// The commands for `changes` of the kernel of `setting`, whose caches are `caches`. `cmdline` is what it was booted with.
    #[must_use]
    pub fn of(changes: &[Change], setting: &Setting, caches: &[PlannedCache], cmdline: &str) -> Self {
        let mut own = Self::default();
        let mut files: Vec<(String, Option<u32>, u32)> = Vec::new();
        let mut lines: Vec<usize> = Vec::new();
        for change in changes {
            let cache = change.cache.and_then(|cache| caches.get(cache));
            let (target, needs_reboot, is_what_if) = match standing(change.knob, setting) {
                Standing::Live(Way::Boot(word)) => {
                    own.boot_words.push(if change.knob == Knob::NoMerge { word.to_owned() } else { format!("{word}={}", change.value) });
                    (word.to_owned(), true, false)
                }
                Standing::Live(Way::Sysfs(file)) => {
                    let path = format!("{SYSFS}/{}/{file}", cache.map_or("*", |cache| cache.name.as_str()));
                    files.push((path.clone(), cache.and_then(|cache| value_of(cache, change.knob)), change.value));
                    (path, false, false)
                }
                Standing::Live(Way::Slabinfo) => {
                    match change.cache {
                        Some(cache) if !lines.contains(&cache) => lines.push(cache),
                        Some(_) => {}
                        None => lines = (0..caches.len()).collect(),
                    }
                    ("/proc/slabinfo".to_owned(), false, false)
                }
                Standing::WhatIf(remedy) => {
                    own.code.push(code(change, cache.map(|cache| cache.name.as_str())));
                    own.notes.push(format!("{}: {}; {}", change.knob, remedy.reason, remedy.instead));
                    (change.knob.name().to_owned(), true, true)
                }
                Standing::Dead(remedy) => {
                    own.notes.push(format!("{} does nothing here: {}; instead: {}", change.knob, remedy.reason, remedy.instead));
                    continue;
                }
            };
            let old = match cache {
                Some(cache) => value_of(cache, change.knob),
                None => of_all(change.knob, setting, caches),
            };
            let aliases = cache.map(|cache| cache.aliases.clone()).unwrap_or_default();
            let cache = cache.map(|cache| cache.name.clone());
            own.writes.push(Write { knob: change.knob, cache, aliases, old, new: change.value, target, needs_reboot, is_what_if });
        }
        own.sysfs(&files);
        own.slabinfo(changes, &lines, caches);
        own.boot_blocks(cmdline);
        own
    }

    /// True if some of it takes a reboot.
    #[must_use]
    pub fn needs_reboot(&self) -> bool {
        self.writes.iter().any(|write| write.needs_reboot)
    }

    fn sysfs(&mut self, files: &[(String, Option<u32>, u32)]) {
        if files.is_empty() {
            return;
        }
        let mut starts = Vec::new();
        for (path, old, new) in files {
            // The name of a cache may hold what a shell takes for its own; the star of all caches is for it.
            let word = if path.contains("/*/") { path.clone() } else { quoted(path) };
            self.now.push(format!("for f in {word}; do printf '%s %s\\n' \"$(cat \"$f\")\" \"$f\"; done >> {STATE}"));
            self.now.push(format!("for f in {word}; do [ -w \"$f\" ] && echo {new} > \"$f\" || echo \"skipped: $f\" >&2; done"));
            starts.push(format!("w- {} - - - - {new}", escaped(path)));
            if let Some(old) = old {
                self.undo_now.push(format!("echo {old} > {word}"));
            }
        }
        if self.undo_now.len() < files.len() {
            self.undo_now = vec![format!("tac {STATE} | while read -r old f; do echo \"$old\" > \"$f\"; done; rm {STATE}")];
        }
        self.keep_lines(starts);
        let apply: Vec<String> = files
            .iter()
            .map(|(path, _, new)| {
                let word = if path.contains("/*/") { path.clone() } else { quoted(path) };
                format!("for f in {word}; do [ -w \"$f\" ] && {{ printf \"%%s %%s\\\\n\" \"$(cat \"$f\")\" \"$f\" >> {STATE}; echo {new} > \"$f\"; }} || echo \"skipped $f\"; done")
            })
            .collect();
        let apply = apply.join("; ").replace('\'', "'\\''");
        self.keep.push(Block {
            title: "or a systemd unit, which tests each file and restores the old values when stopped".to_owned(),
            lines: vec![
                format!("cat > {UNIT} <<'EOF'"),
                "[Unit]".to_owned(),
                "Description=Slab tuning".to_owned(),
                "After=systemd-modules-load.service local-fs.target".to_owned(),
                "[Service]".to_owned(),
                "Type=oneshot".to_owned(),
                "RemainAfterExit=yes".to_owned(),
                format!("ExecStart=/bin/sh -c '{}'", apply.replace('$', "$$")),
                format!("ExecStop=/bin/sh -c 'tac {STATE} | while read -r old f; do echo \"$$old\" > \"$$f\"; done; rm {STATE}'"),
                "[Install]".to_owned(),
                "WantedBy=multi-user.target".to_owned(),
                "EOF".to_owned(),
                "systemctl daemon-reload && systemctl enable --now slab-tuning.service".to_owned(),
            ],
        });
        self.undo_keep.push(format!(
            "rm -f {TMPFILES}; [ -e {UNIT} ] && systemctl disable --now slab-tuning.service && rm {UNIT} && systemctl daemon-reload"
        ));
        self.notes.push(
            "caches of modules that are loaded later need a udev rule: ACTION==\"add\", SUBSYSTEM==\"module\", KERNEL==\"MODULE\", \
             RUN+=\"/usr/bin/systemd-tmpfiles --create /etc/tmpfiles.d/slab-tuning.conf\""
                .to_owned(),
        );
        self.notes.push("in a container /sys/kernel/slab is that of the host, and mostly read-only: apply there".to_owned());
    }

    fn keep_lines(&mut self, lines: Vec<String>) {
        let mut block = vec![format!("cat > {TMPFILES} <<'EOF'")];
        block.extend(lines);
        block.push("EOF".to_owned());
        block.push(format!("systemd-tmpfiles --create {TMPFILES}"));
        self.keep.push(Block { title: "tmpfiles.d".to_owned(), lines: block });
    }

    fn slabinfo(&mut self, changes: &[Change], lines: &[usize], caches: &[PlannedCache]) {
        let mut keep = Vec::new();
        for &number in lines {
            let Some(cache) = caches.get(number) else { continue };
            let Sibling::Slab(spec) = cache.sibling else { continue };
            let old =
                [(Knob::Limit, spec.tunables.limit), (Knob::BatchCount, spec.tunables.batchcount), (Knob::Shared, spec.tunables.shared)];
            let new = old.map(|(knob, old)| {
                let own = |cache: Option<usize>| changes.iter().find(|change| change.knob == knob && change.cache == cache);
                own(Some(number)).or_else(|| own(None)).map_or(old, |change| change.value)
            });
            let [limit, batch, shared] = new;
            let name = quoted(&cache.name);
            self.now.push(format!("echo {name} {limit} {batch} {shared} > /proc/slabinfo"));
            self.undo_now.push(format!("echo {name} {} {} {} > /proc/slabinfo", old[0].1, old[1].1, old[2].1));
            keep.push(format!("w- /proc/slabinfo - - - - {} {limit} {batch} {shared}", escaped(&cache.name)));
        }
        if !keep.is_empty() {
            self.keep_lines(keep);
            self.undo_keep.push(format!("rm -f {TMPFILES}"));
        }
    }

    fn boot_blocks(&mut self, cmdline: &str) {
        if self.boot_words.is_empty() {
            return;
        }
        for word in &self.boot_words {
            let key = word.split('=').next().unwrap_or(word);
            let tail = key.trim_start_matches("slub_").trim_start_matches("slab_");
            for own in cmdline.split_whitespace() {
                let own_key = own.split('=').next().unwrap_or(own);
                if own_key.strip_prefix("slub_").or(own_key.strip_prefix("slab_")) == Some(tail) {
                    self.notes.push(format!("the command line already has {own}: take it out, or the later of the two wins"));
                }
            }
        }
        let words = self.boot_words.join(" ");
        let block = |title: &str, line: String| Block { title: title.to_owned(), lines: vec![line] };
        self.boot = vec![
            block("GRUB, Debian family", format!("sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{words} /' /etc/default/grub && update-grub")),
            block("GRUB, Red Hat family", format!("grubby --update-kernel=ALL --args=\"{words}\"")),
            block(
                "GRUB, others",
                format!("sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{words} /' /etc/default/grub && grub2-mkconfig -o /boot/grub2/grub.cfg"),
            ),
            block("systemd-boot with kernel-install", format!("sed -i '1s/$/ {words}/' /etc/kernel/cmdline && {REINSTALL}")),
            block("rpm-ostree", format!("rpm-ostree kargs{}", self.each("--append"))),
            block("U-Boot, at its prompt", format!("setenv bootargs \"${{bootargs}} {words}\"; saveenv")),
            block("Android, in the board's makefile", format!("BOARD_KERNEL_CMDLINE += {words}")),
        ];
        self.undo_boot = vec![
            block("GRUB, Debian family", format!("sed -i 's/{words} //' /etc/default/grub && update-grub")),
            block("GRUB, Red Hat family", format!("grubby --update-kernel=ALL --remove-args=\"{words}\"")),
            block("GRUB, others", format!("sed -i 's/{words} //' /etc/default/grub && grub2-mkconfig -o /boot/grub2/grub.cfg")),
            block("systemd-boot with kernel-install", format!("sed -i '1s/ {words}//' /etc/kernel/cmdline && {REINSTALL}")),
            block("rpm-ostree", format!("rpm-ostree kargs{}", self.each("--delete"))),
        ];
    }

    fn each(&self, option: &str) -> String {
        self.boot_words.iter().map(|word| format!(" {option}={word}")).collect()
    }
}

const REINSTALL: &str = "kernel-install add \"$(uname -r)\" \"/lib/modules/$(uname -r)/vmlinuz\"";

/// What all caches have, if they agree.
fn of_all(knob: Knob, setting: &Setting, caches: &[PlannedCache]) -> Option<u32> {
    let params = &setting.kernel.params;
    match knob {
        Knob::SlabMaxOrder if setting.allocator == AllocatorKind::Slab => Some(setting.siblings.slab_max_order),
        Knob::SlabMaxOrder => Some(params.max_order),
        Knob::SlabMinOrder => Some(params.min_order),
        Knob::SlabMinObjects => Some(params.min_objects),
        Knob::NoMerge => Some(u32::from(!params.merge)),
        _ => {
            let mut values = caches.iter().filter_map(|cache| value_of(cache, knob));
            let first = values.next()?;
            values.all(|value| value == first).then_some(first)
        }
    }
}

/// What the owner of a cache would have to write.
fn code(change: &Change, cache: Option<&str>) -> String {
    let cache = cache.unwrap_or("each cache");
    match change.knob {
        Knob::SheafCapacity => format!("/* {cache} */ struct kmem_cache_args args = {{ .sheaf_capacity = {} }};", change.value),
        Knob::MaxFullSheaves => format!("/* mm/slub.c, for {cache} */ #define MAX_FULL_SHEAVES {}", change.value),
        _ => format!("/* mm/slub.c, for {cache} */ #define MAX_EMPTY_SHEAVES {}", change.value),
    }
}

/// A word for a POSIX shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/_-.:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// A path for tmpfiles.d, where blanks end it and percent signs begin a specifier. Names are the trace's: none may begin a line.
fn escaped(text: &str) -> String {
    let each = |c: char| match c {
        '%' => "%%".to_owned(),
        '\\' | '"' | '\'' => format!("\\{c}"),
        c if c == ' ' || c.is_control() => c.to_string().bytes().map(|byte| format!("\\x{byte:02x}")).collect(),
        c => c.to_string(),
    };
    text.chars().map(each).collect()
}
