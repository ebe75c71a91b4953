use super::*;
use crate::input::analysis::{CallerFigures, Course, Look, OwnerFigures, Verdict};
use crate::testdata;

/// A name that would end scripts, attributes and elements if it stood anywhere as it is.
const EVIL: &str = "</script><b>\"'&\u{1}<!--";

fn html(input: &ReportInput, analysis: Option<&AnalysisInput>) -> String {
    let parameters = [("--samples".to_owned(), "400".to_owned())];
    render(&Document { input, analysis, parameters: &parameters, extension: "csv" }).expect("renders")
}

fn analysis(name: &str) -> AnalysisInput {
    let look = |slabs: u64| Look { slabs, slab_bytes: slabs * 4096, objects: slabs * 64, live_objects: slabs, ..Look::default() };
    AnalysisInput {
        run: testdata::small().run,
        moments_ns: vec![0, 500, 1000],
        courses: vec![Course {
            cache: name.to_owned(),
            stride_bytes: 64,
            looks: vec![look(1), look(2), look(1)],
            allocs_between: vec![9, 1],
        }],
        sites: vec![OwnerFigures { cache: name.to_owned(), owner: name.to_owned(), live_requested_bytes: 7, ..OwnerFigures::default() }],
        callers: vec![CallerFigures {
            call_site: name.to_owned(),
            allocated_bytes: 8,
            requested_bytes: 6,
            hits: 1,
            ping_pong: 0,
            fragmentation: 0.25,
        }],
        verdicts: vec![Verdict { cache: name.to_owned(), verdict: "sparse", bytes: 2048, evidence: vec![name.to_owned()] }],
        notes: vec![name.to_owned()],
        ..AnalysisInput::default()
    }
}

/// The page without its scripts and styles, whose text may hold anything.
fn without_scripts(page: &str) -> String {
    let mut rest = page;
    let mut kept = String::new();
    while let Some(from) = ["<script", "<style"].iter().filter_map(|tag| rest.find(tag)).min() {
        kept.push_str(&rest[..from]);
        let end = if rest[from..].starts_with("<script") { "</script>" } else { "</style>" };
        let to = rest[from..].find(end).expect("every script and style ends");
        rest = &rest[from + to + end.len()..];
    }
    kept + rest
}

#[test]
fn the_page_says_what_was_replayed_and_how_far_to_believe_it() {
    let page = html(&testdata::small(), Some(&analysis("dentry")));
    assert!(page.starts_with("<!DOCTYPE html>"));
    for part in [
        "traces/small.dat",
        "6.12.117",
        "SLUB 6.8-6.17",
        "<code>--samples</code>",
        "The recording starts in the middle of things.",
        "The recorder reports no lost events.",
        "implied frees",
        "How long objects live",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let order = ["id=\"run\"", "id=\"fidelity\"", "id=\"findings\"", "id=\"courses\"", "id=\"verdicts\"", "id=\"caches\""];
    let places: Vec<_> = order.iter().map(|part| page.find(part).expect("a section")).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn nothing_is_fetched() {
    let page = without_scripts(&html(&testdata::small(), Some(&analysis("dentry"))));
    for reference in ["src=", "<link", "@import", "url(", "<iframe", "<object", "<base"] {
        assert!(!page.contains(reference), "{reference}");
    }
    // Links lead to places of the page itself.
    assert!(page.matches("href=").count() > 0);
    assert_eq!(page.matches("href=").count(), page.matches("href=\"#").count());
}

#[test]
fn names_are_harmless_wherever_they_stand() {
    let mut input = testdata::small();
    input.run.trace = EVIL.to_owned();
    input.run.kernel = EVIL.to_owned();
    input.run.notes = vec![EVIL.to_owned()];
    input.run.events = vec![(EVIL.to_owned(), 1)];
    input.ledger[0].cache = EVIL.to_owned();
    for cache in &mut input.caches {
        cache.name = EVIL.to_owned();
    }
    let parameters = [(EVIL.to_owned(), EVIL.to_owned())];
    let found = analysis(EVIL);
    let page = render(&Document { input: &input, analysis: Some(&found), parameters: &parameters, extension: "csv" }).expect("renders");
    let harmless = html(&testdata::small(), Some(&analysis("dentry")));
    for tag in ["<script", "</script", "<b>", "</b>", "<!--"] {
        let (with, without) = (page.matches(tag).count(), harmless.matches(tag).count());
        assert_eq!(with, without, "{tag} only where the page itself has it");
    }
    assert!(!page.contains('\u{1}'));
    assert!(without_scripts(&page).contains("&lt;&#x2f;script&gt;&lt;b&gt;"), "shown as it is");
}

#[test]
fn own_scripts_do_not_end_their_element() {
    for script in [SCRIPT, CHART_SCRIPT] {
        assert!(!script.to_ascii_lowercase().contains("</script"));
        assert!(!script.contains("<!--"));
    }
    for style in [STYLE, CHART_STYLE] {
        assert!(!style.to_ascii_lowercase().contains("</style"));
    }
}

#[test]
fn an_empty_replay_is_a_page_too() {
    for analysis in [None, Some(&AnalysisInput::default())] {
        let page = html(&testdata::empty(), analysis);
        assert!(page.contains("there is nothing to draw"));
        assert!(page.contains("No rows."));
        assert!(page.ends_with("</html>") || page.ends_with("</html>\n"));
        assert_eq!(page.contains("id=\"findings\""), analysis.is_some());
    }
}

#[test]
fn the_same_input_gives_the_same_page() {
    let found = analysis("dentry");
    assert_eq!(html(&testdata::small(), Some(&found)), html(&testdata::small(), Some(&found)));
}

#[test]
fn a_series_of_the_wrong_length_does_not_panic() {
    let mut input = testdata::small();
    input.timeline.caches[0].slab_bytes.pop();
    input.timeline.caches[1].cache = 99;
    let mut found = analysis("dentry");
    found.courses[0].looks.push(Look::default());
    found.courses[0].allocs_between.clear();
    assert!(html(&input, Some(&found)).contains("</html>"));
}
