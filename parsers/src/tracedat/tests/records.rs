//! Sub-buffers, their records and the payloads in them, as the kernel writes them.

/// Byte order and size of a `long` of the machine that recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) big: bool,
    pub(crate) long: usize,
}

pub(crate) const LITTLE_64: Machine = Machine { big: false, long: 8 };

impl Machine {
    /// The low `size` bytes of a number in the machine's order.
    pub(crate) fn number(self, value: u64, size: usize) -> Vec<u8> {
        let mut bytes = value.to_le_bytes()[..size].to_vec();
        if self.big {
            bytes.reverse();
        }
        bytes
    }
}

/// One record of a sub-buffer.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    /// Data in the short form (1 to 28 words); the payload is padded to 4 bytes.
    Data(u32, Vec<u8>),
    /// Data with its length in a word of its own (type 0).
    Long(u32, Vec<u8>),
    /// A discarded event: type 29 with a delta, and this many bytes after its length word.
    Padding(u32, u32),
    /// Nothing more in this sub-buffer: type 29 without a delta.
    End,
    /// Time extend: adds to the time.
    Extend(u64),
    /// Absolute time, of which 59 bits are stored.
    Absolute(u64),
    /// Anything.
    Raw(Vec<u8>),
}

impl Record {
    fn bytes(&self, machine: Machine) -> Vec<u8> {
        let word = |kind: u32, delta: u32| {
            let word = if machine.big { kind << 27 | delta } else { kind | delta << 5 };
            machine.number(u64::from(word), 4)
        };
        let two_words =
            |kind: u32, time: u64| [word(kind, (time & 0x07ff_ffff) as u32), machine.number(time >> 27 & 0xffff_ffff, 4)].concat();
        match self {
            Self::Data(delta, payload) => {
                let words = payload.len().div_ceil(4);
                assert!((1..=28).contains(&words), "a payload of the short form");
                [word(words as u32, *delta), padded(payload)].concat()
            }
            Self::Long(delta, payload) => [word(0, *delta), machine.number(payload.len() as u64 + 4, 4), padded(payload)].concat(),
            Self::Padding(delta, bytes) => {
                [word(29, *delta), machine.number(u64::from(*bytes) + 4, 4), vec![0xee; *bytes as usize]].concat()
            }
            Self::End => word(29, 0),
            Self::Extend(time) => two_words(30, *time),
            Self::Absolute(time) => two_words(31, *time),
            Self::Raw(bytes) => bytes.clone(),
        }
    }
}

/// Payloads are padded with bytes that are not zero, as the kernel's are.
fn padded(payload: &[u8]) -> Vec<u8> {
    let mut bytes = payload.to_vec();
    bytes.resize(payload.len().next_multiple_of(4), 0xaa);
    bytes
}

/// One sub-buffer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    pub(crate) base: u64,
    /// Events were lost before it; their number, if it is stored.
    pub(crate) lost: Option<Option<u64>>,
    pub(crate) records: Vec<Record>,
    /// Committed bytes to claim instead of the true number.
    pub(crate) claimed: Option<u32>,
}

impl Page {
    pub(crate) fn new(base: u64, records: Vec<Record>) -> Self {
        Self { base, records, ..Self::default() }
    }

    pub(crate) fn bytes(&self, machine: Machine, size: usize) -> Vec<u8> {
        let records: Vec<u8> = self.records.iter().flat_map(|record| record.bytes(machine)).collect();
        let mut commit = u64::from(self.claimed.unwrap_or(records.len() as u32));
        if let Some(stored) = self.lost {
            commit |= 1 << 31 | u64::from(stored.is_some()) << 30;
        }
        let mut page = [machine.number(self.base, 8), machine.number(commit, machine.long), records].concat();
        if let Some(Some(count)) = self.lost {
            page.extend(machine.number(count, machine.long));
        }
        assert!(page.len() <= size, "{} bytes in a sub-buffer of {size}", page.len());
        page.resize(size, 0xdd); // stale bytes, never to be read
        page
    }
}

/// An event format: its text, and payloads that follow it.
#[derive(Debug, Clone)]
pub(crate) struct Format {
    pub(crate) system: &'static str,
    pub(crate) name: &'static str,
    pub(crate) id: u16,
    /// Declaration, offset, size.
    pub(crate) fields: Vec<(&'static str, usize, usize)>,
    /// Bytes of the fixed part.
    pub(crate) fixed: usize,
}

impl Format {
    pub(crate) fn text(&self) -> String {
        let common =
            [("unsigned short common_type", 0, 2), ("unsigned char common_flags", 2, 1), ("unsigned char common_preempt_count", 3, 1)];
        let line = |(declaration, offset, size): (&str, usize, usize)| {
            let signed = u8::from(declaration.starts_with("int "));
            format!("\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n")
        };
        let common: String = common.into_iter().chain([("int common_pid", 4, 4)]).map(line).collect();
        let own: String = self.fields.iter().copied().map(line).collect();
        format!("name: {}\nID: {}\nformat:\n{common}\n{own}\nprint fmt: \"%s\", \"{{;\"\n", self.name, self.id)
    }

    /// A record: numbers and texts by field name. Absent fields are 0xcc.
    pub(crate) fn payload(&self, machine: Machine, pid: i32, flags: u8, numbers: &[(&str, u64)], texts: &[(&str, &str)]) -> Vec<u8> {
        let mut payload = vec![0xcc; self.fixed];
        let mut put = |at: usize, bytes: &[u8]| payload[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &machine.number(u64::from(self.id), 2));
        put(2, &[flags, 0]);
        put(4, &machine.number(u64::from(pid as u32), 4));
        let field = |name: &str| {
            let named = |declaration: &str| declaration.split([' ', '[', ']']).any(|word| word == name);
            *self.fields.iter().find(|(declaration, ..)| named(declaration)).unwrap_or_else(|| panic!("{} has a field {name}", self.name))
        };
        for (name, value) in numbers {
            let (_, offset, size) = field(name);
            put(offset, &machine.number(*value, size));
        }
        for (name, text) in texts {
            let (declaration, offset, _) = field(name);
            let position = payload.len();
            let bytes = [text.as_bytes(), b"\0"].concat();
            if declaration.starts_with("__data_loc") {
                let word = (bytes.len() << 16 | position) as u64;
                payload[offset..offset + 4].copy_from_slice(&machine.number(word, 4));
            } else if declaration.starts_with("__rel_loc") {
                let word = (bytes.len() << 16 | (position - offset - 4)) as u64;
                payload[offset..offset + 4].copy_from_slice(&machine.number(word, 4));
            }
            payload.extend(bytes);
        }
        payload
    }
}
