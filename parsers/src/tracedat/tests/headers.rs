//! The blocks in front of the data, right and wrong.

use super::layouts::{Kernel, formats};
use super::records::{LITTLE_64, Page};
use super::writer::{Buffer, Codec, TraceFile};
use super::{freed, kfree_record, read, read_bytes, refusal, seen};

fn file(version: u8) -> TraceFile {
    let page = Page::new(100, vec![kfree_record(LITTLE_64, 1, 64)]);
    TraceFile::new(version, LITTLE_64, formats(Kernel::V6_1, LITTLE_64), vec![Buffer::new("", 4096, vec![(0, vec![page])])])
}

#[test]
fn the_header_page_text_gives_the_kernels_long_and_no_other() {
    let field = |declaration: &str, offset: u32, size: u32| format!("\tfield: {declaration};\toffset:{offset};\tsize:{size};\tsigned:1;\n");
    let head = field("u64 timestamp", 0, 8);
    let cases = [
        (String::new(), "2.6.30 or older"),
        (head.clone(), "expected a field `commit`"),
        ([head.clone(), field("local_t commit", 8, 8)].concat(), "expected a field `data`"),
        ([head.clone(), field("local_t commit", 8, 2), field("char data", 10, 4086)].concat(), "`commit` at offset 8 with 4 or 8 bytes"),
        ([head, field("local_t commit", 16, 8), field("char data", 24, 4072)].concat(), "`commit` at offset 8 with 4 or 8 bytes"),
        ("nonsense".to_owned(), "expected a `field:` line, found \"nonsense\""),
    ];
    for version in [6, 7] {
        for (text, expected) in &cases {
            let mut file = file(version);
            file.header_page = Some(text.clone());
            let message = refusal(&file);
            assert!(message.contains(expected), "{message}");
        }
    }
}

/// `overwrite` was absent before 2.6.3x, and on ARM `data` is unsigned.
#[test]
fn an_old_header_page_is_enough() {
    for version in [6, 7] {
        let mut file = file(version);
        let text = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\n\tfield: local_t commit;\toffset:8;\tsize:8;\n\tfield: char data;\toffset:16;\tsize:4080;\n";
        file.header_page = Some(text.to_owned());
        assert_eq!(seen(&read(&file)), [freed(101, 0, 64)]);
    }
}

#[test]
fn a_kmem_format_that_cannot_be_read_is_an_error_with_its_place() {
    for version in [6, 7] {
        let mut file = file(version);
        file.more_formats.push(("kmem", "name: kfree\nID: 9\nformat:\n\tfield:int a;\toffset:x;\n".to_owned()));
        let message = refusal(&file);
        // The kernel has six formats of kmem; this one comes after them.
        assert!(message.starts_with("event formats, system kmem, event 6, event format, kmem:kfree, byte "), "{message}");
        let byte: usize = message.split("kfree, byte ").nth(1).and_then(|rest| rest.split(':').next()).unwrap().parse().unwrap();
        assert!(file.write().bytes[byte..].starts_with(b"x;\n"), "{message}");
        assert!(message.ends_with("expected a decimal number, found 78 3b 0a"), "{message}");
    }
}

#[test]
fn formats_of_other_systems_may_hold_anything() {
    for version in [6, 7] {
        let mut file = file(version);
        file.more_formats
            .push(("sched", "name: x\nID: 77\nformat:\n\tfield:u8 a[FOO * 2 + 1];\toffset:8;\tsize:3;\tsigned:0;\n".to_owned()));
        file.more_formats.extend((0..25).map(|_| ("xfs", "what is this".to_owned())));
        let recording = read(&file);
        assert_eq!(seen(&recording), [freed(101, 0, 64)]);
        let remarks = &recording.accounting.remarks;
        assert_eq!(remarks.len(), 21, "{remarks:?}"); // 20 in full, the rest as a number
        let byte = file.write().bytes.windows(12).position(|window| window == b"what is this").unwrap();
        let what = "expected `name:` and a word, found \"what is this\"";
        assert_eq!(remarks[0], format!("an event format was not understood: event format, system xfs, byte {byte}: {what}"));
        assert_eq!(remarks[20], "5 more event formats were not understood");
    }
}

#[test]
fn a_kmem_format_without_a_needed_field_is_named() {
    let mut file = file(7);
    let text = "name: kmem_cache_free\nID: 990\nformat:\n\tfield:unsigned long call_site;\toffset:8;\tsize:8;\tsigned:0;\n";
    file.more_formats.push(("kmem", text.to_owned()));
    assert_eq!(read(&file).accounting.absent_fields, ["kmem_cache_free.ptr"]);
}

#[test]
fn versions_and_compressions_that_are_not_known_are_named() {
    let mut bytes = file(7).write().bytes;
    bytes[10] = b'5';
    let message = read_bytes(&bytes).unwrap_err().to_string();
    assert!(message.ends_with("trace.dat: trace.dat version \"5\"; versions 6 and 7 can be read"), "{message}");
    bytes[10] = b'7';
    bytes[18..22].copy_from_slice(b"lzma");
    let message = read_bytes(&bytes).unwrap_err().to_string();
    assert!(message.contains("preamble, byte 18: expected compression `none`, `zstd` or `zlib`, found"), "{message}");
    bytes[14..18].copy_from_slice(&4095_u32.to_le_bytes());
    let message = read_bytes(&bytes).unwrap_err().to_string();
    assert!(message.contains("preamble, byte 14: expected a page size that is a power of two from 4096 to 4 MiB"), "{message}");
}

#[test]
fn compressed_headers_are_located_by_their_block() {
    let mut file = file(7);
    file.codec = Codec::Zstd;
    file.header_page = Some("nonsense".to_owned());
    let message = refusal(&file);
    // 12 bytes of `header_page`, 8 of the size.
    assert!(message.contains("byte 20 of the compressed block at byte "), "{message}");
}
