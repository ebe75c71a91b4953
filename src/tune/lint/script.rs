//! Shell scripts, tmpfiles.d, init.rc, and GRUB's files: finds what they write and what words they have.

use std::collections::BTreeMap;

use super::cmdline;
use super::files::{SYSFS, slabinfo, sysfs};
use super::words::{Piece, split};
use super::{Linted, Verdict};
use crate::setting::Setting;

/// Begins of lines that hold a kernel's command line, and what comes before it.
const CMDLINES: [&str; 8] = [
    "GRUB_CMDLINE_LINUX_DEFAULT=",
    "GRUB_CMDLINE_LINUX_RECOVERY=",
    "GRUB_CMDLINE_LINUX=",
    "BOARD_KERNEL_CMDLINE",
    "options ",
    "append ",
    "APPEND ",
    "setenv bootargs",
];

/// Options of tools, and keys of files, that take words of the command line.
const OPTIONS: [&str; 3] = ["--args=", "--append=", "bootargs="];

/// Lints a script or a file of settings.
#[must_use]
pub fn lint_script(text: &str, setting: &Setting) -> Linted {
    let mut script = Script { setting, linted: Linted::default(), variables: BTreeMap::new() };
    for (number, line) in (1..).zip(text.lines()) {
        script.line(number, line);
    }
    script.linted
}

struct Script<'a> {
    setting: &'a Setting,
    linted: Linted,
    /// Variables that stand for paths: of `f=PATH`, and of `for f in PATHS`.
    variables: BTreeMap<String, Vec<String>>,
}

