//! Names of threads, as tracefs saves them (`saved_cmdlines`).

use std::collections::BTreeMap;

use crate::error::Fault;
use crate::parse::Cursor;

/// Names of threads by number: the last that a recording has of each.
pub(crate) type Tasks = BTreeMap<i32, String>;

/// Reads lines of `PID COMM`. A name may contain anything but a line feed; lines without a number are left out.
pub(crate) fn parse(text: &[u8], tasks: &mut Tasks) {
    for line in text.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii_start();
        let Some(end) = line.iter().position(|&byte| byte == b' ') else { continue };
        let (pid, name) = line.split_at(end);
        let pid = std::str::from_utf8(pid).ok().and_then(|pid| pid.parse().ok());
        // trace-cmd writes this for threads whose name was not saved.
        if let Some(pid) = pid.filter(|_| name.trim_ascii() != b"<...>") {
            tasks.insert(pid, String::from_utf8_lossy(name.get(1..).unwrap_or_default()).into_owned());
        }
    }
}

/// Reads the text that is left, of `bytes` bytes.
pub(crate) fn section(cursor: &mut Cursor<'_>, bytes: u64, tasks: &mut Tasks) -> Result<(), Fault> {
    parse(cursor.take(bytes, "text")?, tasks);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_blanks_and_odd_lines_are_left_out() {
        let mut tasks = Tasks::new();
        parse(b"1 init\n   42 kworker/0:1 x\n7 <...>\nnonsense\n9\n\n-1 a\n42 renamed", &mut tasks);
        let expected = [(-1, "a"), (1, "init"), (42, "renamed")];
        assert_eq!(tasks.iter().map(|(pid, name)| (*pid, name.as_str())).collect::<Vec<_>>(), expected);
    }
}
