//! Recording with nothing but tracefs: every CPU's pages are copied into a folder while they fill.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::read_at_once;
use super::tracefs::{Instance, cpus};
use crate::cli::failure::Failure;

/// Pause after a buffer was found empty.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes that are written at a time.
const STEP_BYTES: usize = 256 << 10;
/// Far above the size of a sub-buffer: a read returns one at most.
const MOST_PAGE_BYTES: usize = 4 << 20;

/// Texts that go with the pages, beside those of the events.
const TEXTS: [&str; 5] = ["events/header_page", "events/header_event", "saved_cmdlines", "printk_formats", "trace_clock"];

/// Copies pages until it is stopped.
#[derive(Debug)]
pub(super) struct Drain {
    instance: Instance,
    /// Where they go.
    ring: PathBuf,
    events: Vec<&'static str>,
    is_over: Arc<AtomicBool>,
    copiers: Vec<JoinHandle<io::Result<()>>>,
}

impl Drain {
    pub(super) fn start(instance: Instance, events: &[&'static str], ring: &Path) -> Result<Self, Failure> {
        let mut drain = Self { instance, ring: ring.to_owned(), events: events.to_vec(), is_over: Arc::default(), copiers: Vec::new() };
        for (cpu, folder) in cpus(&drain.instance.dir) {
            let from = folder.join("trace_pipe_raw");
            let to = ring.join(format!("per_cpu/cpu{cpu}/trace_pipe_raw"));
            // A read beyond what there is must come back.
            let from_file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&from);
            let from_file = from_file.map_err(|error| Failure::input(anyhow::Error::from(error).context(from.display().to_string())))?;
            let to_file = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| File::create(&to));
            let to_file = to_file.map_err(|error| Failure::output(&to.display().to_string(), error))?;
            let is_over = Arc::clone(&drain.is_over);
            drain.copiers.push(std::thread::spawn(move || copy(from_file, to_file, &is_over)));
        }
        drain.instance.start(events)?;
        Ok(drain)
    }

    /// Where markers go.
    pub(super) fn marker(&self) -> PathBuf {
        self.instance.dir.join("trace_marker")
    }

    /// Ends the recording, and copies what is left and what describes it.
    pub(super) fn stop(mut self) -> Result<(), Failure> {
        self.instance.set("tracing_on", "0")?;
        for copied in self.join() {
            copied.map_err(|error| Failure::output(&self.ring.display().to_string(), error))?;
        }
        let written = self.describe().map_err(|error| Failure::output(&self.ring.display().to_string(), error));
        for (cpu, stats) in self.instance.stats() {
            let path = self.ring.join(format!("per_cpu/cpu{cpu}/stats"));
            fs::write(&path, stats).map_err(|error| Failure::output(&path.display().to_string(), error))?;
        }
        written
    }

    fn describe(&self) -> io::Result<()> {
        let formats = self.events.iter().copied().chain(["ftrace/print"]).map(|event| format!("events/{event}/format"));
        for name in formats.chain(TEXTS.map(str::to_owned)) {
            // The top folder has what an instance lacks.
            let top = self.instance.dir.ancestors().nth(2).map(|top| top.join(&name));
            let text = read_at_once(&self.instance.dir.join(&name)).or_else(|error| top.map_or(Err(error), |top| read_at_once(&top)));
            match text {
                Ok(text) => put(&self.ring.join(&name), &text)?,
                Err(error) if TEXTS.contains(&name.as_str()) && error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn join(&mut self) -> Vec<io::Result<()>> {
        self.is_over.store(true, Ordering::Relaxed);
        let ended = self.copiers.drain(..).map(|copier| copier.join().unwrap_or_else(|_| Err(io::Error::other("a copier panicked"))));
        ended.collect()
    }
}

impl Drop for Drain {
    /// Their files have to be closed before the instance can go.
    fn drop(&mut self) {
        self.join();
    }
}

fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, content)
}

/// Copies sub-buffers until it is over and none are left.
fn copy(mut from: impl Read, mut to: impl Write, is_over: &AtomicBool) -> io::Result<()> {
    let mut bytes = vec![0; STEP_BYTES + MOST_PAGE_BYTES];
    let mut filled = 0;
    loop {
        let was_over = is_over.load(Ordering::Relaxed);
        match from.read(&mut bytes[filled..]) {
            Ok(0) => {}
            Ok(read) => {
                filled += read;
                if filled >= STEP_BYTES {
                    to.write_all(&bytes[..filled])?;
                    filled = 0;
                }
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if was_over {
            to.write_all(&bytes[..filled])?;
            return to.flush();
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a page, then nothing, then a page that came late.
    struct Buffer(Vec<Option<u8>>);

    impl Read for Buffer {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            match self.0.pop().flatten() {
                Some(byte) => {
                    to[..4096].fill(byte);
                    Ok(4096)
                }
                None => Err(io::ErrorKind::WouldBlock.into()),
            }
        }
    }

    #[test]
    fn pages_are_copied_whole_and_to_the_last() {
        let mut out = Vec::new();
        let pages: Vec<Option<u8>> = (0..200).map(|byte| Some(byte as u8)).collect();
        copy(Buffer(pages.iter().copied().rev().collect()), &mut out, &AtomicBool::new(true)).unwrap();
        let expected: Vec<u8> = (0..200_u32).flat_map(|byte| [byte as u8; 4096]).collect();
        assert!(out == expected);
    }
}
