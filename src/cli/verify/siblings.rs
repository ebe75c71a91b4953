//! `verify` of SLAB against `/proc/slabinfo`, and of SLOB against the pages that the kernel used.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Value, json};
use slubreplay_reports::format::{printable, thousands};

use super::super::args::{VerifyArgs, VerifyFormat};
use super::super::columns::{columns, csv_field, row};
use super::super::failure::{Failure, RESULT_OUTSIDE};
use super::super::load::Loaded;
use super::super::print;
use super::super::progress::Stage;
use super::text::percent;
use crate::allocators::AllocatorKind;
use crate::replay::CacheState;
use crate::verify::{AgreementTotal, Agreements, MANY_SLABS, Obstacle, SiblingMarks, SlabinfoVerdict, slob_pages};

/// What was found.
struct Found<'a> {
    loaded: &'a Loaded,
    /// SLAB: the comparison with each file that there is, the first and the second.
    slabinfo: [Option<SlabinfoVerdict>; 2],
    pages: Vec<PageRow>,
    agreements: Agreements,
    obstacle: Option<Obstacle>,
    excluded: Vec<String>,
}

/// Pages in use at one moment.
struct PageRow {
    what: String,
    kernel: u64,
    replay: u64,
}

impl PageRow {
    fn error_percent(&self) -> f64 {
        if self.kernel == 0 { 0.0 } else { self.kernel.abs_diff(self.replay) as f64 * 100.0 / self.kernel as f64 }
    }
}

pub(super) fn run(loaded: &Loaded, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let kind = loaded.setting.allocator;
    if args.explain.is_some() {
        return Err(Failure::usage(&format!("--explain: not for {}", kind.name()), "it shows the slabs of CPUs, which SLUB alone has"));
    }
    let found = Found::by(loaded, args)?;
    let has_figures = found.slabinfo.iter().any(Option::is_some) || !found.pages.is_empty();
    if !has_figures && (args.max_error.is_some() || args.format == VerifyFormat::Csv) {
        let hint = "SLAB needs slabinfo.after in the capture; SLOB needs page events, or meminfo.before and meminfo.after";
        return Err(Failure::usage("--max-error, --format csv: there are no figures of the kernel to compare with", hint));
    }
    if let (Some(_), Some(obstacle)) = (args.min_agreement, found.obstacle) {
        return Err(Failure::usage(&format!("--min-agreement: agreement cannot be judged: {obstacle}"), "leave --min-agreement out"));
    }
    print(&match args.format {
        VerifyFormat::Text => found.text(args.all),
        VerifyFormat::Csv => found.csv(),
        VerifyFormat::Json => format!("{:#}\n", found.json()),
        VerifyFormat::AgreementCsv => found.agreement_csv(),
    })?;
    let agreement = found.agreement().percent().unwrap_or(100.0);
    let is_outside = args.max_error.is_some_and(|max| found.error_percent() > max) || args.min_agreement.is_some_and(|min| agreement < min);
    Ok(if is_outside { RESULT_OUTSIDE.into() } else { ExitCode::SUCCESS })
}

impl<'a> Found<'a> {
    fn by(loaded: &'a Loaded, args: &VerifyArgs) -> Result<Self, Failure> {
        let excluded = args.exclude.iter().map(|name| Ok(loaded.plan.caches[loaded.cache("--exclude", name)?].name.clone()));
        let excluded = excluded.collect::<Result<_, Failure>>()?;
        let plan = &loaded.plan;
        let stage = Stage::operations("replaying", plan.ops.len() as u64);
        let mut marks = SiblingMarks::new(plan.caches.len(), |operations| stage.set(operations));
        // The last moment is after the last operation, where nothing pauses.
        let pauses = plan.kernel_pages.iter().map(|&(position, _)| position.min(plan.ops.len().saturating_sub(1))).collect();
        let (outcome, _) = loaded.replay_pausing(0, 0, pauses, &mut marks)?;
        let end: Vec<CacheState> = outcome.caches.iter().map(|cache| cache.end.clone()).collect();
        let [before, after] = marks.at;
        let states = [before, Some(after.unwrap_or(end))];
        let files = loaded.capture.as_ref().map(|capture| &capture.slabinfo);
        let is_slab = loaded.setting.allocator == AllocatorKind::Slab;
        let slabinfo = [0, 1].map(|at| {
            let file = files.filter(|_| is_slab).and_then(|files| files[at].as_ref()).filter(|file| file.is_of_slab())?;
            states[at].as_ref().map(|states| SlabinfoVerdict::of(plan, states, file))
        });
        let mut pages = Vec::new();
        if loaded.setting.allocator == AllocatorKind::Slob {
            let page_bytes = u64::from(loaded.setting.kernel.machine.page_bytes);
            for (at, name) in ["meminfo.before", "meminfo.after"].into_iter().enumerate() {
                let bytes = loaded.capture.as_ref().and_then(|capture| capture.slab_bytes[at]);
                if let (Some(bytes), Some(states)) = (bytes, &states[at]) {
                    pages.push(PageRow { what: name.to_owned(), kernel: bytes / page_bytes, replay: slob_pages(states.iter()) });
                }
            }
            pages.extend(plan.kernel_pages.iter().zip(&marks.pages).map(|(&(position, kernel), &(_, replay))| PageRow {
                what: format!("operation {position}"),
                kernel,
                replay,
            }));
        }
        let agreements = Agreements::of(plan, &outcome);
        let obstacle = agreements.obstacle(plan, loaded.setting.kernel.machine.word_bytes);
        Ok(Self { loaded, slabinfo, pages, agreements, obstacle, excluded })
    }

