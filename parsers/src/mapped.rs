//! Memory-mapped files that survive being truncated while they are read; and advice on memory.
//!
//! Touching a page of a mapping beyond the file's new end raises `SIGBUS`, which by default kills the
//! process. Here a handler puts a page of zeroes in its place and notes it; whoever reads a
//! [`MappedFile`] asks [`MappedFile::check`] at the end and gets [`TraceError::Shrank`].
//!
//! This is the only module of the crate with unsafe code.

#![allow(unsafe_code, reason = "mmap and a signal handler have no safe interface")]

use std::fs::File;
use std::io::Read;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use memmap2::Mmap;

use crate::error::TraceError;

/// A file's content, mapped read-only.
#[derive(Debug)]
pub struct MappedFile {
    path: PathBuf,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Mapped {
        map: Mmap,
        slot: &'static Slot,
        file: File,
    },
    /// Empty files cannot be mapped, and with every slot taken a mapping could not be guarded.
    Read(Vec<u8>),
}

impl MappedFile {
    /// Maps a regular file.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or mapped, or is not a regular file.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        Self::of(File::open(path).map_err(|error| TraceError::io(path, "cannot open", error))?, path)
    }

    /// Maps a regular file that is open already; `path` names it in messages.
    pub(crate) fn of(file: File, path: &Path) -> Result<Self, TraceError> {
        let metadata = file.metadata().map_err(|error| TraceError::io(path, "cannot look at", error))?;
        if !metadata.is_file() {
            let kind = if metadata.is_dir() { "a directory" } else { "not a regular file" };
            return Err(TraceError::Unsupported { path: path.to_owned(), what: format!("{kind}; expected a trace file") });
        }
        let content = if metadata.len() == 0 { Content::Read(Vec::new()) } else { map(file, path)? };
        Ok(Self { path: path.to_owned(), content })
    }

    /// Bytes that are in memory already, as if they had been read from `path`.
    #[must_use]
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Self {
        Self { path: path.to_owned(), content: Content::Read(bytes) }
    }

    /// Tells the kernel that a range of bytes is not needed for now: its pages no longer count as this process's memory.
    /// They are read from the file again if they are touched.
    pub(crate) fn release(&self, range: std::ops::Range<usize>) {
        let Content::Mapped { map, .. } = &self.content else { return };
        let end = range.end.min(map.len());
        let Some(bytes) = end.checked_sub(range.start).filter(|&bytes| bytes > 0) else { return };
        // SAFETY: the mapping is read-only and of a file, so dropped pages come back with the file's content; bytes borrowed from it stay mapped.
        let advised = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, bytes) };
        // Advice that is refused costs memory, nothing else.
        drop(advised);
    }

    /// Gets a range of bytes into memory with one call instead of a fault for every few pages.
    pub(crate) fn populate(&self, range: std::ops::Range<usize>) {
        let Content::Mapped { map, .. } = &self.content else { return };
        let bytes = range.end.min(map.len()).saturating_sub(range.start);
        // Kernels before 5.14 refuse, and so does a file that shrank: then faults do it, or tell.
        let _ = map.advise_range(memmap2::Advice::PopulateRead, range.start, bytes);
    }

    /// Path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if any byte read so far may have come from beyond the file's end.
    ///
    /// # Errors
    ///
    /// [`TraceError::Shrank`] if the file was truncated.
    pub fn check(&self) -> Result<(), TraceError> {
        let Content::Mapped { map, slot, file } = &self.content else { return Ok(()) };
        // What is missing of the page in which the file ends now reads as zeroes without a signal, so
        // the handler alone does not see every truncation.
        let is_shorter = file.metadata().is_ok_and(|metadata| metadata.len() < map.len() as u64);
        // ORDERING: Acquire pairs with the handler's Release; a reader on another thread has been
        // joined by now, so its faults happen before this load either way.
        if is_shorter || slot.hit.load(Ordering::Acquire) {
            return Err(TraceError::Shrank { path: self.path.clone(), mapped_bytes: map.len() as u64 });
        }
        Ok(())
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.content {
            Content::Mapped { map, .. } => map,
            Content::Read(bytes) => bytes,
        }
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        if let Content::Mapped { slot, .. } = &self.content {
            slot.release();
        }
    }
}

/// Asks for huge pages under elements that are about to be filled in: one fault for 2 MiB instead of 512 of them.
///
/// All pages are advised on that the elements touch: a mapping of which only a part is cannot be moved as a whole when it grows.
pub(crate) fn prefer_huge_pages<T>(elements: &mut Vec<T>) {
    /// Below this it is not worth a call.
    const LEAST_BYTES: usize = 4 << 20;
    let start = elements.as_mut_ptr().cast::<libc::c_void>();
    let page_bytes = page_bytes();
    let before = start.addr() % page_bytes;
    let bytes = (before + elements.capacity() * size_of::<T>()).next_multiple_of(page_bytes);
    if bytes >= LEAST_BYTES {
        // SAFETY: advice changes no byte of these pages, whoever else has something in the first and the last of them.
        let advised = unsafe { libc::madvise(start.wrapping_byte_sub(before), bytes, libc::MADV_HUGEPAGE) };
        // Advice that is refused costs time, nothing else.
        let _ = advised;
    }
}

/// Makes room for `more` elements, as pushing them would, in huge pages if it is a lot.
pub(crate) fn reserve_huge<T>(elements: &mut Vec<T>, more: usize) {
    if elements.capacity() - elements.len() < more {
        elements.reserve(more);
        prefer_huge_pages(elements);
    }
}

