//! Running the binary, and reading what it and the kernel wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use tempfile::TempDir;

/// A capture in `traces/`.
pub(crate) fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("traces").join(name)
}

/// The larger capture: from boot, fork and exec.
pub(crate) const FORKEXEC: &str = "forkexec-6.12";
/// The smaller capture: in mid-life, pipes and queues.
pub(crate) const MIDLIFE: &str = "midlife-6.12";
/// A capture of a machine whose memory is fragmented, so that caches fall back to lower orders.
pub(crate) const PRESSURE: &str = "pressure-6.12";

/// The binary under test, with the environment of a plain terminal session.
pub(crate) fn slubreplay() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slubreplay"));
    command.env_remove("NO_COLOR").env_remove("RAYON_NUM_THREADS").env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
    command
}

/// What a run left behind.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn finish(command: &mut Command) -> Ran {
    let output = command.output().expect("the binary starts");
    Ran {
        code: output.status.code().expect("not killed by a signal"),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Ran {
    finish(slubreplay().args(args))
}

impl Ran {
    /// Asserts success and returns stdout.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "stderr: {}", self.stderr);
        &self.stdout
    }

    /// Asserts a failure that is told on stderr alone, as `error:` with `needles` in the text.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, needles: &[&str]) {
        assert_eq!(self.code, code, "stderr: {}", self.stderr);
        assert_eq!(self.stdout, "", "nothing but results on stdout");
        assert!(self.stderr.starts_with("error: "), "{}", self.stderr);
        for needle in needles {
            assert!(self.stderr.contains(needle), "expected {needle:?} in: {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }

    /// The same, and the next step is told too.
    #[track_caller]
    pub(crate) fn fails_with_hint(&self, code: i32, needles: &[&str]) {
        self.fails(code, needles);
        assert!(self.stderr.lines().any(|line| line.starts_with("hint: ")), "no hint in: {}", self.stderr);
    }
}

/// `verify --format csv` of a shipped capture; run once for all tests.
pub(crate) fn verified(name: &str) -> &'static [VerifyRow] {
    static FORKEXEC_ROWS: OnceLock<Vec<VerifyRow>> = OnceLock::new();
    static MIDLIFE_ROWS: OnceLock<Vec<VerifyRow>> = OnceLock::new();
    let cell = if name == FORKEXEC { &FORKEXEC_ROWS } else { &MIDLIFE_ROWS };
    cell.get_or_init(|| verify_rows(run(&["verify".as_ref(), capture(name).as_os_str(), "--format=csv".as_ref()]).ok()))
}

/// A row of `verify --format csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifyRow {
    pub(crate) cache: String,
    pub(crate) counter: String,
    pub(crate) cpu: Option<u32>,
    pub(crate) kernel: i64,
    pub(crate) replay: i64,
}

pub(crate) fn verify_rows(csv: &str) -> Vec<VerifyRow> {
    let mut table = csv_rows(csv).into_iter();
    assert_eq!(table.next().expect("a header"), ["cache", "counter", "cpu", "kernel", "replay"]);
    let parsed = table.map(|fields| {
        let [cache, counter, cpu, kernel, replay]: [String; 5] = fields.try_into().expect("five fields");
        let cpu = (!cpu.is_empty()).then(|| cpu.parse().expect("a CPU number"));
        VerifyRow { cache, counter, cpu, kernel: kernel.parse().expect("a number"), replay: replay.parse().expect("a number") }
    });
    parsed.collect()
}

/// The fields of a CSV text (RFC 4180, without line breaks in fields). Every row has as many as the header.
#[track_caller]
pub(crate) fn csv_rows(text: &str) -> Vec<Vec<String>> {
    assert!(text.ends_with('\n'), "the last line is complete");
    let rows: Vec<Vec<String>> = text.lines().map(csv_fields).collect();
    let width = rows.first().expect("a header").len();
    assert!(rows.iter().all(|row| row.len() == width), "all rows have {width} fields");
    rows
}

fn csv_fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("never empty");
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    assert!(!quoted, "an open quote in {line}");
    fields
}

/// A snapshot file: by cache directory, then attribute, the value as text; and the merged names.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) caches: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) aliases: BTreeMap<String, String>,
}

impl Snapshot {
    pub(crate) fn read(capture: &Path, file: &str) -> Self {
        let text = fs::read_to_string(capture.join(file)).expect("a snapshot");
        let mut snapshot = Self::default();
        for line in text.lines() {
            let fields: Vec<&str> = line.splitn(3, ',').collect();
            match fields[..] {
                [name, "@alias", target] => drop(snapshot.aliases.insert(name.to_owned(), target.to_owned())),
                [cache, attribute, value] => {
                    snapshot.caches.entry(cache.to_owned()).or_default().insert(attribute.to_owned(), value.to_owned());
                }
                _ => {}
            }
        }
        snapshot
    }

    pub(crate) fn directory<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.get(name).map_or(name, String::as_str)
    }

    /// The figure of a cache: over all CPUs, or the share of one. What the kernel leaves out is zero.
    pub(crate) fn figure(&self, cache: &str, attribute: &str, cpu: Option<u32>) -> i64 {
        let Some(value) = self.caches.get(cache).and_then(|attributes| attributes.get(attribute)) else { return 0 };
        let mut words = value.split(' ');
        let Some(cpu) = cpu else { return words.next().expect("a word").parse().expect("a number") };
        let prefix = format!("C{cpu}=");
        words.find_map(|word| word.strip_prefix(&prefix)).map_or(0, |share| share.parse().expect("a number"))
    }
}

/// Counters of `CONFIG_SLUB_STATS`, `enum stat_item`, Linux 6.12.
pub(crate) const COUNTERS: [&str; 26] = [
    "alloc_fastpath",
    "alloc_slowpath",
    "free_fastpath",
    "free_slowpath",
    "free_frozen",
    "free_add_partial",
    "free_remove_partial",
    "alloc_from_partial",
    "alloc_slab",
    "alloc_refill",
    "alloc_node_mismatch",
    "free_slab",
    "cpuslab_flush",
    "deactivate_full",
    "deactivate_empty",
    "deactivate_to_head",
    "deactivate_to_tail",
    "deactivate_remote_frees",
    "deactivate_bypass",
    "order_fallback",
    "cmpxchg_double_fail",
    "cmpxchg_double_cpu_fail",
    "cpu_partial_alloc",
    "cpu_partial_free",
    "cpu_partial_node",
    "cpu_partial_drain",
];

/// Gauges that `verify` shows with their value at the end.
pub(crate) const GAUGES: [&str; 6] = ["slabs", "total_objects", "objects", "objects_partial", "partial", "cpu_slabs"];

/// A copy of a shipped capture without the files named in `leave_out`; the trace is linked.
pub(crate) fn copy_of(name: &str, leave_out: &[&str]) -> TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(capture(name)).expect("a capture") {
        let path = entry.expect("an entry").path();
        let file = path.file_name().expect("a name");
        if !leave_out.iter().any(|left_out| file == *left_out) {
            std::os::unix::fs::symlink(&path, copy.path().join(file)).expect("linked");
        }
    }
    copy
}

/// Replaces a file of a copied capture.
pub(crate) fn replace(copy: &TempDir, file: &str, content: impl AsRef<[u8]>) {
    let path = copy.path().join(file);
    // A link: writing through it would change the capture itself.
    fs::remove_file(&path).ok();
    fs::write(path, content).expect("written");
}
