//! Takes a trace.dat of version 7 (little-endian, zstd) apart, without the reader's help.

use std::path::Path;

/// What tracefs had when the trace was recorded.
pub(crate) struct Tracefs {
    pub(crate) header_page: String,
    /// System, event and text.
    pub(crate) formats: Vec<(String, String, String)>,
    /// CPU and its sub-buffers.
    pub(crate) cpus: Vec<(u32, Vec<u8>)>,
    pub(crate) sub_buffer_bytes: usize,
}

/// A place in some bytes.
struct At<'a>(&'a [u8]);

impl<'a> At<'a> {
    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(bytes);
        self.0 = rest;
        taken
    }

    fn number(&mut self, bytes: usize) -> usize {
        self.take(bytes).iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte))
    }

    fn word(&mut self) -> String {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap();
        let word = String::from_utf8(self.take(end).to_vec()).unwrap();
        self.take(1);
        word
    }

    fn sized_text(&mut self) -> String {
        let bytes = self.number(8);
        String::from_utf8(self.take(bytes).to_vec()).unwrap()
    }

    fn block(&mut self) -> Vec<u8> {
        let (packed, plain) = (self.number(4), self.number(4));
        zstd::bulk::decompress(self.take(packed), plain).unwrap()
    }
}

/// The content of the section at an offset.
fn section(file: &[u8], offset: usize) -> Vec<u8> {
    let mut at = At(&file[offset..]);
    let (_, flags, _, bytes) = (at.number(2), at.number(2), at.number(4), at.number(8));
    if flags & 1 == 0 { at.take(bytes).to_vec() } else { at.block() }
}

pub(crate) fn tracefs(path: &Path) -> Tracefs {
    let file = std::fs::read(path).unwrap();
    let mut at = At(&file);
    assert_eq!(at.take(10), b"\x17\x08\x44tracing");
    assert_eq!(at.word(), "7");
    assert_eq!(at.take(6)[0], 0, "little-endian");
    assert_eq!(at.word(), "zstd");
    at.word();
    let mut next = at.number(8);
    let mut options: Vec<(usize, Vec<u8>)> = Vec::new();
    while next != 0 {
        let list = section(&file, next);
        let mut at = At(&list);
        loop {
            let (id, bytes) = (at.number(2), at.number(4));
            let payload = at.take(bytes).to_vec();
            if id == 0 {
                next = At(&payload).number(8);
                break;
            }
            options.push((id, payload));
        }
    }
    let option = |wanted: usize| &options.iter().find(|(id, _)| *id == wanted).unwrap().1;
    let at_option = |id: usize| section(&file, At(option(id)).number(8));

    let header_info = at_option(16);
    let mut at = At(&header_info);
    assert_eq!(at.word(), "header_page");
    let header_page = at.sized_text();

    let mut formats = Vec::new();
    let mut add = |system: &str, text: String| {
        let name = text.lines().next().unwrap().strip_prefix("name: ").unwrap().to_owned();
        formats.push((system.to_owned(), name, text));
    };
    let own = at_option(17);
    let mut at = At(&own);
    for _ in 0..at.number(4) {
        add("ftrace", at.sized_text());
    }
    let others = at_option(18);
    let mut at = At(&others);
    for _ in 0..at.number(4) {
        let system = at.word();
        for _ in 0..at.number(4) {
            add(&system, at.sized_text());
        }
    }

    let mut at = At(option(3));
    at.number(8);
    assert_eq!((at.word(), at.word()), (String::new(), "global".to_owned()));
    let sub_buffer_bytes = at.number(4);
    let cpus = (0..at.number(4)).map(|_| {
        let (cpu, offset, _) = (at.number(4), at.number(8), at.number(8));
        let mut data = At(&file[offset..]);
        (cpu as u32, (0..data.number(4)).flat_map(|_| data.block()).collect())
    });
    let cpus = cpus.collect();
    Tracefs { header_page, formats, cpus, sub_buffer_bytes }
}