fn page_bytes() -> usize {
    // SAFETY: sysconf is async-signal-safe and has no preconditions.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

fn map(file: File, path: &Path) -> Result<Content, TraceError> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(install_handler);
    let Some(slot) = Slot::claim() else {
        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes).map_err(|error| TraceError::io(path, "cannot read", error))?;
        return Ok(Content::Read(bytes));
    };
    // SAFETY: nothing here writes to the mapping. Another process may still change the bytes under us; everything read from them is treated as untrusted, and a truncation is caught by the handler.
    match unsafe { Mmap::map(&file) } {
        Ok(map) => {
            slot.cover(map.as_ptr().addr(), map.len());
            Ok(Content::Mapped { map, slot, file })
        }
        Err(error) => {
            slot.release();
            Err(TraceError::io(path, "cannot map", error))
        }
    }
}

/// One guarded address range. `end` 0: free, 1: claimed but covering nothing yet.
#[derive(Debug)]
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
    hit: AtomicBool,
}

const UNUSED: usize = 0;
const CLAIMED: usize = 1;
static SLOTS: [Slot; 32] = [const { Slot { start: AtomicUsize::new(0), end: AtomicUsize::new(UNUSED), hit: AtomicBool::new(false) } }; 32];

impl Slot {
    fn claim() -> Option<&'static Self> {
        let free = |slot: &&Slot| {
            // ORDERING: Acquire pairs with the Release in `release`, so that the previous owner's
            // writes to `start` and `hit` come before ours.
            slot.end.compare_exchange(UNUSED, CLAIMED, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let slot = SLOTS.iter().find(free)?;
        slot.hit.store(false, Ordering::Relaxed);
        Some(slot)
    }

    fn cover(&self, start: usize, bytes: usize) {
        self.start.store(start, Ordering::Relaxed);
        // ORDERING: Release publishes `start` to the handler's Acquire load of `end`.
        self.end.store(start.saturating_add(bytes), Ordering::Release);
    }

    fn release(&self) {
        // ORDERING: Release; see `claim`. The mapping is dropped after this: its last read has happened.
        self.end.store(UNUSED, Ordering::Release);
    }

    /// The end of the guarded range, if the address is in it.
    fn end_around(&self, address: usize) -> Option<usize> {
        // ORDERING: Acquire pairs with `cover`; the second load must not come before that of `start`.
        let end = self.end.load(Ordering::Acquire);
        let start = self.start.load(Ordering::Acquire);
        // Another thread may have given the slot to another mapping in between.
        let is_same = self.end.load(Ordering::Relaxed) == end;
        (is_same && (start..end).contains(&address)).then_some(end)
    }
}

fn install_handler() {
    // SAFETY: an all-zero `sigaction` is a valid value of this C struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_sigbus as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: both pointers are valid for the call; the handler below only does what signal handlers may.
    unsafe { libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut()) };
}

/// Replaces the vanished (or unreadable) end of a guarded mapping by zeroes; any other `SIGBUS` stays fatal.
extern "C" fn on_sigbus(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid `siginfo_t`.
    let info = unsafe { &*info };
    // Only a fault has an address; a signal that was sent has the sender in its place.
    let is_fault = info.si_code == libc::BUS_ADRERR;
    // SAFETY: the address field is set for faults, and plain memory otherwise.
    let address = unsafe { info.si_addr() }.addr();
    let guarded = SLOTS.iter().find_map(|slot| Some((slot, slot.end_around(address)?))).filter(|_| is_fault);
    let Some((slot, end)) = guarded else {
        // SAFETY: resetting a signal to its default is async-signal-safe. Returning repeats a faulting
        // access, which now kills the process as it would have without us; a signal that was sent is
        // swallowed, and the next one kills.
        unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
        return;
    };
    let page_bytes = page_bytes();
    let start = address & !(page_bytes - 1);
    let page = std::ptr::with_exposed_provenance_mut::<libc::c_void>(start);
    // Whatever follows the first missing page is missing too: one signal for all of it, not one each.
    let bytes = end.next_multiple_of(page_bytes) - start;
    // SAFETY: the pages lie in a mapping that a live `MappedFile` owns, so replacing them touches nobody
    // else's memory; mmap is a plain system call and safe in a handler.
    let mapped = unsafe { libc::mmap(page, bytes, libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED, -1, 0) };
    if mapped == libc::MAP_FAILED {
        // SAFETY: as above; without memory for a page the process cannot go on.
        unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
        return;
    }
    // ORDERING: Release pairs with the Acquire in `check`.
    slot.hit.store(true, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_file_reads_as_zeroes_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shrinks");
        std::fs::write(&path, vec![7_u8; 64 * 1024]).unwrap();
        let mapped = MappedFile::open(&path).unwrap();
        assert_eq!(mapped[0], 7);
        mapped.check().unwrap();
        File::options().write(true).open(&path).unwrap().set_len(4096).unwrap();
        assert_eq!(mapped[60 * 1024], 0);
        assert!(matches!(mapped.check(), Err(TraceError::Shrank { mapped_bytes: 65536, .. })));
    }

    #[test]
    fn a_directory_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let error = MappedFile::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("a directory; expected a trace file"), "{error}");
    }

    #[test]
    fn slots_are_returned() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"x").unwrap();
        for _ in 0..1000 {
            assert!(matches!(MappedFile::open(&path).unwrap().content, Content::Mapped { .. }));
        }
    }
}
