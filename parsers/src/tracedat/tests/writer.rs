//! Writes small trace.dat files for tests, from the description of the format and independent of the
//! reader: it shares no code with it, so that a misreading in one does not hide one in the other.

use super::records::{Format, Machine, Page};

/// Compression of a version 7 file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    None,
    Zlib,
    Zstd,
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
        }
    }

    pub(crate) fn pack(self, plain: &[u8]) -> Vec<u8> {
        match self {
            Self::None => plain.to_vec(),
            Self::Zlib => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                std::io::Write::write_all(&mut encoder, plain).unwrap();
                encoder.finish().unwrap()
            }
            // As trace-cmd does, without the content size in the frame.
            Self::Zstd => {
                let mut encoder = zstd::bulk::Compressor::new(1).unwrap();
                encoder.include_contentsize(false).unwrap();
                encoder.compress(plain).unwrap()
            }
        }
    }
}

/// One ring buffer: the top one (empty name) or an instance.
#[derive(Debug, Clone)]
pub(crate) struct Buffer {
    pub(crate) name: &'static str,
    pub(crate) clock: &'static str,
    pub(crate) page_bytes: usize,
    pub(crate) cpus: Vec<(u32, Vec<Page>)>,
}

impl Buffer {
    pub(crate) fn new(name: &'static str, page_bytes: usize, cpus: Vec<(u32, Vec<Page>)>) -> Self {
        Self { name, clock: "local", page_bytes, cpus }
    }

    fn data(&self, machine: Machine, cpu: u32) -> Vec<u8> {
        let pages = self.cpus.iter().filter(|(number, _)| *number == cpu).flat_map(|(_, pages)| pages);
        pages.flat_map(|page| page.bytes(machine, self.page_bytes)).collect()
    }
}

/// The clock text behind a version 6 CPU table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockText {
    /// Option and text.
    Present(&'static str),
    /// The option, but a text whose claimed length is beyond the file.
    Damaged,
    /// No option and no text.
    Absent,
}

/// A whole file.
#[derive(Debug, Clone)]
pub(crate) struct TraceFile {
    pub(crate) version: u8,
    pub(crate) machine: Machine,
    /// "Long size" of the writing program, which says nothing of the kernel.
    pub(crate) writer_long: u8,
    pub(crate) page_bytes: usize,
    pub(crate) header_page: Option<String>,
    pub(crate) formats: Vec<Format>,
    /// More format texts: system and text.
    pub(crate) more_formats: Vec<(&'static str, String)>,
    /// Options beside buffers, clock and sections.
    pub(crate) options: Vec<(u16, Vec<u8>)>,
    pub(crate) buffers: Vec<Buffer>,
    /// Version 6: CPUs in the table.
    pub(crate) cpu_count: u32,
    /// Version 6: no option list at all.
    pub(crate) without_options: bool,
    pub(crate) clock: ClockText,
    /// Version 6: text of the kernel's `trace` file instead of records.
    pub(crate) latency: bool,
    pub(crate) codec: Codec,
    /// Version 7: sub-buffers in a chunk.
    pub(crate) chunk_pages: usize,
    /// Version 7: per-CPU sizes 4 bytes too small, as before trace-cmd 3.2.
    pub(crate) size_quirk: bool,
    /// Version 7: recording cut short: offset of the first OPTIONS section is 0.
    pub(crate) unfinished: bool,
    /// Version 7: the last OPTIONS section points at the first.
    pub(crate) looped: bool,
}

/// A file's bytes, with the offsets at which a part begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) parts: Vec<usize>,
}

impl TraceFile {
    pub(crate) fn new(version: u8, machine: Machine, formats: Vec<Format>, buffers: Vec<Buffer>) -> Self {
        let page_bytes = buffers.first().map_or(4096, |buffer| buffer.page_bytes);
        let highest = buffers.iter().flat_map(|buffer| &buffer.cpus).map(|(cpu, _)| cpu + 1).max().unwrap_or(0);
        Self {
            version,
            machine,
            writer_long: 8,
            page_bytes,
            header_page: None,
            formats,
            more_formats: Vec::new(),
            options: vec![(5, b"Linux host 6.12.0-test x86_64\0".to_vec())],
            buffers,
            cpu_count: highest,
            without_options: false,
            clock: ClockText::Present("[local] global mono"),
            latency: false,
            codec: Codec::None,
            chunk_pages: 10,
            size_quirk: false,
            unfinished: false,
            looped: false,
        }
    }

    pub(crate) fn write(&self) -> Written {
        if self.version == 6 { self.write_v6() } else { self.write_v7() }
    }

    fn preamble(&self) -> Vec<u8> {
        let mut out = b"\x17\x08\x44tracing".to_vec();
        out.extend([b'0' + self.version, 0, u8::from(self.machine.big), self.writer_long]);
        out.extend(self.u32(self.page_bytes as u64));
        out
    }

