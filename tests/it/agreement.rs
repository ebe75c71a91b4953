//! The replay against the kernel's addresses: which slab each object came from.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::{COUNTERS, FORKEXEC, MIDLIFE, Snapshot, capture, csv_rows, run, verified};

/// `verify --format json` of a shipped capture; run once for all tests.
fn json(name: &str) -> &'static Value {
    static FORKEXEC_JSON: OnceLock<Value> = OnceLock::new();
    static MIDLIFE_JSON: OnceLock<Value> = OnceLock::new();
    let cell = if name == FORKEXEC { &FORKEXEC_JSON } else { &MIDLIFE_JSON };
    cell.get_or_init(|| {
        let path = capture(name);
        serde_json::from_str(run(&["verify".as_ref(), path.as_os_str(), "--format=json".as_ref()]).ok()).expect("JSON")
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number: {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// Caches by name.
fn by_cache(caches: &Value) -> BTreeMap<&str, &Value> {
    list(caches).iter().map(|cache| (text(&cache["cache"]), cache)).collect()
}

#[test]
fn busy_caches_that_are_observed_whole_agree_in_every_allocation() {
    let json = json(FORKEXEC);
    let agreement = by_cache(&json["agreement"]["caches"]);
    let mut seen = 0;
    for cache in list(&json["caches"]) {
        let name = text(&cache["cache"]);
        if number(&cache["operations"]) < 1000 || number(&cache["implied_operations"]) > 0 {
            continue;
        }
        let Some(row) = agreement.get(name) else { continue };
        assert_eq!(row["agreed"], row["compared"], "{name}");
        assert_eq!((&row["percent"], &row["first_divergence"]), (&Value::from(100.0), &Value::Null), "{name}");
        assert_eq!(row["observed"], true, "{name}");
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn what_the_kernel_counted_of_observed_caches_is_in_the_trace() {
    // From boot, with every event: what is not implied must be all that there was.
    for cache in list(&json(FORKEXEC)["caches"]) {
        if number(&cache["operations"]) >= 1000 && number(&cache["implied_operations"]) == 0 {
            assert_eq!(number(&cache["operations_not_in_trace"]), 0, "{cache}");
        }
    }
}

#[test]
fn partly_observed_caches_are_bounded_by_the_kernels_counts() {
    for name in [FORKEXEC, MIDLIFE] {
        let path = capture(name);
        let (before, after) = (Snapshot::read(&path, "slab.before"), Snapshot::read(&path, "slab.after"));
        let partly = list(&json(name)["partly_observed"]);
        assert!(partly.iter().any(|cache| cache["cache"] == "kmalloc-96"), "{name}: RCU frees kernfs nodes unseen");
        for cache in partly {
            let (traced, implied) = (number(&cache["traced_operations"]), number(&cache["implied_operations"]));
            assert!(implied * 100 > traced + implied, "{cache}");
            let counted: i64 = ["alloc_fastpath", "alloc_slowpath", "free_fastpath", "free_slowpath"]
                .into_iter()
                .map(|counter| {
                    let name = text(&cache["cache"]);
                    after.figure(name, counter, None) - before.figure(name, counter, None)
                })
                .sum();
            assert_eq!(cache["kernel_operations"].as_i64(), Some(counted), "{cache}");
            let missing = number(&cache["operations_not_in_trace"]);
            assert!(missing as i64 <= counted && missing as i64 >= counted - traced as i64, "{cache}");
        }
        let observed = &json(name)["summary_observed"];
        assert_eq!(number(&observed["caches"]) + partly.len() as u64, number(&json(name)["summary"]["caches"]), "{name}");
        assert!(number(&observed["error_sum"]) <= number(&json(name)["summary"]["error_sum"]), "{name}");
    }
}

#[test]
fn summaries_are_sums_of_the_counters() {
    for name in [FORKEXEC, MIDLIFE] {
        let partly = by_cache(&json(name)["partly_observed"]);
        let races = ["cmpxchg_double_fail", "cmpxchg_double_cpu_fail"];
        let rows = verified(name).iter().filter(|row| row.cpu.is_none() && COUNTERS.contains(&row.counter.as_str()));
        let rows = rows.filter(|row| !races.contains(&row.counter.as_str()) && !partly.contains_key(row.cache.as_str()));
        let (error, sum) =
            rows.fold((0, 0), |(error, sum), row| (error + row.kernel.abs_diff(row.replay), sum + row.kernel.unsigned_abs()));
        let observed = &json(name)["summary_observed"];
        assert_eq!((number(&observed["error_sum"]), number(&observed["kernel_sum"])), (error, sum), "{name}");
    }
}

#[test]
fn totals_and_samples_add_up() {
    for name in [FORKEXEC, MIDLIFE] {
        let agreement = &json(name)["agreement"];
        let caches = list(&agreement["caches"]);
        for figure in ["compared", "agreed"] {
            let sum = |caches: &mut dyn Iterator<Item = &Value>| caches.map(|cache| number(&cache[figure])).sum::<u64>();
            assert_eq!(number(&agreement["total"][figure]), sum(&mut caches.iter()), "{name}");
            assert_eq!(number(&agreement["observed"][figure]), sum(&mut caches.iter().filter(|cache| cache["observed"] == true)), "{name}");
            let series = list(&agreement["samples"][figure]);
            assert_eq!(series.len(), list(&agreement["samples"]["time_ns"]).len(), "{name}");
            assert!(series.windows(2).all(|pair| number(&pair[0]) <= number(&pair[1])), "{name}: {figure} only grows");
            assert_eq!(series.last(), Some(&agreement["total"][figure]), "{name}");
            for cache in caches {
                assert_eq!(list(&cache["samples"][figure]).last(), Some(&cache[figure]), "{name} {cache}");
            }
        }
        let first = caches.iter().filter(|cache| !cache["first_divergence"].is_null());
        let earliest = first.min_by_key(|cache| number(&cache["first_divergence"]["operation"])).expect("one that diverges");
        assert_eq!(agreement["total"]["first_divergence"], earliest["first_divergence"], "{name}");
    }
}

#[test]
fn text_shows_ten_slices_that_add_up() {
    let path = capture(FORKEXEC);
    let ran = run(&["verify".as_ref(), path.as_os_str()]);
    let lines = ran.ok().lines().skip_while(|line| !line.starts_with("Slab agreement over time")).skip(2);
    let slices: Vec<Vec<&str>> = lines.take_while(|line| !line.is_empty()).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(slices.len(), 10);
    // from, s, to, s, allocations, agree %
    let compared: u64 = slices.iter().map(|slice| slice[4].parse::<u64>().expect("a number")).sum();
    assert_eq!(compared, number(&json(FORKEXEC)["agreement"]["total"]["compared"]));
    assert!(slices.windows(2).all(|pair| pair[0][2] == pair[1][0]), "each begins where the last one ended");
    for word in ["agree %", "~ Partly observed", "not in the trace", "over observed caches"] {
        assert!(ran.stdout.contains(word), "{word} in {}", ran.stdout);
    }
}

#[test]
fn csv_says_what_json_says() {
    for name in [FORKEXEC, MIDLIFE] {
        let path = capture(name);
        let ran = run(&["verify".as_ref(), path.as_os_str(), "--format=agreement-csv".as_ref()]);
        let mut rows = csv_rows(ran.ok()).into_iter();
        let head = ["cache", "compared", "agreed", "percent", "first_divergence_operation", "first_divergence_ns"];
        assert_eq!(rows.next().expect("a header"), head);
        let caches = list(&json(name)["agreement"]["caches"]);
        assert_eq!(rows.len(), caches.len(), "{name}");
        for (row, cache) in rows.zip(caches) {
            assert_eq!(row[0], text(&cache["cache"]));
            assert_eq!((row[1].as_str(), row[2].as_str()), (&*cache["compared"].to_string(), &*cache["agreed"].to_string()), "{}", row[0]);
            let (compared, agreed): (f64, f64) = (row[1].parse().expect("a number"), row[2].parse().expect("a number"));
            assert!((row[3].parse::<f64>().expect("a number") - agreed * 100.0 / compared).abs() < 1e-9, "{}", row[0]);
            let first = &cache["first_divergence"];
            let shown = |key: &str| if first.is_null() { String::new() } else { first[key].to_string() };
            assert_eq!((&row[4], &row[5]), (&shown("operation"), &shown("time_ns")), "{}", row[0]);
            assert_eq!(first.is_null(), agreed == compared, "{}", row[0]);
        }
    }
}

#[test]
fn a_trace_alone_can_be_verified() {
    let file = capture(FORKEXEC).join("trace.dat");
    let ran = run(&["verify".as_ref(), file.as_os_str(), "--format=json".as_ref()]);
    let value: Value = serde_json::from_str(ran.ok()).expect("JSON");
    assert_eq!((&value["summary"], list(&value["caches"]).len()), (&Value::Null, 0));
    assert!(value["no_counters"].is_string());
    // anon_vma is merged with nothing, so it goes by the same name and layout with and without snapshots.
    let alone = by_cache(&value["agreement"]["caches"])["anon_vma"];
    assert_eq!(
        (&alone["percent"], &alone["compared"]),
        (&Value::from(100.0), &by_cache(&json(FORKEXEC)["agreement"]["caches"])["anon_vma"]["compared"])
    );
    // Every allocation of a slab object is compared: the kernel's addresses are all there.
    let report: Value = serde_json::from_str(run(&[file.as_os_str(), "--format=json".as_ref()]).ok()).expect("JSON");
    assert!(number(&value["agreement"]["total"]["compared"]) <= number(&report["run"]["allocs"]));
}

#[test]
fn min_agreement_decides_between_0_and_3() {
    let midlife = capture(MIDLIFE);
    let verify = |extra: &[&str]| {
        let args: Vec<&std::ffi::OsStr> =
            ["verify".as_ref(), midlife.as_os_str()].into_iter().chain(extra.iter().map(std::ffi::OsStr::new)).collect();
        run(&args)
    };
    verify(&["--min-agreement=0"]).ok();
    let ran = verify(&["--min-agreement=100%"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stdout.contains("slab agreement"), "the result is shown all the same");
    // Without the caches that diverge, everything agrees.
    let diverging = list(&json(MIDLIFE)["agreement"]["caches"]).iter().filter(|cache| !cache["first_divergence"].is_null());
    let mut args = vec!["--min-agreement=100".to_owned()];
    args.extend(diverging.map(|cache| format!("--exclude={}", text(&cache["cache"]))));
    verify(&args.iter().map(String::as_str).collect::<Vec<_>>()).ok();
}

#[test]
fn explain_shows_the_first_divergences() {
    let midlife = capture(MIDLIFE);
    let explain = |extra: &[&str]| {
        let args: Vec<&std::ffi::OsStr> =
            ["verify".as_ref(), midlife.as_os_str()].into_iter().chain(extra.iter().map(std::ffi::OsStr::new)).collect();
        run(&args)
    };
    // `dentry` is merged into `:aA-0000192` on this machine.
    let value: Value = serde_json::from_str(explain(&["--explain=dentry", "--divergences=2", "--format=json"]).ok()).expect("JSON");
    let row = by_cache(&json(MIDLIFE)["agreement"]["caches"])[":aA-0000192"];
    assert_eq!(value["cache"], ":aA-0000192");
    assert_eq!((&value["compared"], &value["agreed"], &value["percent"]), (&row["compared"], &row["agreed"], &row["percent"]));
    let divergences = list(&value["divergences"]);
    assert_eq!(divergences.len(), 2);
    let first = &divergences[0]["allocation"];
    assert_eq!((&first["operation"], &first["time_ns"]), (&row["first_divergence"]["operation"], &row["first_divergence"]["time_ns"]));
    let hex = |value: &Value| u64::from_str_radix(text(value).strip_prefix("0x").expect("hexadecimal"), 16).expect("a number");
    for divergence in divergences {
        // Slabs of this cache are of order 0 (slab.after), objects 192 bytes apart.
        let offset = hex(&divergence["allocation"]["address"]) - hex(&divergence["kernel"]["slab"]["base"]);
        assert!(offset < 4096 && offset % 192 == 0, "{divergence}");
        assert_eq!(list(&divergence["replay"]["cpus"]).len(), 4);
        assert_eq!(list(&divergence["replay"]["nodes"]).len(), 1);
    }
    let shown = explain(&["--explain=dentry", "--divergences=2"]);
    let head = shown.ok().lines().next().expect("a line");
    assert!(head.contains("dentry") && head.contains(&format!("{} of {} allocations", row["agreed"], row["compared"])), "{head}");
    assert_eq!(shown.stdout.lines().filter(|line| line.starts_with("at ")).count(), 2);

    assert!(explain(&["--explain=filp"]).ok().contains("There is no divergence"));
    explain(&["--explain=no-such-cache"]).fails_with_hint(2, &["no-such-cache"]);
    for format in ["--format=csv", "--format=agreement-csv"] {
        explain(&["--explain=dentry", format]).fails_with_hint(2, &["--explain"]);
    }
}