impl Script<'_> {
    fn line(&mut self, number: u64, line: &str) {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            self.linted.others += 1;
            return;
        }
        let before = self.linted.settings.len();
        if let Some(rest) = CMDLINES.iter().find_map(|start| trimmed.strip_prefix(start)) {
            let rest = rest.trim_start_matches([' ', '\t', ':', '+', '=']).trim_matches(['"', '\'', '`']);
            cmdline::words(rest, number, self.setting, &mut self.linted);
            return;
        }
        let pieces = split(trimmed);
        self.options(number, &pieces);
        if !self.tmpfiles(number, &pieces) && !self.init_rc(number, &pieces) {
            for command in pieces.split(|piece| *piece == Piece::End) {
                self.command(number, command);
            }
        }
        if self.linted.settings.len() > before {
            return;
        }
        let speaks_of_it = SYSFS.iter().any(|place| trimmed.contains(place)) || trimmed.contains("/proc/slabinfo");
        if speaks_of_it && writes(&pieces) {
            self.linted.puzzling(number, trimmed);
        } else {
            self.linted.others += 1;
        }
    }

    /// Words of the command line that tools are given.
    fn options(&mut self, number: u64, pieces: &[Piece]) {
        for piece in pieces {
            let Piece::Word(word) = piece else { continue };
            if let Some(words) = OPTIONS.iter().find_map(|option| word.strip_prefix(option)) {
                cmdline::words(words, number, self.setting, &mut self.linted);
            }
        }
    }

    /// `w- PATH - - - - VALUE`.
    fn tmpfiles(&mut self, number: u64, pieces: &[Piece]) -> bool {
        let words: Vec<&str> =
            pieces.iter().filter_map(|piece| if let Piece::Word(word) = piece { Some(word.as_str()) } else { None }).collect();
        let [kind, path, _mode, _user, _group, _age, value @ ..] = words.as_slice() else { return false };
        let is_write = matches!(kind.strip_prefix(['w', 'f', 'F']), Some(rest) if rest.chars().all(|c| "+-!=~^$".contains(c)));
        is_write && path.starts_with('/') && self.written(number, path, Some(&value.join(" ")))
    }

    /// `write PATH VALUE`.
    fn init_rc(&mut self, number: u64, pieces: &[Piece]) -> bool {
        let [Piece::Word(write), Piece::Word(path), value @ ..] = pieces else { return false };
        let value: Vec<&str> =
            value.iter().filter_map(|piece| if let Piece::Word(word) = piece { Some(word.as_str()) } else { None }).collect();
        write == "write" && path.starts_with('/') && self.written(number, path, Some(&value.join(" ")))
    }

    /// One command of a shell, with its pipes.
    fn command(&mut self, number: u64, pieces: &[Piece]) {
        let words: Vec<&str> =
            pieces.iter().filter_map(|piece| if let Piece::Word(word) = piece { Some(word.as_str()) } else { None }).collect();
        let words = words.strip_prefix(&["do"]).or(words.strip_prefix(&["then"])).unwrap_or(&words);
        if let [first, variable, r#in, paths @ ..] = words
            && (*first, *r#in) == ("for", "in")
        {
            self.variables.insert((*variable).to_owned(), paths.iter().map(|&path| path.to_owned()).collect());
            return;
        }
        if let [word] = words
            && let Some((variable, value)) = word.split_once('=')
        {
            self.variables.insert(variable.to_owned(), vec![value.to_owned()]);
            return;
        }
        let value = said(pieces);
        let mut paths: Vec<&str> = Vec::new();
        let mut is_tee = false;
        for (at, piece) in pieces.iter().enumerate() {
            match (piece, pieces.get(at + 1)) {
                (Piece::To, Some(Piece::Word(path))) => paths.push(path),
                (Piece::Word(word), _) if word == "tee" || word.ends_with("/tee") => is_tee = true,
                (Piece::Pipe | Piece::From | Piece::To, _) => is_tee = false,
                (Piece::Word(word), _) if is_tee && !word.starts_with('-') => paths.push(word),
                _ => {}
            }
        }
        for path in paths {
            for path in self.meant(path) {
                self.written(number, &path, value.as_deref());
            }
        }
    }

    /// A path, with the variable in it put in.
    fn meant(&self, path: &str) -> Vec<String> {
        for (variable, values) in &self.variables {
            for form in [format!("${{{variable}}}"), format!("${variable}")] {
                if path.contains(&form) {
                    // More than a script of this kind has.
                    return values.iter().take(100).map(|value| path.replace(&form, value)).collect();
                }
            }
        }
        vec![path.to_owned()]
    }

    /// A write to a path; true if it is a setting of the slab allocator.
    fn written(&mut self, number: u64, path: &str, value: Option<&str>) -> bool {
        if path == "/proc/slabinfo" {
            let verdict = value.map_or(Verdict::Works, |value| slabinfo(value, self.setting));
            self.linted.found(number, &format!("{path}: {}", value.unwrap_or("?")), verdict);
            return true;
        }
        let Some((cache, file)) = SYSFS.iter().find_map(|place| path.strip_prefix(place)).and_then(|rest| rest.rsplit_once('/')) else {
            return false;
        };
        let verdict = sysfs(cache, file, value, self.setting);
        self.linted.found(number, &format!("{cache}/{file}: {}", value.unwrap_or("?")), verdict);
        true
    }
}

/// What a command prints, or has put into it.
fn said(pieces: &[Piece]) -> Option<String> {
    let mut words = Vec::new();
    let mut is_said = false;
    for (at, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Word(word) if matches!(word.as_str(), "echo" | "printf" | "/bin/echo") => is_said = true,
            Piece::Word(word)
                if is_said && words.is_empty() && matches!(word.as_str(), "-n" | "-e" | "-ne" | "%s" | "%s\\n" | "%d\\n" | "%d") => {}
            Piece::Word(word) if is_said => words.push(word.trim_end_matches("\\n").to_owned()),
            Piece::From => {
                if let Some(Piece::Word(word)) = pieces.get(at + 1) {
                    return Some(word.clone());
                }
            }
            Piece::To | Piece::Pipe => is_said = false,
            Piece::Word(_) | Piece::End => {}
        }
    }
    (!words.is_empty()).then(|| words.join(" "))
}

/// True for a line that writes something somewhere, rather than reads it.
fn writes(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| match piece {
        Piece::To => true,
        Piece::Word(word) => matches!(word.as_str(), "tee" | "dd" | "write" | "cp") || word.starts_with("w-"),
        Piece::From | Piece::Pipe | Piece::End => false,
    })
}
