//! Writes small perf.data files for tests, from the description of the format and independent of the
//! reader: it shares no code with it, so that a misreading in one does not hide one in the other.

use super::records::{Format, Machine};

/// How the file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    File,
    /// `perf record -o -`; the number after TRACING_DATA counts its padding, as it does today, or not.
    Pipe {
        counts_padding: bool,
    },
}

/// How records of the data are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    /// PERF_RECORD_COMPRESSED, each of this many bytes before compression.
    Zstd(usize),
    /// PERF_RECORD_COMPRESSED2.
    Zstd2(usize),
}

pub(crate) const IP: u64 = 1 << 0;
pub(crate) const TID: u64 = 1 << 1;
pub(crate) const TIME: u64 = 1 << 2;
pub(crate) const ID: u64 = 1 << 6;
pub(crate) const CPU: u64 = 1 << 7;
pub(crate) const PERIOD: u64 = 1 << 8;
pub(crate) const RAW: u64 = 1 << 10;
pub(crate) const IDENTIFIER: u64 = 1 << 16;

/// What `perf record -a -R` sets for several tracepoints.
pub(crate) const USUAL: u64 = IP | TID | TIME | CPU | PERIOD | RAW | IDENTIFIER;

/// One recorded event (an attr).
#[derive(Debug, Clone)]
pub(crate) struct Attr {
    /// 2 for tracepoints.
    pub(crate) kind: u32,
    pub(crate) config: u64,
    pub(crate) period: u64,
    pub(crate) sample_type: u64,
    pub(crate) sample_id_all: bool,
    pub(crate) clock: Option<u32>,
    pub(crate) name: &'static str,
    pub(crate) ids: Vec<u64>,
}

impl Attr {
    pub(crate) fn tracepoint(config: u16, ids: &[u64]) -> Self {
        let ids = ids.to_vec();
        Self { kind: 2, config: config.into(), period: 1, sample_type: USUAL, sample_id_all: true, clock: None, name: "t:n", ids }
    }

    /// 128 bytes, as perf 6 writes them.
    pub(crate) fn bytes(&self, machine: Machine) -> Vec<u8> {
        let mut bytes = vec![0; 128];
        let mut put = |at: usize, value: u64, size: usize| bytes[at..at + size].copy_from_slice(&machine.number(value, size));
        put(0, self.kind.into(), 4);
        put(4, 128, 4);
        put(8, self.config, 8);
        put(16, self.period, 8);
        put(24, self.sample_type, 8);
        let flags = u64::from(self.sample_id_all) << 18 | u64::from(self.clock.is_some()) << 25;
        put(40, if machine.big { flags.reverse_bits() } else { flags }, 8);
        put(92, self.clock.unwrap_or(0).into(), 4);
        bytes
    }
}

/// A record with its header.
pub(crate) fn record(machine: Machine, kind: u32, body: &[u8]) -> Vec<u8> {
    let header = [machine.number(kind.into(), 4), machine.number(0, 2), machine.number(body.len() as u64 + 8, 2)];
    [header.concat(), body.to_vec()].concat()
}

/// A sample with the fields of `sample_type`; raw data is padded with rubbish as the kernel does.
pub(crate) fn sample(machine: Machine, sample_type: u64, id: u64, cpu: u32, time: u64, raw: &[u8]) -> Vec<u8> {
    let u64 = |value: u64| machine.number(value, 8);
    let pair = |first: u64, second: u64| [machine.number(first, 4), machine.number(second, 4)].concat();
    let fields = [
        (IDENTIFIER, u64(id)),
        (IP, u64(0xffff_ffff_8123_4567)),
        (TID, pair(7, 0xffff_ffff)),
        (TIME, u64(time)),
        (ID, u64(id)),
        (CPU, pair(cpu.into(), 0)),
        (PERIOD, u64(1)),
    ];
    let mut body: Vec<u8> = fields.into_iter().filter(|(bit, _)| sample_type & bit != 0).flat_map(|(_, bytes)| bytes).collect();
    if sample_type & RAW != 0 {
        let bytes = (4 + raw.len()).next_multiple_of(8) - 4;
        body.extend(machine.number(bytes as u64, 4));
        body.extend(raw);
        body.resize(body.len() + bytes - raw.len(), 0xdd);
    }
    record(machine, 9, &body)
}

/// The end of a record that is no sample, for [`USUAL`] events.
pub(crate) fn trailer(machine: Machine, id: u64, cpu: u32, time: u64) -> Vec<u8> {
    let halves = [machine.number(7, 4), machine.number(7, 4), machine.number(time, 8), machine.number(cpu.into(), 4), vec![0; 4]];
    [halves.concat(), machine.number(id, 8)].concat()
}

/// PERF_RECORD_LOST.
pub(crate) fn lost(machine: Machine, id: u64, cpu: u32, time: u64, count: u64) -> Vec<u8> {
    record(machine, 2, &[machine.number(id, 8), machine.number(count, 8), trailer(machine, id, cpu, time)].concat())
}

