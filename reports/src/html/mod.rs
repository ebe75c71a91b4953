//! The report as one HTML file, which needs nothing else: no network, no other file.
//!
//! `sheets` makes tables for people from [`crate::tables`], `fidelity` says how far to believe them, `data` is what the charts over
//! time are drawn from in the browser, and `report.html` puts them together. Styles, scripts and the charts' library are in `assets/`.

mod data;
mod fidelity;
mod sheets;
mod summary;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use polars::prelude::PolarsError;
use serde::Serialize;

use crate::charts::analysis::AnalysisChart;
use crate::charts::{Chart, ChartError, Picture};
use crate::format::{bytes, duration, printable, thousands};
use crate::input::analysis::AnalysisInput;
use crate::input::{ReportInput, RunFacts};

/// What the report is made from.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// Figures of the replay.
    pub input: &'a ReportInput,
    /// What the analyses found, where there were any.
    pub analysis: Option<&'a AnalysisInput>,
    /// How the replay was asked for: names and values as the user knows them, such as `--samples` and `400`.
    pub parameters: &'a [(String, String)],
    /// How the names of tables' files beside the page end, such as `csv`.
    pub extension: &'static str,
}

/// A report that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HtmlError {
    /// A table cannot be built.
    #[error("cannot build table {name}")]
    Table {
        /// Its name.
        name: &'static str,
        /// What polars said.
        source: PolarsError,
    },
    /// A picture cannot be drawn.
    #[error("cannot draw chart {name}")]
    Chart {
        /// Its name.
        name: &'static str,
        /// Why.
        source: ChartError,
    },
    /// The parts cannot be put together.
    #[error("cannot fill in the template")]
    Template(#[from] minijinja::Error),
}

/// What the template asks for.
#[derive(Serialize)]
struct Page {
    title: String,
    version: &'static str,
    extension: &'static str,
    facts: Vec<(&'static str, String)>,
    parameters: Vec<(String, String)>,
    tiles: Vec<summary::Tile>,
    fidelity: fidelity::Fidelity,
    findings: Option<summary::Findings>,
    sheets: Vec<sheets::Sheet>,
    pictures: Vec<Drawing>,
    has_courses: bool,
    has_analysis: bool,
    data: String,
    style: &'static str,
    chart_style: &'static str,
    chart_script: &'static str,
    script: &'static str,
}

/// A chart that is the same on screen and on paper.
#[derive(Serialize)]
struct Drawing {
    name: &'static str,
    title: &'static str,
    svg: String,
}

const TEMPLATE: &str = include_str!("report.html");
const STYLE: &str = include_str!("../../assets/report.css");
const SCRIPT: &str = include_str!("../../assets/report.js");
const CHART_STYLE: &str = include_str!("../../assets/uplot/uPlot.min.css");
const CHART_SCRIPT: &str = include_str!("../../assets/uplot/uPlot.iife.min.js");

/// Returns the report as an HTML document.
///
/// The same document gives the same bytes. Names from the trace are escaped, and their control characters replaced.
///
/// # Errors
///
/// If the input refers to caches that it does not hold, or has series of the wrong length.
pub fn render(document: &Document<'_>) -> Result<String, HtmlError> {
    let Document { input, analysis, parameters, extension } = *document;
    let data = data::data(input, analysis);
    let page = Page {
        title: if input.run.trace.is_empty() { "unknown".to_owned() } else { printable(&input.run.trace, true) },
        version: env!("CARGO_PKG_VERSION"),
        extension,
        facts: facts(&input.run),
        parameters: parameters.iter().map(|(name, value)| (printable(name, true), printable(value, true))).collect(),
        tiles: summary::tiles(input, analysis),
        fidelity: fidelity::fidelity(input),
        findings: analysis.map(summary::findings),
        sheets: sheets::sheets(input, analysis, extension)?,
        pictures: pictures(input, analysis)?,
        has_courses: data.has_courses(),
        has_analysis: analysis.is_some(),
        data: data.to_script(),
        style: STYLE,
        chart_style: CHART_STYLE,
        chart_script: CHART_SCRIPT,
        script: SCRIPT,
    };
    let mut environment = Environment::new();
    // Everything is escaped unless the template says otherwise; what it asks for must be there.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    Ok(environment.render_str(TEMPLATE, Serde(&page))?)
}

fn facts(run: &RunFacts) -> Vec<(&'static str, String)> {
    let or_unknown = |text: &str| if text.is_empty() { "unknown".to_owned() } else { printable(text, true) };
    let events: Vec<String> = run.events.iter().map(|(name, count)| format!("{} {}", printable(name, true), thousands(*count))).collect();
    let total = run.events.iter().map(|(_, count)| *count).fold(0, u64::saturating_add);
    let mut facts = vec![
        ("Trace", or_unknown(&run.trace)),
        ("Format", or_unknown(&run.format)),
        ("Kernel", or_unknown(&run.kernel)),
        ("Model", or_unknown(&run.model)),
        ("Machine", format!("CPUs: {}, memory nodes: {}, page size: {}", run.cpus, run.nodes, bytes(u64::from(run.page_bytes)))),
        ("Duration", duration(run.duration_ns)),
        ("Events", thousands(total)),
        ("Replayed", format!("{} allocations and {} frees", thousands(run.allocs), thousands(run.frees))),
    ];
    if !events.is_empty() {
        facts.insert(7, ("Events by kind", events.join(", ")));
    }
    facts
}

/// Charts without a course over time, drawn as for the files beside the report.
fn pictures(input: &ReportInput, analysis: Option<&AnalysisInput>) -> Result<Vec<Drawing>, HtmlError> {
    let mut pictures = vec![drawing(Chart::PathMix, "How allocations were served", input)?];
    let Some(analysis) = analysis else { return Ok(pictures) };
    for (chart, title) in [
        (AnalysisChart::Lifetimes, "How long objects live"),
        (AnalysisChart::Pinning, "Who pins slabs that are mostly free"),
        (AnalysisChart::LiveSites, "Allocated and never freed"),
        (AnalysisChart::RemoteFrees, "Frees by CPU"),
    ] {
        pictures.push(drawing(chart, title, analysis)?);
    }
    Ok(pictures)
}

fn drawing<P: Picture>(chart: P, title: &'static str, input: &P::Input) -> Result<Drawing, HtmlError> {
    let svg = chart.to_svg(input).map_err(|source| HtmlError::Chart { name: chart.name(), source })?;
    Ok(Drawing { name: chart.name(), title, svg })
}

#[cfg(test)]
mod tests;
