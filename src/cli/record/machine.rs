//! The files of a capture that describe the machine.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes what can be found below `root` into the capture; returns what could not be found, for the user.
pub(super) fn write(root: &Path, out: &Path) -> io::Result<Vec<&'static str>> {
    let text = |name: &str| fs::read_to_string(root.join(name)).ok();
    let mut missing = Vec::new();
    let mut put = |file: &'static str, content: Option<String>| match content {
        Some(content) => fs::write(out.join(file), content),
        None => {
            missing.push(file);
            Ok(())
        }
    };
    put("uname", uname(root))?;
    put("cmdline", text("proc/cmdline"))?;
    put("cpu_possible", text("sys/devices/system/cpu/possible"))?;
    put("cpu_online", text("sys/devices/system/cpu/online"))?;
    put("nodes", nodes(root))?;
    put("page_size", page_bytes(root).map(|bytes| format!("{bytes}\n")))?;
    match config(root)? {
        Some(packed) => fs::write(out.join("config.gz"), packed)?,
        None => missing.push("config.gz"),
    }
    Ok(missing)
}

/// The symbols of the kernel, if it shows their addresses to us.
pub(super) fn write_symbols(root: &Path, out: &Path) -> io::Result<()> {
    let Ok(symbols) = fs::read(root.join("proc/kallsyms")) else { return Ok(()) };
    let is_hidden = symbols.split(|&byte| byte == b' ').next().is_none_or(|address| address.iter().all(|&digit| digit == b'0'));
    // The first symbol may well be at 0; all of them are only where they are hidden.
    let all_hidden =
        is_hidden && symbols.split(|&byte| byte == b'\n').take(100_000).all(|line| line.iter().take(8).all(|&digit| digit == b'0'));
    if all_hidden { Ok(()) } else { fs::write(out.join("kallsyms"), symbols) }
}

/// As `uname -a` has it.
fn uname(root: &Path) -> Option<String> {
    let kernel = |name: &str| Some(fs::read_to_string(root.join("proc/sys/kernel").join(name)).ok()?.trim().to_owned());
    let [system, host, release, version] = [kernel("ostype")?, kernel("hostname")?, kernel("osrelease")?, kernel("version")?];
    Some(format!("{system} {host} {release} {version} {} GNU/Linux\n", std::env::consts::ARCH))
}

/// A line `nodeN cpulist` for each node; all CPUs are of node 0 in a kernel without nodes.
fn nodes(root: &Path) -> Option<String> {
    let folder = root.join("sys/devices/system/node");
    let cpus = |number: u32| fs::read_to_string(folder.join(format!("node{number}/cpulist"))).ok();
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("node")?.parse().ok()).collect();
    numbers.sort_unstable();
    let lines: Vec<String> = numbers.into_iter().filter_map(|node| Some(format!("node{node} {}\n", cpus(node)?.trim()))).collect();
    if lines.is_empty() {
        let online = fs::read_to_string(root.join("sys/devices/system/cpu/online")).ok()?;
        return Some(format!("node0 {}\n", online.trim()));
    }
    Some(lines.concat())
}

/// The page size that the kernel tells every program (`AT_PAGESZ`).
pub(super) fn page_bytes(root: &Path) -> Option<u64> {
    const AT_PAGESZ: usize = 6;
    let vector = fs::read(root.join("proc/self/auxv")).ok()?;
    let words: Vec<usize> =
        vector.chunks_exact(size_of::<usize>()).filter_map(|word| Some(usize::from_ne_bytes(word.try_into().ok()?))).collect();
    words.chunks_exact(2).find(|pair| pair[0] == AT_PAGESZ).map(|pair| pair[1] as u64)
}

/// The configuration of the kernel, packed.
fn config(root: &Path) -> io::Result<Option<Vec<u8>>> {
    if let Ok(packed) = fs::read(root.join("proc/config.gz")) {
        return Ok(Some(packed));
    }
    let release = fs::read_to_string(root.join("proc/sys/kernel/osrelease")).unwrap_or_default();
    let places = [format!("boot/config-{}", release.trim()), format!("lib/modules/{}/config", release.trim())];
    let Some(text) = places.iter().find_map(|place| fs::read(root.join(place)).ok()) else { return Ok(None) };
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&text)?;
    encoder.finish().map(Some)
}