/// PERF_RECORD_FINISHED_ROUND.
pub(crate) fn round(machine: Machine) -> Vec<u8> {
    record(machine, 68, &[])
}

/// A whole file.
#[derive(Debug, Clone)]
pub(crate) struct PerfFile {
    pub(crate) machine: Machine,
    pub(crate) mode: Mode,
    pub(crate) packing: Packing,
    pub(crate) formats: Vec<Format>,
    pub(crate) attrs: Vec<Attr>,
    /// Feature number and content, beside formats and event names.
    pub(crate) features: Vec<(u32, Vec<u8>)>,
    /// Rounds of records; those of a round are compressed together.
    pub(crate) rounds: Vec<Vec<Vec<u8>>>,
}

/// A file's bytes, with the offsets at which a part begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) parts: Vec<usize>,
}

impl Written {
    fn part(&mut self, bytes: &[u8]) {
        self.parts.push(self.bytes.len());
        self.bytes.extend(bytes);
    }
}

impl PerfFile {
    pub(crate) fn new(machine: Machine, formats: Vec<Format>, attrs: Vec<Attr>, rounds: Vec<Vec<Vec<u8>>>) -> Self {
        let mut file = Self { machine, mode: Mode::File, packing: Packing::Plain, formats, attrs, features: Vec::new(), rounds };
        let cpus = [file.u32(4), file.u32(2)].concat();
        let words: Vec<u8> = ["perf", "record", "-a", "-R"].iter().flat_map(|word| file.text(word)).collect();
        let node = [file.u32(0), file.u64(1 << 30), file.u64(1 << 29), file.text("0-1,3")].concat();
        file.features = vec![
            (3, file.text("host")),
            (4, file.text("6.12.0-test")),
            (7, cpus),
            (11, [file.u32(4), words].concat()),
            (14, [file.u32(1), node].concat()),
        ];
        file
    }

    fn u32(&self, value: u64) -> Vec<u8> {
        self.machine.number(value, 4)
    }

    fn u64(&self, value: u64) -> Vec<u8> {
        self.machine.number(value, 8)
    }

    /// A text of a feature: its padded size, then the text.
    pub(crate) fn text(&self, text: &str) -> Vec<u8> {
        let bytes = (text.len() + 1).next_multiple_of(64);
        let mut padded = [self.u32(bytes as u64), text.as_bytes().to_vec()].concat();
        padded.resize(4 + bytes, 0);
        padded
    }

    fn sized(&self, text: &str) -> Vec<u8> {
        [self.u64(text.len() as u64), text.as_bytes().to_vec()].concat()
    }

    /// The block that describes the formats.
    pub(crate) fn tracing_data(&self) -> Vec<u8> {
        let long = self.machine.long;
        let header_page = format!(
            "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:{long};\tsigned:1;\n\
             \tfield: char data;\toffset:{};\tsize:{};\tsigned:1;\n",
            8 + long,
            4088 - long
        );
        let mut out = b"\x17\x08\x44tracing0.6\0".to_vec();
        out.extend([u8::from(self.machine.big), long as u8]);
        out.extend([self.u32(4096), b"header_page\0".to_vec(), self.sized(&header_page), b"header_event\0".to_vec()].concat());
        out.extend(self.sized("# compressed entry header\n"));
        let texts = |system: &str| self.formats.iter().filter(|format| format.system == system).map(Format::text).collect::<Vec<_>>();
        let ftrace = texts("ftrace");
        out.extend(self.u32(ftrace.len() as u64));
        ftrace.iter().for_each(|text| out.extend(self.sized(text)));
        let mut systems: Vec<&str> = self.formats.iter().map(|format| format.system).filter(|system| *system != "ftrace").collect();
        systems.dedup();
        out.extend(self.u32(systems.len() as u64));
        for system in systems {
            let texts = texts(system);
            out.extend([system.as_bytes(), b"\0", &self.u32(texts.len() as u64)].concat());
            texts.iter().for_each(|text| out.extend(self.sized(text)));
        }
        // No symbols, no printk formats, one command line.
        out.extend([self.u32(0), self.u32(0), self.sized("1 init\n")].concat());
        out
    }

    fn event_desc(&self) -> Vec<u8> {
        let mut out = [self.u32(self.attrs.len() as u64), self.u32(128)].concat();
        for attr in &self.attrs {
            out.extend([attr.bytes(self.machine), self.u32(attr.ids.len() as u64), self.text(attr.name)].concat());
            attr.ids.iter().for_each(|id| out.extend(self.u64(*id)));
        }
        out
    }

    /// All features, by rising number.
    fn all_features(&self) -> Vec<(u32, Vec<u8>)> {
        let mut all = self.features.clone();
        all.extend([(1, self.tracing_data()), (12, self.event_desc())]);
        all.sort_by_key(|(number, _)| *number);
        all
    }

