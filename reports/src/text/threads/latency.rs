//! How long operations took, by path.

use super::remark;
use crate::format::thousands;
use crate::input::threads::{PathLatency, QUANTILES, ThreadsInput};
use crate::text::table::{
    Align::{Left, Right},
    Table,
};
use crate::text::{TextOptions, section};

pub(super) fn write(out: &mut String, input: &ThreadsInput, options: &TextOptions) {
    let taken: Vec<&PathLatency> = input.latency.iter().filter(|path| path.operations > 0 || path.timed > 0).collect();
    if taken.is_empty() {
        return;
    }
    let is_timed = taken.iter().any(|path| path.timed > 0);
    section(out, if is_timed { "Latency by path, in ns" } else { "Operations by path" }, options);
    let mut heads = vec![("path", Left), ("count", Right)];
    if is_timed {
        heads.push(("timed", Right));
        heads.extend(QUANTILES.iter().map(|(_, name)| (*name, Right)));
        heads.push(("max", Right));
    }
    let mut table = Table::new(&heads);
    for path in taken {
        let mut row = vec![path.path.to_owned(), thousands(path.operations)];
        if is_timed {
            row.push(thousands(path.timed));
            row.extend(path.quantiles_ns.iter().chain([&path.max_ns]).map(|ns| nanoseconds(*ns)));
        }
        table.row(row);
    }
    table.write(out, options);
    if is_timed {
        let cost = input.facts.clock_cost_ns;
        remark(
            out,
            &format!(
                "k: thousand, M: million ns; a path is the dearest step of an operation; all times include about {cost:.0} ns for reading the clock"
            ),
            options,
        );
    }
}

/// At most five characters in any sensible case, so that six of them fit a line of 80.
fn nanoseconds(ns: Option<f64>) -> String {
    let Some(ns) = ns else { return "-".to_owned() };
    let digits = |value: f64, unit: &str| match value {
        small if small < 99.95 => format!("{small:.1}{unit}"),
        large => format!("{}{unit}", thousands(large.round() as u64)),
    };
    match ns {
        short if short < 9_999.5 => thousands(short.round() as u64),
        long if long < 999_500.0 => digits(long / 1e3, "k"),
        longer => digits(longer / 1e6, "M"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata::threads::small;

    #[test]
    fn quantiles_of_paths_that_were_taken() {
        let expected = "
Latency by path, in ns
  path            count  timed    p50    p90    p99  p99.9  p99.99    max
  alloc fast        110      4     20     40     40     40      40     40
  alloc new slab     40      4  2,500  2,500  2,500  2,500   2,500  2,500
  free fast          90      4     25     25     25     25      25     25
";
        let mut out = String::new();
        write(&mut out, &small(), &TextOptions::default());
        assert!(out.starts_with(expected), "{out}");
        assert!(out.contains("times include about 18 ns for reading the clock\n"));
    }

    #[test]
    fn without_timing_only_counts() {
        let mut input = small();
        for path in &mut input.latency {
            *path = PathLatency { path: path.path, operations: path.operations, ..PathLatency::default() };
        }
        let mut out = String::new();
        write(&mut out, &input, &TextOptions::default());
        assert!(out.contains("\nOperations by path\n") && !out.contains("p50"), "{out}");
    }

    #[test]
    fn long_times_stay_short() {
        let shown = [None, Some(7.6), Some(9_999.0), Some(10_000.0), Some(123_456.0), Some(999_600.0), Some(1.2e10)].map(nanoseconds);
        assert_eq!(shown, ["-", "8", "9,999", "10.0k", "123k", "1.0M", "12,000M"]);
    }
}