    fn counts(&self, cache: &str) -> bool {
        !self.excluded.iter().any(|excluded| excluded == cache)
    }

    fn agreement(&self) -> AgreementTotal {
        self.agreements.total(|row| self.counts(&row.cache))
    }

    /// SLAB: summed distance of slabs in use and objects at the second snapshot. SLOB: the largest distance of the pages in use.
    fn error_percent(&self) -> f64 {
        let slabinfo = self.slabinfo[1].as_ref().map_or(0.0, |verdict| verdict.error_percent(|cache| self.counts(cache)));
        self.pages.iter().map(PageRow::error_percent).fold(slabinfo, f64::max)
    }

    fn text(&self, all: bool) -> String {
        let setting = &self.loaded.setting;
        let mut text = format!("Replay by the rules of {} against the kernel ({})\n", setting.model_name(), setting.kernel.release);
        for note in &setting.notes {
            writeln!(text, "note: {note}").unwrap_or_default();
        }
        let names = ["slabinfo.before, whose number of slabs the heap at the start goes by", "slabinfo.after"];
        for (verdict, name) in self.slabinfo.iter().zip(names) {
            if let Some(verdict) = verdict {
                self.slabinfo_text(&mut text, verdict, name, all);
            }
        }
        self.pages_text(&mut text, all);
        let agreement = match self.obstacle {
            Some(obstacle) => format!("cannot be judged: {obstacle}"),
            None => {
                let total = self.agreement();
                let (agreed, compared) = (total.agreed, total.compared);
                format!("{} % ({agreed} of {compared} allocations from the kernel's slab)", percent(agreed, compared))
            }
        };
        writeln!(text, "\nslab agreement  {agreement}").unwrap_or_default();
        text
    }

    fn slabinfo_text(&self, text: &mut String, verdict: &SlabinfoVerdict, name: &str, all: bool) {
        let mut rows =
            vec![row([&"cache", &"active_slabs", &"replay", &"num_slabs", &"replay", &"num_objs", &"replay", &"active_objs", &"replay"])];
        let mut differing = 0;
        for cache in verdict.caches() {
            let get =
                |column: &str| verdict.of_cache(cache).find(|row| row.column == column).map_or((0, 0), |row| (row.kernel, row.replay));
            let figures = ["active_slabs", "num_slabs", "num_objs", "active_objs"].map(get);
            let differs = figures.iter().take(3).any(|(kernel, replay)| kernel != replay);
            differing += u64::from(differs);
            if differs || all {
                let cells = figures.iter().flat_map(|(kernel, replay)| [kernel.to_string(), replay.to_string()]);
                rows.push(std::iter::once(printable(cache, true)).chain(cells).collect());
            }
        }
        writeln!(text, "\nAgainst {name}: {differing} of {} caches differ", verdict.caches().count()).unwrap_or_default();
        if rows.len() > 1 {
            text.push_str(&columns(&rows, 1));
        }
        for (what, names) in
            [("caches of the replay that the file does not have", &verdict.unknown), ("caches that the replay lacks", &verdict.missing)]
        {
            if !names.is_empty() {
                writeln!(text, "{what}: {}", names.join(", ")).unwrap_or_default();
            }
        }
        let include = |cache: &str| self.counts(cache);
        for column in ["active_slabs", "num_objs"] {
            let (kernel, replay) = verdict.total(column, include);
            let error = if kernel == 0 { 0.0 } else { kernel.abs_diff(replay) as f64 * 100.0 / kernel as f64 };
            writeln!(text, "{column:<13} {} in the kernel, {} in the replay ({error:.2} %)", thousands(kernel), thousands(replay))
                .unwrap_or_default();
        }
        let (many, exact) = verdict.exact(include);
        writeln!(text, "exact         {exact} of {many} caches with at least {MANY_SLABS} slabs, in active_slabs and num_objs")
            .unwrap_or_default();
        let shape = |row: &&crate::verify::SlabinfoRow| ["objperslab", "pagesperslab"].contains(&row.column) && row.kernel != row.replay;
        let shapes = verdict.rows.iter().filter(shape).count();
        let computed = &self.loaded.plan.sizing_differences;
        writeln!(text, "geometry      {shapes} figures differ; {} computed otherwise than the kernel reports", computed.len())
            .unwrap_or_default();
    }

