//! Raw pages of the ring buffer, as tracefs gives them: a directory with one file per CPU, and the event formats.
//!
//! | file in the directory | what it is | needed |
//! |---|---|---|
//! | `per_cpu/cpuN/trace_pipe_raw`, `cpuN/trace_pipe_raw`, `cpuN.raw` or `cpuN` | what was read from `trace_pipe_raw` of CPU N | at least one |
//! | `events/header_page` | the layout of sub-buffers | yes |
//! | `events/SYSTEM/EVENT/format` | the fields of each event, with its number; those of `kmem` for a replay, `ftrace/print` for markers | those of `kmem` |
//! | `trace_clock` | the clock of the time stamps | no |
//! | `saved_cmdlines` | names of threads | no |
//! | `per_cpu/cpuN/stats` | what the buffer counted, losses among it | no |
//! | `uname` | the kernel, as `uname -a` tells | no |
//!
//! Everything else that tracefs has, such as `events/header_event` and `printk_formats`, may be there and is not needed. The files of CPUs are read as
//! they are, not unpacked. No file says in which byte order numbers are: the data shows it.
//!
//! | module | what it is for |
//! |---|---|
//! | `files` | which files are there, and the byte order of their data |
//! | `formats` | the texts under `events` |

mod files;
mod formats;

use std::path::{Path, PathBuf};

use crate::blocks::Blocks;
use crate::error::TraceError;
use crate::mapped::MappedFile;
use crate::recording::{Accounting, Info, Pointers, Recording};
use crate::ring::Layout;
use crate::stream::EventSource;
use crate::subbuffers::compression::Codec;
use crate::subbuffers::decode::decode;
use crate::subbuffers::span::{CpuData, Span, Spans};
use crate::subbuffers::stream::Stream;
use crate::subbuffers::texts::{chosen_clock, overruns};
use crate::subbuffers::{ClockTerms, Container, Terms};
use crate::tasks;

/// A directory of raw ring-buffer pages, opened and understood up to the pages themselves.
#[derive(Debug)]
pub struct RingDump {
    cpus: Vec<CpuFile>,
    blocks: Blocks,
    layout: Layout,
    clock: String,
    /// "sysname nodename release …", or empty.
    uname: String,
    ring_overruns: u64,
    remarks: Vec<String>,
}

/// The pages of one CPU.
#[derive(Debug)]
struct CpuFile {
    cpu: u16,
    file: MappedFile,
}

/// True if a directory looks like a dump: it has pages of a CPU, or the description of such pages.
#[must_use]
pub fn is_ring_dump(dir: &Path) -> bool {
    dir.is_dir() && (dir.join("events/header_page").is_file() || files::has_cpus(dir))
}

impl RingDump {
    /// Opens a directory and reads the formats in it.
    ///
    /// # Errors
    ///
    /// If a file that is needed is missing (see [the table](self)), cannot be read, or a text is damaged.
    pub fn open(dir: &Path) -> Result<Self, TraceError> {
        let files::Found { cpus, remarks } = files::find(dir)?;
        let mut blocks = formats::read(dir)?;
        if let Some(text) = formats::optional(&dir.join("saved_cmdlines"))? {
            tasks::parse(&text, &mut blocks.tasks);
        }
        let unsupported = |what: String| TraceError::Unsupported { path: dir.to_owned(), what };
        if cpus.is_empty() {
            return Err(unsupported(format!("there are formats of events, but no pages of a CPU; expected {}", files::EXPECTED)));
        }
        if cpus.iter().all(|cpu| cpu.file.is_empty()) && dir.join("tracing_on").exists() {
            let what = "this is tracefs itself, whose buffers can be read once only; expected a folder of copies".to_owned();
            return Err(unsupported(what));
        }
        let mut layout = Layout { long_bytes: blocks.header_page.long_bytes, big_endian: false };
        layout.big_endian = files::is_big_endian(&cpus, layout, blocks.header_page.sub_buffer_bytes);
        let text = |path: PathBuf| formats::optional(&path).map(|text| String::from_utf8_lossy(&text.unwrap_or_default()).into_owned());
        let mut lost = 0_u64;
        for cpu in &cpus {
            lost = lost.saturating_add(overruns(&text(dir.join(format!("per_cpu/cpu{}/stats", cpu.cpu)))?));
        }
        Ok(Self {
            cpus,
            blocks,
            layout,
            clock: chosen_clock(&text(dir.join("trace_clock"))?),
            uname: text(dir.join("uname"))?,
            ring_overruns: lost,
            remarks,
        })
    }

    /// Decodes all events, on as many threads as rayon's pool has.
    ///
    /// `progress` is told of bytes of input that were dealt with.
    ///
    /// # Errors
    ///
    /// If a file shrank.
    pub fn decode(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<Recording, TraceError> {
        let recording = decode(self, progress);
        self.check()?;
        Ok(recording)
    }

    /// Decodes events a batch at a time, in bounded memory.
    pub fn stream<'a>(&'a self, progress: &'a (dyn Fn(u64) + Sync)) -> impl EventSource + 'a {
        Stream::new(self, progress)
    }

    /// Bytes of all CPUs' pages, on which [`RingDump::decode`] will report progress.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.cpus.iter().map(|cpu| cpu.file.len() as u64).sum()
    }
}

impl<'a> Container<'a> for &'a RingDump {
    fn terms(&self) -> Terms {
        Terms {
            layout: self.layout,
            sub_buffer_bytes: self.blocks.header_page.sub_buffer_bytes,
            codec: Codec::None,
            clock: ClockTerms::default(),
        }
    }

    fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    fn spans(&self, accounting: &mut Accounting) -> Spans<'a> {
        let dump: &'a RingDump = self;
        let mut spans = Spans::default();
        for CpuFile { cpu, file } in &dump.cpus {
            let data = CpuData { cpu: *cpu, offset: 0, bytes: file.len() as u64 };
            spans.push_plain(data, file, dump.blocks.header_page.sub_buffer_bytes, accounting);
        }
        spans
    }

    fn info(&self, seen: Option<u16>) -> Info {
        let word = |number: usize| self.uname.split_whitespace().nth(number).unwrap_or_default().to_owned();
        let last = self.cpus.iter().map(|cpu| cpu.cpu).max().max(seen);
        Info {
            format: "raw ring buffer pages".to_owned(),
            kernel: word(2),
            hostname: word(1),
            cpus: last.map_or(0, |cpu| u32::from(cpu) + 1),
            clock: self.clock.clone(),
            long_bytes: self.layout.long_bytes as u8,
            big_endian: self.layout.big_endian,
            pointers: Pointers::Real,
            ..Info::default()
        }
    }

    fn ring_overruns(&self) -> u64 {
        self.ring_overruns
    }

    fn remark(&self, remarks: &mut Vec<String>) {
        remarks.extend_from_slice(&self.remarks);
        self.blocks.remark(remarks);
    }

    fn release(&self, job: &[Span<'_>]) {
        if let (Some(first), Some(last)) = (job.first(), job.last())
            && let Some(cpu) = self.cpus.iter().find(|cpu| cpu.cpu == first.cpu)
        {
            cpu.file.release(first.start()..last.end());
        }
    }

    fn check(&self) -> Result<(), TraceError> {
        self.cpus.iter().try_for_each(|cpu| cpu.file.check())
    }
}