    fn u32(&self, value: u64) -> Vec<u8> {
        self.machine.number(value, 4)
    }

    fn u64(&self, value: usize) -> Vec<u8> {
        self.machine.number(value as u64, 8)
    }

    fn sized(&self, text: &str) -> Vec<u8> {
        [self.u64(text.len()), text.as_bytes().to_vec()].concat()
    }

    fn header_info(&self) -> Vec<u8> {
        let (long, head) = (self.machine.long, 8 + self.machine.long);
        let text = self.header_page.clone().unwrap_or_else(|| {
            format!(
                "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:{long};\tsigned:1;\n\
                 \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\tfield: char data;\toffset:{head};\tsize:{};\tsigned:1;\n",
                self.page_bytes - head
            )
        });
        let event = "# compressed entry header\n\ttype_len    :    5 bits\n\ttime_delta  :   27 bits\n";
        [b"header_page\0".to_vec(), self.sized(&text), b"header_event\0".to_vec(), self.sized(event)].concat()
    }

    fn ftrace_formats(&self) -> Vec<u8> {
        let texts: Vec<String> = self.texts_of("ftrace");
        let mut out = self.u32(texts.len() as u64);
        texts.iter().for_each(|text| out.extend(self.sized(text)));
        out
    }

    fn texts_of(&self, system: &str) -> Vec<String> {
        let more = self.more_formats.iter().filter(|(of, _)| *of == system).map(|(_, text)| text.clone());
        self.formats.iter().filter(|format| format.system == system).map(Format::text).chain(more).collect()
    }

    fn event_formats(&self) -> Vec<u8> {
        let mut systems: Vec<&str> = self.formats.iter().map(|format| format.system).collect();
        systems.extend(self.more_formats.iter().map(|(system, _)| *system));
        systems.retain(|system| *system != "ftrace");
        systems.sort_unstable();
        systems.dedup();
        let mut out = self.u32(systems.len() as u64);
        for system in systems {
            let texts = self.texts_of(system);
            out.extend([system.as_bytes(), b"\0", &self.u32(texts.len() as u64)].concat());
            texts.iter().for_each(|text| out.extend(self.sized(text)));
        }
        out
    }

    fn write_v6(&self) -> Written {
        let mut file = Written { bytes: self.preamble(), parts: vec![0] };
        let symbols = "ffffffff81000000 T _text\n";
        file.part(&self.header_info());
        file.part(&self.ftrace_formats());
        file.part(&self.event_formats());
        file.part(&[self.u32(symbols.len() as u64), symbols.as_bytes().to_vec()].concat());
        file.part(&self.u32(0));
        file.part(&self.sized("1 init\n"));
        file.part(&self.u32(u64::from(self.cpu_count)));
        let mut instance_places = Vec::new();
        if !self.without_options {
            file.part(b"options  \0");
            for (id, payload) in &self.options {
                file.option(self, *id, payload);
            }
            for instance in self.buffers.iter().filter(|buffer| !buffer.name.is_empty()) {
                file.option(self, 3, &[&[0; 8], instance.name.as_bytes(), b"\0"].concat());
                instance_places.push(file.bytes.len() - 9 - instance.name.len());
            }
            if self.clock != ClockText::Absent {
                file.option(self, 4, b"");
            }
            file.bytes.extend([0, 0]); // the end has no size
        }
        if self.latency {
            file.part(b"latency  \0# tracer: irqsoff\n");
            return file;
        }
        let top = self.buffers.iter().find(|buffer| buffer.name.is_empty());
        self.cpu_table(&mut file, top);
        for (instance, place) in self.buffers.iter().filter(|buffer| !buffer.name.is_empty()).zip(instance_places) {
            let at = file.bytes.len();
            file.bytes[place..place + 8].copy_from_slice(&self.u64(at));
            self.cpu_table(&mut file, Some(instance));
        }
        file
    }

    /// `flyrecord`, the table, the clock text and the data of one version 6 buffer.
    fn cpu_table(&self, file: &mut Written, buffer: Option<&Buffer>) {
        file.part(b"flyrecord\0");
        let table = file.bytes.len();
        file.bytes.resize(table + 16 * self.cpu_count as usize, 0);
        match self.clock {
            ClockText::Present(text) if !self.without_options => file.part(&self.sized(text)),
            ClockText::Damaged => file.part(&self.u64(usize::MAX)),
            _ => {}
        }
        let Some(buffer) = buffer else { return };
        for cpu in 0..self.cpu_count {
            let data = buffer.data(self.machine, cpu);
            file.bytes.resize(file.bytes.len().next_multiple_of(self.page_bytes), 0);
            // The offset of an empty CPU is meaningless and may lie past the end.
            let offset = if data.is_empty() { 1 << 40 } else { file.bytes.len() };
            let entry = [self.u64(offset), self.u64(data.len())].concat();
            file.bytes[table + 16 * cpu as usize..][..16].copy_from_slice(&entry);
            file.part(&data);
        }
    }

