//! The kernel's own figures at one moment: files of `/proc`, then all of `/sys/kernel/slab`.
//!
//! Who reads what, and in which order, is what a replay finds the moments of reading by (see `prepare::tasks`, `reads` and
//! `unmarked`): each file of `/proc` is read by a thread of its own, and the slabs by one more, which does nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Files of `/proc`, in this order before the slabs.
const PAGES: [&str; 4] = ["buddyinfo", "pagetypeinfo", "zoneinfo", "meminfo"];

/// Attributes that are switches or list call sites: reading them tells nothing, or takes long.
const SKIPPED: [&str; 11] =
    ["validate", "shrink", "trace", "poison", "red_zone", "store_user", "sanity_checks", "failslab", "alloc_calls", "free_calls", "ctor"];

/// A file of sysfs has at most a page; with a share for each CPU it may fill it.
const ATTRIBUTE_BYTES: usize = 64 << 10;

/// Writes `slab.WHEN` and its siblings. `marker` is `trace_marker` of the buffer that records, if there is one. Returns the files
/// that this kernel does not have or let us read.
pub(super) fn write(root: &Path, out: &Path, when: &str, marker: Option<&Path>) -> io::Result<Vec<String>> {
    let mut missing = Vec::new();
    // Everything that can be prepared is: between the readings nothing else should be allocated.
    let caches = list(&root.join("sys/kernel/slab"))?;
    let mut marker = marker.map(|path| OpenOptions::new().write(true).open(path)).transpose()?;
    let mut texts = Vec::with_capacity(PAGES.len());
    for name in PAGES {
        let path = root.join("proc").join(name);
        texts.push((name, by_another_thread(move || fs::read(path))));
    }
    let (slabs, mut marker) = by_another_thread(move || {
        let slabs = read(&caches, &mut marker);
        (slabs, marker)
    });
    texts.push(("slabinfo", fs::read(root.join("proc/slabinfo"))));
    mark(&mut marker, &format!("slubreplay-slabinfo {when}"));
    for (name, text) in texts {
        match text {
            Ok(text) => fs::write(out.join(format!("{name}.{when}")), text)?,
            Err(_) => missing.push(format!("/proc/{name}")),
        }
    }
    if slabs.is_empty() {
        missing.push("/sys/kernel/slab".to_owned());
    } else {
        fs::write(out.join(format!("slab.{when}")), slabs)?;
    }
    Ok(missing)
}

/// Runs on a thread that is not used for anything else.
fn by_another_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What is there to be read.
#[derive(Debug, Default)]
struct Caches {
    /// Merged names: name and directory.
    aliases: Vec<(String, String)>,
    /// Directories, each with its attributes and their paths, in the order of the directory.
    caches: Vec<(String, Vec<(String, PathBuf)>)>,
}

fn list(folder: &Path) -> io::Result<Caches> {
    let mut all = Caches::default();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(all) };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_symlink() {
            let target = fs::read_link(entry.path())?;
            all.aliases.extend(target.file_name().map(|target| (name, target.to_string_lossy().into_owned())));
            continue;
        }
        let mut attributes = Vec::new();
        // A cache may go while we look.
        for attribute in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            let name = attribute.file_name().to_string_lossy().into_owned();
            let is_readable = attribute.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o400 != 0);
            if is_readable && !SKIPPED.contains(&name.as_str()) {
                attributes.push((name, attribute.path()));
            }
        }
        all.caches.push((name, attributes));
    }
    Ok(all)
}

/// Reads everything twice, as the first time makes the kernel allocate what it keeps; the second time counts, and is marked.
fn read(all: &Caches, marker: &mut Option<File>) -> String {
    if all.caches.is_empty() {
        return String::new();
    }
    let mut bytes = vec![0; ATTRIBUTE_BYTES];
    let mut text = String::new();
    for is_second in [false, true] {
        text.clear();
        for (name, directory) in &all.aliases {
            push_line(&mut text, name, "@alias", directory);
        }
        if is_second {
            mark(marker, "slubreplay-snap begin");
        }
        for (cache, attributes) in &all.caches {
            if is_second {
                mark(marker, &format!("slubreplay-snap {cache}"));
            }
            for (name, path) in attributes {
                // One read, as sysfs makes the whole text in it. What cannot be read is there with an empty value, as it was opened.
                let Ok(mut file) = File::open(path) else { continue };
                let length = file.read(&mut bytes).unwrap_or(0);
                drop(file);
                push_line(&mut text, cache, name, String::from_utf8_lossy(&bytes[..length]).trim_end());
            }
        }
    }
    mark(marker, "slubreplay-snap end");
    text
}

fn push_line(text: &mut String, cache: &str, attribute: &str, value: &str) {
    for part in [cache, ",", attribute, ",", value, "\n"] {
        text.push_str(part);
    }
}

/// A marker that cannot be written is only missed by a replay.
fn mark(marker: &mut Option<File>, text: &str) {
    if let Some(marker) = marker {
        marker.write_all(text.as_bytes()).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_tree_as_the_kernel_has_it() {
        let (root, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = root.path();
        put(root, "proc/buddyinfo", "Node 0\n");
        put(root, "proc/slabinfo", "slabinfo - version: 2.1\n");
        put(root, "sys/kernel/slab/dentry/objects", "12 N0=12\n");
        put(root, "sys/kernel/slab/dentry/alloc_calls", "No data\nof many lines\n");
        put(root, "sys/kernel/slab/dentry/shrink", "");
        std::os::unix::fs::symlink("../slab/dentry", root.join("sys/kernel/slab/merged")).unwrap();
        put(root, "marker", "");
        let missing = write(root, out.path(), "before", Some(&root.join("marker"))).unwrap();
        assert_eq!(missing, ["/proc/pagetypeinfo", "/proc/zoneinfo", "/proc/meminfo"]);
        let written = |name: &str| fs::read_to_string(out.path().join(name)).unwrap();
        assert_eq!(written("slab.before"), "merged,@alias,dentry\ndentry,objects,12 N0=12\n");
        assert_eq!((written("buddyinfo.before").as_str(), written("slabinfo.before").as_str()), ("Node 0\n", "slabinfo - version: 2.1\n"));
        // In a file, markers follow each other.
        let marks = fs::read_to_string(root.join("marker")).unwrap();
        assert_eq!(marks, "slubreplay-snap beginslubreplay-snap dentryslubreplay-snap endslubreplay-slabinfo before");
    }
}