    pub(crate) fn write(&self) -> Written {
        match self.mode {
            Mode::File => self.write_file(),
            Mode::Pipe { counts_padding } => self.write_pipe(counts_padding),
        }
    }

    fn magic(&self) -> Vec<u8> {
        if self.machine.big { b"2ELIFREP".to_vec() } else { b"PERFILE2".to_vec() }
    }

    fn write_file(&self) -> Written {
        let mut file = Written::default();
        let ids_at = 104_u64;
        let ids: Vec<u8> = self.attrs.iter().flat_map(|attr| &attr.ids).flat_map(|id| self.u64(*id)).collect();
        let attrs_at = ids_at + ids.len() as u64;
        let mut attrs = Vec::new();
        let mut at = ids_at;
        for attr in &self.attrs {
            let bytes = 8 * attr.ids.len() as u64;
            attrs.extend([attr.bytes(self.machine), self.u64(at), self.u64(bytes)].concat());
            at += bytes;
        }
        let mut data = Written::default();
        self.data(&mut data);
        let data_at = attrs_at + attrs.len() as u64;
        let features = self.all_features();
        let mut bitmap = [0_u64; 4];
        features.iter().for_each(|(number, _)| bitmap[*number as usize / 64] |= 1 << (number % 64));
        let sections = [attrs_at, attrs.len() as u64, data_at, data.bytes.len() as u64, 0, 0];
        let numbers: Vec<u8> = [104, 144].iter().chain(&sections).chain(&bitmap).flat_map(|number| self.u64(*number)).collect();
        file.part(&[self.magic(), numbers].concat());
        file.part(&ids);
        file.part(&attrs);
        file.parts.extend(data.parts.iter().map(|part| part + file.bytes.len()));
        file.bytes.extend(data.bytes);
        let mut at = (file.bytes.len() + 16 * features.len()) as u64;
        for (_, content) in &features {
            file.part(&[self.u64(at), self.u64(content.len() as u64)].concat());
            at += content.len() as u64;
        }
        features.iter().for_each(|(_, content)| file.part(content));
        file
    }

    fn write_pipe(&self, counts_padding: bool) -> Written {
        let mut file = Written::default();
        let machine = self.machine;
        file.part(&[self.magic(), self.u64(16)].concat());
        for attr in &self.attrs {
            let ids: Vec<u8> = attr.ids.iter().flat_map(|id| self.u64(*id)).collect();
            file.part(&record(machine, 64, &[attr.bytes(machine), ids].concat()));
            if let Some(id) = attr.ids.first() {
                let mut name = attr.name.as_bytes().to_vec();
                name.resize((name.len() + 1).next_multiple_of(8), 0);
                file.part(&record(machine, 78, &[self.u64(2), self.u64(*id), name].concat()));
            }
        }
        for (number, content) in &self.features {
            file.part(&record(machine, 80, &[self.u64(u64::from(*number)), content.clone()].concat()));
        }
        let mut formats = self.tracing_data();
        let bytes = formats.len();
        formats.resize(bytes.next_multiple_of(8), 0);
        let counted = if counts_padding { formats.len() } else { bytes };
        file.part(&record(machine, 66, &[self.u32(counted as u64), self.u32(0)].concat()));
        file.part(&formats);
        self.data(&mut file);
        file
    }

    fn data(&self, file: &mut Written) {
        let mut encoder = zstd::stream::raw::Encoder::new(1).unwrap();
        for records in &self.rounds {
            match self.packing {
                Packing::Plain => records.iter().for_each(|record| file.part(record)),
                Packing::Zstd(bytes) | Packing::Zstd2(bytes) => {
                    for chunk in records.concat().chunks(bytes) {
                        self.packed(&mut encoder, chunk, file);
                    }
                }
            }
            file.part(&round(self.machine));
        }
    }

    /// One compressed record: the stream goes on, flushed.
    fn packed(&self, encoder: &mut zstd::stream::raw::Encoder<'_>, chunk: &[u8], file: &mut Written) {
        use zstd::stream::raw::{InBuffer, Operation, OutBuffer};
        let mut data = vec![0; 2 * chunk.len() + 1024];
        let mut input = InBuffer::around(chunk);
        let mut output = OutBuffer::around(&mut data[..]);
        while input.pos() < chunk.len() {
            encoder.run(&mut input, &mut output).unwrap();
        }
        while encoder.flush(&mut output).unwrap() > 0 {}
        let bytes = output.pos();
        data.truncate(bytes);
        if matches!(self.packing, Packing::Zstd(_)) {
            return file.part(&record(self.machine, 81, &data));
        }
        data.resize(bytes.next_multiple_of(8), 0xdd);
        file.part(&record(self.machine, 83, &[self.u64(bytes as u64), data].concat()));
    }
}