    fn pages_text(&self, text: &mut String, all: bool) {
        if self.pages.is_empty() {
            return;
        }
        let step = if all { 1 } else { 20 };
        let mut rows = vec![row([&"pages in use", &"kernel", &"replay", &"error %"])];
        let shown = self.pages.iter().enumerate().filter(|(at, row)| row.what.starts_with("meminfo") || at % step == 0);
        rows.extend(shown.map(|(_, page)| row([&page.what, &page.kernel, &page.replay, &format!("{:.2}", page.error_percent())])));
        writeln!(text, "\n{}", columns(&rows, 1).trim_end()).unwrap_or_default();
        let largest = self.pages.iter().map(PageRow::error_percent).fold(0.0, f64::max);
        let mean = self.pages.iter().map(PageRow::error_percent).sum::<f64>() / self.pages.len() as f64;
        writeln!(text, "of {} moments: largest error {largest:.2} %, mean {mean:.2} %", self.pages.len()).unwrap_or_default();
    }

    fn csv(&self) -> String {
        let mut text = String::from("cache,counter,cpu,kernel,replay\n");
        for row in self.slabinfo[1].iter().flat_map(|verdict| &verdict.rows) {
            writeln!(text, "{},{},,{},{}", csv_field(&row.cache), row.column, row.kernel, row.replay).unwrap_or_default();
        }
        for page in &self.pages {
            writeln!(text, ",pages at {},,{},{}", page.what, page.kernel, page.replay).unwrap_or_default();
        }
        text
    }

    fn agreement_csv(&self) -> String {
        let mut text = String::from("cache,compared,agreed,percent,first_divergence_operation,first_divergence_ns\n");
        for row in self.agreements.caches.iter().filter(|_| self.obstacle.is_none()) {
            let first =
                self.agreements.first_of(row).map_or_else(|| ",".to_owned(), |first| format!("{},{}", first.operation, first.time_ns));
            let percent = row.figures.percent().map_or_else(String::new, |percent| percent.to_string());
            let (compared, agreed) = (row.figures.compared, row.figures.agreed);
            writeln!(text, "{},{compared},{agreed},{percent},{first}", csv_field(&row.cache)).unwrap_or_default();
        }
        text
    }

    fn json(&self) -> Value {
        let setting = &self.loaded.setting;
        let snapshot = |verdict: &SlabinfoVerdict| {
            let include = |cache: &str| self.counts(cache);
            let (many, exact) = verdict.exact(include);
            let total = |column| {
                let (kernel, replay) = verdict.total(column, include);
                json!({ "kernel": kernel, "replay": replay })
            };
            let rows = verdict.rows.iter();
            json!({
                "active_slabs": total("active_slabs"),
                "num_objs": total("num_objs"),
                "error_percent": verdict.error_percent(include),
                "caches_with_many_slabs": many,
                "of_these_exact": exact,
                "unknown_caches": verdict.unknown,
                "missing_caches": verdict.missing,
                "rows": rows.map(|row| json!([row.cache, row.column, row.kernel, row.replay])).collect::<Vec<Value>>(),
            })
        };
        let pages = self.pages.iter().map(|page| json!({ "at": page.what, "kernel": page.kernel, "replay": page.replay }));
        let total = self.agreement();
        json!({
            "kernel": setting.label(),
            "model": setting.model_name(),
            "notes": setting.notes,
            "excluded": self.excluded,
            "slabinfo_before": self.slabinfo[0].as_ref().map(snapshot),
            "slabinfo_after": self.slabinfo[1].as_ref().map(snapshot),
            "pages": pages.collect::<Vec<Value>>(),
            "error_percent": self.error_percent(),
            "agreement": json!({ "obstacle": self.obstacle.map(|obstacle| obstacle.to_string()), "compared": total.compared, "agreed": total.agreed }),
        })
    }
}
