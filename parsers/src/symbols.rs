//! Kernel symbols, to name call sites: the text of `/proc/kallsyms`.
//!
//! A trace.dat mostly carries it, a perf.data of current perf does not; a file of the same boot will do (addresses are random
//! since 4.12 on most machines). The text has megabytes and is read when a name is first asked for.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::error::{Fault, Place, TraceError};
use crate::mapped::MappedFile;

/// Functions with their addresses.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    /// Names of functions and modules one after the other.
    text: String,
    /// By rising address, one for each.
    functions: Vec<Function>,
}

#[derive(Debug, Clone)]
struct Function {
    address: u64,
    /// Bytes up to the next symbol; 0 if there is none.
    size: u64,
    name: Range<u32>,
    /// Empty for the kernel itself.
    module: Range<u32>,
}

/// A place in a function; displays as the kernel prints it, such as `ext4_alloc_inode+0x1a/0x30 [ext4]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// Function.
    pub name: &'a str,
    /// Bytes from its start.
    pub offset: u64,
    /// Bytes of the function, with padding behind it; `None` if no symbol follows.
    pub size: Option<u64>,
    /// Module that it is in; `None` for the kernel itself.
    pub module: Option<&'a str>,
}

impl fmt::Display for Resolved<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{:#x}", self.name, self.offset)?;
        if let Some(size) = self.size {
            write!(f, "/{size:#x}")?;
        }
        match self.module {
            Some(module) => write!(f, " [{module}]"),
            None => Ok(()),
        }
    }
}

/// Why there are no symbols.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSymbols {
    /// The trace carries none.
    #[error("the trace has no kernel symbols")]
    Absent,
    /// All addresses are zero: the reader of `/proc/kallsyms` was not allowed to see them.
    #[error("all addresses in the kernel symbols are zero: they were read without the right to see them (kernel.kptr_restrict)")]
    Hidden,
    /// What should be the text is something else.
    #[error("the kernel symbols cannot be read: {0}")]
    Damaged(String),
}

/// Functions are smaller than this; what lies further behind the last symbol is in none.
const MAX_FUNCTION_BYTES: u64 = 1 << 20;

/// Kernels have 1 to 15 MiB of text; places in it have to fit 32 bits.
const MAX_TEXT_BYTES: usize = 1 << 30;

/// Symbols that mark the end of code, not the start of a function.
const ENDS: [&str; 2] = ["_etext", "_einittext"];

impl Symbols {
    /// Reads a file with the text of `/proc/kallsyms`.
    ///
    /// # Errors
    ///
    /// If it cannot be read, a line is none of kallsyms, or all addresses are zero.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        // Files of /proc have no size to be mapped by.
        let text = std::fs::read(path).map_err(|error| TraceError::io(path, "cannot read", error))?;
        if text.len() > MAX_TEXT_BYTES {
            let what = format!("{} bytes of text; the kernel's symbols are at most {MAX_TEXT_BYTES}", text.len());
            return Err(TraceError::Unsupported { path: path.to_owned(), what });
        }
        let (symbols, bad) = Self::of_lines(&text);
        if let Some(fault) = bad {
            return Err(TraceError::malformed(path, fault));
        }
        symbols.map_err(|error| TraceError::Unsupported { path: path.to_owned(), what: error.to_string() })
    }

    /// Understands the text of `/proc/kallsyms`. Lines that are none of it are left out.
    ///
    /// # Errors
    ///
    /// If no line is of kallsyms, or all addresses are zero.
    pub fn parse(text: &[u8]) -> Result<Self, NoSymbols> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(NoSymbols::Damaged(format!("{} bytes of text", text.len())));
        }
        Self::of_lines(text).0
    }

    /// The symbols, and the first line that is none.
    fn of_lines(text: &[u8]) -> (Result<Self, NoSymbols>, Option<Fault>) {
        let end = text.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        let mut bad = None;
        let mut lines: Vec<Line<'_>> = Vec::new();
        for (number, line) in (1..).zip(text.get(..end).unwrap_or_default().split(|&byte| byte == b'\n')) {
            match Line::parse(line) {
                Some(line) => lines.push(line),
                None if line.trim_ascii().is_empty() => {}
                None if bad.is_none() => bad = Some(not_a_line(number, line)),
                None => {}
            }
        }
        let symbols = match (lines.is_empty(), &bad) {
            (true, None) => Err(NoSymbols::Absent),
            (true, Some(fault)) => Err(NoSymbols::Damaged(fault.to_string())),
            (false, _) if lines.iter().all(|line| line.address == 0) => Err(NoSymbols::Hidden),
            (false, _) => Ok(Self::of_symbols(lines)),
        };
        (symbols, bad)
    }

    fn of_symbols(mut lines: Vec<Line<'_>>) -> Self {
        // Modules come after the kernel, each in its own order. Of names for one address the kernel prints the first.
        lines.sort_by_key(|line| line.address);
        let mut symbols = Self::default();
        let mut rest = lines.as_slice();
        while let Some(first) = rest.first() {
            let (same, after) = rest.split_at(rest.partition_point(|line| line.address == first.address));
            if let Some(line) = same.iter().find(|line| line.is_code) {
                let size = after.first().map_or(0, |next| next.address - first.address);
                symbols.add(line.address, size, &String::from_utf8_lossy(line.name), &String::from_utf8_lossy(line.module));
            }
            rest = after;
        }
        symbols
    }

    /// Adds a function behind all others.
    fn add(&mut self, address: u64, size: u64, name: &str, module: &str) {
        let mut put = |text: &str| {
            let start = self.text.len() as u32;
            self.text.push_str(text);
            start..self.text.len() as u32
        };
        let name = put(name);
        let module = put(module);
        self.functions.push(Function { address, size, name, module });
    }

    /// The function that an address is in.
    #[must_use]
    pub fn resolve(&self, address: u64) -> Option<Resolved<'_>> {
        let after = self.functions.partition_point(|function| function.address <= address);
        let function = self.functions.get(after.checked_sub(1)?)?;
        let offset = address - function.address;
        let name = self.text(&function.name);
        // With symbols of data between functions left out, the address may be behind the function's end.
        let is_within = offset < if function.size == 0 { MAX_FUNCTION_BYTES } else { function.size.min(MAX_FUNCTION_BYTES) };
        if !is_within || ENDS.contains(&name) {
            return None;
        }
        let module = self.text(&function.module);
        let size = (function.size > 0).then_some(function.size);
        Some(Resolved { name, offset, size, module: (!module.is_empty()).then_some(module) })
    }

    /// Number of functions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.functions.len()
    }

    /// Whether there is no function.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    fn text(&self, range: &Range<u32>) -> &str {
        self.text.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    /// The functions that these addresses are in: (address, size or 0, name, module or nothing), by rising address.
    pub(crate) fn used(&self, addresses: impl Iterator<Item = u64>) -> Vec<(u64, u64, String, String)> {
        let mut used: Vec<(u64, u64, String, String)> = addresses
            .filter_map(|address| Some((address, self.resolve(address)?)))
            .map(|(address, at)| (address - at.offset, at.size.unwrap_or(0), at.name.to_owned(), at.module.unwrap_or_default().to_owned()))
            .collect();
        used.sort_unstable();
        used.dedup();
        used
    }

    /// The opposite of [`Symbols::used`].
    pub(crate) fn of_used(mut used: Vec<(u64, u64, String, String)>) -> Self {
        used.sort_unstable();
        let mut symbols = Self::default();
        used.iter().for_each(|(address, size, name, module)| symbols.add(*address, *size, name, module));
        symbols
    }
}

