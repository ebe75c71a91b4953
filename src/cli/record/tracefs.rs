//! The kernel's tracing files: where they are, and an instance of our own, which nobody else's settings depend on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::failure::Failure;

/// Where tracefs is mounted, the first since 4.1.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Longest wait for somebody to let go of an instance.
const PATIENCE: Duration = Duration::from_secs(5);

/// The mounted tracefs; unmounted again if it was not mounted before.
#[derive(Debug)]
pub(super) struct Tracefs {
    pub(super) root: PathBuf,
    is_ours: bool,
}

impl Tracefs {
    /// Finds tracefs, or mounts it.
    pub(super) fn find() -> Result<Self, Failure> {
        if let Some(root) = PLACES.iter().map(Path::new).find(|root| root.join("events").is_dir()) {
            return Self { root: root.to_owned(), is_ours: false }.checked();
        }
        let root = Path::new(PLACES[0]);
        if let Err(error) = fs::read_dir(root)
            && error.kind() == io::ErrorKind::PermissionDenied
        {
            return Err(denied(root, error));
        }
        let mount = Command::new("mount").args(["-t", "tracefs", "nodev"]).arg(root).stderr(Stdio::null()).status();
        let tracefs = Self { root: root.to_owned(), is_ours: mount.is_ok_and(|status| status.success()) };
        if !tracefs.root.join("events").is_dir() {
            let error = anyhow::anyhow!("there is no tracefs at {}, and it could not be mounted", PLACES.join(" or "));
            let hint = "run as root (sudo); the kernel needs CONFIG_FTRACE and CONFIG_ENABLE_DEFAULT_TRACERS or a tracer, and no lockdown";
            return Err(Failure::input(error).hint(hint));
        }
        tracefs.checked()
    }

    fn checked(self) -> Result<Self, Failure> {
        match fs::OpenOptions::new().write(true).open(self.root.join("trace_marker")) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(denied(&self.root, error)),
            _ => Ok(self),
        }
    }
}

impl Drop for Tracefs {
    fn drop(&mut self) {
        if self.is_ours {
            Command::new("umount").arg(&self.root).stderr(Stdio::null()).status().ok();
        }
    }
}

fn denied(path: &Path, error: io::Error) -> Failure {
    let error = anyhow::Error::from(error).context(format!("{}: cannot use the kernel's tracing", path.display()));
    Failure::input(error).hint("recording takes root: `sudo slubreplay record …`; in a container, --privileged")
}

/// A trace buffer with settings of its own. Removed with all of them when it goes out of scope.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) dir: PathBuf,
}

impl Instance {
    /// A name that no other run has.
    pub(super) fn name(what: &str) -> String {
        format!("slubreplay-{what}-{}", std::process::id())
    }

    /// Makes an instance that is switched off, with all its buffers of this size.
    pub(super) fn create(tracefs: &Path, name: &str, buffer_kb: u64) -> Result<Self, Failure> {
        let dir = tracefs.join("instances").join(name);
        fs::create_dir(&dir).map_err(|error| {
            let error = anyhow::Error::from(error).context(format!("{}: cannot make a trace buffer", dir.display()));
            Failure::input(error).hint("recording takes root, and a kernel of 3.10 or later")
        })?;
        let instance = Self { dir };
        instance.set("tracing_on", "0")?;
        instance.set("trace_clock", "global")?;
        instance.set("buffer_size_kb", &buffer_kb.to_string())?;
        Ok(instance)
    }

    /// Writes one of its files.
    pub(super) fn set(&self, file: &str, value: &str) -> Result<(), Failure> {
        let path = self.dir.join(file);
        fs::write(&path, value).map_err(|error| {
            let error = anyhow::Error::from(error).context(format!("{}: cannot write {value:?}", path.display()));
            match file {
                "buffer_size_kb" => Failure::input(error).hint("is there too little memory for the buffers?"),
                _ => Failure::input(error),
            }
        })
    }

    /// Switches events on, then tracing.
    pub(super) fn start(&self, events: &[&str]) -> Result<(), Failure> {
        events.iter().try_for_each(|event| self.set(&format!("events/{event}/enable"), "1"))?;
        self.set("tracing_on", "1")
    }

    /// The `stats` text of each CPU, by number.
    pub(super) fn stats(&self) -> Vec<(u32, String)> {
        cpus(&self.dir).into_iter().map(|(cpu, dir)| (cpu, fs::read_to_string(dir.join("stats")).unwrap_or_default())).collect()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        remove(&self.dir);
    }
}

/// Removes an instance, be it ours or one that a tool left behind; waits until nobody has it open.
pub(super) fn remove(dir: &Path) {
    fs::write(dir.join("tracing_on"), "0").ok();
    fs::write(dir.join("events/enable"), "0").ok();
    let start = Instant::now();
    while let Err(error) = fs::remove_dir(dir) {
        if error.kind() == io::ErrorKind::NotFound || start.elapsed() > PATIENCE {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The folders of CPUs in a trace buffer's folder, by rising number.
pub(super) fn cpus(dir: &Path) -> Vec<(u32, PathBuf)> {
    let entries = fs::read_dir(dir.join("per_cpu")).into_iter().flatten().flatten();
    let numbered = entries.filter_map(|entry| Some((entry.file_name().to_str()?.strip_prefix("cpu")?.parse().ok()?, entry.path())));
    let mut cpus: Vec<(u32, PathBuf)> = numbered.collect();
    cpus.sort_unstable();
    cpus
}

/// One number of a `stats` text.
pub(super) fn stat(stats: &str, key: &str) -> u64 {
    let lines = stats.lines().filter_map(|line| line.split_once(':'));
    lines.filter(|(name, _)| name.trim() == key).find_map(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}