    fn write_v7(&self) -> Written {
        let mut file = Written { bytes: self.preamble(), parts: vec![0] };
        file.bytes.extend([self.codec.name().as_bytes(), b"\0", b"1.0\0"].concat());
        let first_options_at = file.bytes.len();
        file.bytes.extend([0; 8]);
        let mut sections = Vec::new();
        for (id, content) in [(16, self.header_info()), (17, self.ftrace_formats()), (18, self.event_formats())] {
            sections.push((id, self.u64(self.section(&mut file, id, &content))));
        }
        // The sections in one OPTIONS section, the rest in a second, each buffer in one of its own.
        let mut lists = vec![sections, self.options.clone()];
        for buffer in &self.buffers {
            lists.push(vec![(3, self.buffer_option(&mut file, buffer))]);
        }
        let mut next_at = first_options_at;
        let mut first = None;
        for list in lists {
            let section = self.options_section(&mut file, &list);
            let place = self.u64(if self.unfinished { 0 } else { section });
            file.bytes[next_at..next_at + 8].copy_from_slice(&place);
            next_at = file.bytes.len() - 8;
            first.get_or_insert(section);
        }
        if self.looped {
            file.bytes[next_at..].copy_from_slice(&self.u64(first.unwrap_or(0)));
        }
        file
    }

    fn section_header(&self, id: u16, compressed: bool, bytes: usize) -> Vec<u8> {
        let number = |value: u16| self.machine.number(u64::from(value), 2);
        [number(id), number(u16::from(compressed)), self.u32(0xffff_ffff), self.u64(bytes)].concat()
    }

    fn section(&self, file: &mut Written, id: u16, content: &[u8]) -> usize {
        let at = file.bytes.len();
        if self.codec == Codec::None {
            file.part(&self.section_header(id, false, content.len()));
            file.part(content);
        } else {
            let packed = self.codec.pack(content);
            file.part(&self.section_header(id, true, packed.len() + 8));
            file.part(&[self.u32(packed.len() as u64), self.u32(content.len() as u64), packed].concat());
        }
        at
    }

    fn options_section(&self, file: &mut Written, list: &[(u16, Vec<u8>)]) -> usize {
        let at = file.bytes.len();
        let bytes: usize = list.iter().map(|(_, payload)| 6 + payload.len()).sum();
        file.part(&self.section_header(0, false, bytes + 14));
        for (id, payload) in list {
            file.option(self, *id, payload);
        }
        file.option(self, 0, &[0; 8]);
        at
    }

    /// Writes a buffer's data and returns the option that points to it.
    fn buffer_option(&self, file: &mut Written, buffer: &Buffer) -> Vec<u8> {
        let compressed = self.codec != Codec::None;
        let section = file.bytes.len();
        file.part(&self.section_header(3, compressed, 0));
        let mut entries = Vec::new();
        for (cpu, _) in &buffer.cpus {
            let data = buffer.data(self.machine, *cpu);
            file.bytes.resize(file.bytes.len().next_multiple_of(self.page_bytes), 0);
            let start = file.bytes.len();
            if compressed {
                let chunks: Vec<&[u8]> = data.chunks(self.chunk_pages * buffer.page_bytes).collect();
                file.part(&self.u32(chunks.len() as u64));
                for chunk in chunks {
                    let packed = self.codec.pack(chunk);
                    file.part(&[self.u32(packed.len() as u64), self.u32(chunk.len() as u64), packed].concat());
                }
            } else {
                file.part(&data);
            }
            let bytes = file.bytes.len() - start - if compressed && self.size_quirk { 4 } else { 0 };
            entries.extend([self.u32(u64::from(*cpu)), self.u64(start), self.u64(bytes)].concat());
        }
        let texts = [buffer.name.as_bytes(), b"\0", buffer.clock.as_bytes(), b"\0"].concat();
        let numbers = [self.u32(buffer.page_bytes as u64), self.u32(buffer.cpus.len() as u64)].concat();
        [self.u64(section), texts, numbers, entries].concat()
    }
}

impl Written {
    fn part(&mut self, bytes: &[u8]) {
        self.parts.push(self.bytes.len());
        self.bytes.extend(bytes);
    }

    fn option(&mut self, file: &TraceFile, id: u16, payload: &[u8]) {
        self.part(&file.machine.number(u64::from(id), 2));
        self.bytes.extend(file.u32(payload.len() as u64));
        self.bytes.extend(payload);
    }
}