/// A line such as `ffffffffc0123000 t ext4_alloc_inode\t[ext4]`.
struct Line<'a> {
    address: u64,
    is_code: bool,
    name: &'a [u8],
    module: &'a [u8],
}

impl<'a> Line<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = line.split(|&byte| byte == b' ' || byte == b'\t').filter(|word| !word.is_empty());
        let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
        let [kind] = kind else { return None };
        let digits = std::str::from_utf8(address).ok().filter(|digits| !digits.starts_with('+'))?;
        let module = words.next().and_then(|word| word.strip_prefix(b"[")?.strip_suffix(b"]")).unwrap_or_default();
        let is_code = matches!(kind, b't' | b'T' | b'w' | b'W');
        Some(Self { address: u64::from_str_radix(digits, 16).ok()?, is_code, name, module })
    }
}

fn not_a_line(number: u64, line: &[u8]) -> Fault {
    Fault {
        section: "kallsyms".into(),
        place: Place::Line(number),
        expected: "an address, a letter and a name, such as `ffffffff81000000 T _text`".into(),
        found: crate::parse::excerpt(line),
    }
}

/// The symbols that a recording came with, understood when they are first asked for; cheap to clone.
#[derive(Clone, Default)]
pub struct Kallsyms(Option<Arc<Lazy>>);

struct Lazy {
    load: Box<Load>,
    loaded: OnceLock<Result<Symbols, NoSymbols>>,
}

type Load = dyn Fn() -> Result<Symbols, NoSymbols> + Send + Sync;

impl Kallsyms {
    /// Symbols that `load` gets when somebody wants them.
    pub(crate) fn lazy(load: impl Fn() -> Result<Symbols, NoSymbols> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Lazy { load: Box::new(load), loaded: OnceLock::new() })))
    }

    /// Plain text somewhere in a file.
    pub(crate) fn within(file: &Arc<MappedFile>, range: Range<usize>) -> Self {
        let file = Arc::clone(file);
        Self::lazy(move || {
            let symbols = Symbols::parse(file.get(range.clone()).unwrap_or_default());
            file.check().map_err(|error| NoSymbols::Damaged(error.to_string()))?;
            symbols
        })
    }

    /// The symbols.
    ///
    /// # Errors
    ///
    /// If there are none, with the reason.
    pub fn get(&self) -> Result<&Symbols, &NoSymbols> {
        match &self.0 {
            Some(lazy) => lazy.loaded.get_or_init(|| (lazy.load)()).as_ref(),
            None => Err(&NoSymbols::Absent),
        }
    }
}

impl From<Symbols> for Kallsyms {
    fn from(symbols: Symbols) -> Self {
        Self::lazy(move || Ok(symbols.clone()))
    }
}

impl From<Result<Symbols, NoSymbols>> for Kallsyms {
    fn from(symbols: Result<Symbols, NoSymbols>) -> Self {
        Self::lazy(move || symbols.clone())
    }
}

impl fmt::Debug for Kallsyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.0.as_ref().map(|lazy| lazy.loaded.get()) {
            None => "absent".to_owned(),
            Some(None) => "not read yet".to_owned(),
            Some(Some(Ok(symbols))) => format!("{} functions", symbols.len()),
            Some(Some(Err(error))) => error.to_string(),
        };
        f.debug_tuple("Kallsyms").field(&state).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"ffffffff81000000 T startup_64
ffffffff81000000 T _text
ffffffff81000040 t early_setup
ffffffff81000070 d a_table
ffffffff81000080 W arch_thing
ffffffff81000100 T _etext
ffffffff82000000 D data
ffffffffc0200030 t ext4_late\t[ext4]
ffffffffc0200000 t ext4_alloc_inode\t[ext4]
";

    fn named(symbols: &Symbols, address: u64) -> Option<String> {
        symbols.resolve(address).map(|resolved| resolved.to_string())
    }

    #[test]
    fn the_nearest_function_at_or_below() {
        let symbols = Symbols::parse(TEXT).unwrap();
        let name = |address| named(&symbols, address);
        assert_eq!(name(0xffff_ffff_8100_0000).unwrap(), "startup_64+0x0/0x40", "the first of two names");
        assert_eq!(name(0xffff_ffff_8100_003f).unwrap(), "startup_64+0x3f/0x40");
        assert_eq!(name(0xffff_ffff_8100_0040).unwrap(), "early_setup+0x0/0x30", "a table ends it");
        assert_eq!(name(0xffff_ffff_8100_0070), None, "in the table");
        assert_eq!(name(0xffff_ffff_8100_0080).unwrap(), "arch_thing+0x0/0x80", "weak symbols are functions");
        assert_eq!(name(0xffff_ffff_8100_0100), None, "the end of code");
        assert_eq!(name(0xffff_ffff_80ff_ffff), None, "below all");
        assert_eq!(name(0), None);
        assert_eq!(symbols.len(), 6);
    }

    #[test]
    fn modules_are_sorted_and_named() {
        let symbols = Symbols::parse(TEXT).unwrap();
        assert_eq!(named(&symbols, 0xffff_ffff_c020_001a).unwrap(), "ext4_alloc_inode+0x1a/0x30 [ext4]");
        // The last symbol has no end; what is far behind it is in nothing that is known.
        assert_eq!(named(&symbols, 0xffff_ffff_c020_0034).unwrap(), "ext4_late+0x4 [ext4]");
        assert_eq!(named(&symbols, 0xffff_ffff_c020_0030 + MAX_FUNCTION_BYTES), None);
        assert_eq!(named(&symbols, u64::MAX), None);
    }

    #[test]
    fn zeroes_are_told_from_nothing() {
        assert_eq!(Symbols::parse(b"0000000000000000 T _text\n0000000000000000 t x\t[ext4]\n").unwrap_err(), NoSymbols::Hidden);
        assert_eq!(Symbols::parse(b"\n\0\0\0").unwrap_err(), NoSymbols::Absent);
        let Err(NoSymbols::Damaged(why)) = Symbols::parse(b"nonsense\n") else { panic!("no symbols in nonsense") };
        assert!(why.contains("line 1"), "{why}");
    }

    #[test]
    fn a_file_with_another_line_is_refused_by_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kallsyms");
        std::fs::write(&path, [TEXT, b"dead beef\n"].concat()).unwrap();
        let message = Symbols::read(&path).unwrap_err().to_string();
        assert!(message.contains("kallsyms: kallsyms, line 10: expected an address"), "{message}");
        std::fs::write(&path, TEXT).unwrap();
        assert_eq!(Symbols::read(&path).unwrap().len(), 6);
        std::fs::write(&path, "0000000000000000 T _text\n").unwrap();
        assert!(Symbols::read(&path).unwrap_err().to_string().contains("kptr_restrict"));
        std::fs::write(&path, "").unwrap();
        assert!(Symbols::read(&path).is_err());
    }

    #[test]
    fn what_is_used_names_the_same_and_nothing_else() {
        let symbols = Symbols::parse(TEXT).unwrap();
        let addresses = [0xffff_ffff_8100_0041, 0xffff_ffff_8100_0042, 0xffff_ffff_c020_0034, 5];
        let used = symbols.used(addresses.into_iter());
        assert_eq!(used.len(), 2);
        let kept = Symbols::of_used(used);
        for address in addresses {
            assert_eq!(named(&kept, address), named(&symbols, address));
        }
        assert_eq!(named(&kept, 0xffff_ffff_8100_0080), None);
    }
}
