//! The page of `--out` in a headless Chromium: it shows what it should, and its script does what people expect.
//!
//! The page is copied with a script at its end that uses it as a reader would and leaves its findings in an element; `--dump-dom` hands them
//! back. Where there is no Chromium, tests say so and pass: `SLUBREPLAY_CHROMIUM` names one in another place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{MIDLIFE, capture, run};

/// The folder of `--out` for the smaller capture; made once for all tests.
fn report() -> &'static Path {
    static REPORT: OnceLock<TempDir> = OnceLock::new();
    let dir = REPORT.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        run(&[capture(MIDLIFE).as_os_str(), "--out".as_ref(), dir.path().as_os_str()]).ok();
        dir
    });
    dir.path()
}

/// The browser, if there is one.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("SLUBREPLAY_CHROMIUM") {
        return Some(named.into());
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let found = std::env::split_paths(&folders).flat_map(|folder| names.map(|name| folder.join(name))).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: no chromium in PATH; the page is not tested in a browser. SLUBREPLAY_CHROMIUM=PATH names one.");
    }
    found
}

/// Puts errors where the check finds them; stands before all other scripts.
const WATCH: &str = "<script>window.faults = [];
addEventListener('error', (event) => faults.push(event.message));
addEventListener('unhandledrejection', (event) => faults.push(String(event.reason)));
addEventListener('securitypolicyviolation', (event) => faults.push('policy: ' + event.violatedDirective));
for (const kind of ['error', 'warn']) console[kind] = (...words) => faults.push(words.join(' '));
</script>";

/// Opens `page` with `check` at its end, which returns an object; returns it, with what went wrong under `faults`.
fn look(browser: &Path, page: &str, check: &str) -> Value {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("page.html");
    let found = "const told = document.createElement('pre'); told.id = 'told'; told.textContent = JSON.stringify({ ...found, faults });
document.body.append(told);";
    let check = format!(
        "<script>(async () => {{ let found; try {{ found = await (async () => {{ {check} }})(); }} catch (error) {{ faults.push(String(error.stack)); }} {found} }})();</script>"
    );
    let watched = page.replacen("<head>", &format!("<head>{WATCH}"), 1);
    let end = watched.rfind("</body>").expect("a page with an end");
    fs::write(&file, format!("{}{check}{}", &watched[..end], &watched[end..])).expect("written");
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]);
    command.args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1280,900"]);
    command.args(["--virtual-time-budget=20000", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", dir.path().join("profile").display()));
    let output = command.arg(format!("file://{}", file.display())).output().expect("the browser starts");
    let dom = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let told = dom.rfind("<pre id=\"told\">").unwrap_or_else(|| panic!("no findings; the browser said: {stderr}\n{dom:.2000}"));
    let told = dom[told..].split(['>', '<']).nth(2).expect("a text");
    let plain = told.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let found: Value = serde_json::from_str(&plain).unwrap_or_else(|error| panic!("{error}: {plain}"));
    assert_eq!(found["faults"], serde_json::json!([]), "nothing on the console");
    found
}

fn page() -> String {
    fs::read_to_string(report().join("report.html")).expect("a page")
}

#[test]
fn columns_sort_both_ways_and_tell_it() {
    let Some(browser) = chromium() else { return };
    let found = look(
        &browser,
        &page(),
        "const table = document.querySelector('#caches table');
         const head = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === 'Allocations');
         const button = table.tHead.rows[0].cells[head].querySelector('button');
         const values = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[head].dataset.v ?? row.cells[head].textContent));
         const sorts = () => [...table.tHead.rows[0].cells].map((cell) => cell.getAttribute('aria-sort')).filter((sort) => sort !== 'none');
         const before = sorts();
         button.click(); const down = values(), toldDown = sorts();
         button.click(); const up = values(), toldUp = sorts();
         table.tHead.rows[0].cells[0].querySelector('button').click();
         const names = [...table.tBodies[0].rows].map((row) => row.cells[0].textContent);
         return { before, down, up, toldDown, toldUp, names };",
    );
    let numbers =
        |key: &str| -> Vec<u64> { found[key].as_array().expect("a list").iter().map(|value| value.as_u64().expect("a number")).collect() };
    let (down, up) = (numbers("down"), numbers("up"));
    assert!(down.len() > 10 && down[0] > 0);
    assert!(down.is_sorted_by(|one, other| one >= other), "{down:?}");
    assert!(up.is_sorted(), "{up:?}");
    assert_eq!(found["before"], serde_json::json!([]));
    assert_eq!(found["toldDown"], serde_json::json!(["descending"]));
    assert_eq!(found["toldUp"], serde_json::json!(["ascending"]));
    // All allocations of the table are those that the program tells in JSON.
    let json: Value = serde_json::from_str(run(&[capture(MIDLIFE).as_os_str(), "--format=json".as_ref()]).ok()).expect("JSON");
    assert_eq!(down.iter().sum::<u64>(), json["run"]["allocs"].as_u64().expect("a number"));
    assert!(found["names"][0].as_str() < found["names"][1].as_str());
}

#[test]
fn filters_keep_the_rows_with_all_words() {
    let Some(browser) = chromium() else { return };
    let found = look(
        &browser,
        &page(),
        "const section = document.querySelector('#ledger');
         const rows = [...section.querySelectorAll('tbody tr')];
         const filter = section.querySelector('input');
         const type = (text) => { filter.value = text; filter.dispatchEvent(new Event('input')); };
         const shown = () => rows.filter((row) => row.getClientRects().length > 0).map((row) => row.textContent.toLowerCase());
         type('observed KMALLOC'); const some = shown(), told = section.querySelector('output').textContent;
         type('no such row'); const none = shown().length;
         type(''); return { all: rows.length, after: shown().length, some, told, none };",
    );
    let some = found["some"].as_array().expect("a list");
    assert!(!some.is_empty() && (some.len() as u64) < found["all"].as_u64().expect("a number"));
    for row in some {
        let row = row.as_str().expect("a text");
        assert!(row.contains("observed") && row.contains("kmalloc"), "{row}");
    }
    assert_eq!(found["told"], format!("{} of {} rows", some.len(), found["all"]));
    assert_eq!(found["none"], 0);
    assert_eq!(found["after"], found["all"]);
}

#[test]
fn light_and_dark_change_page_and_charts() {
    let Some(browser) = chromium() else { return };
    let found = look(
        &browser,
        &page(),
        "const button = document.querySelector('#theme');
         const paper = () => getComputedStyle(document.body).backgroundColor;
         const ink = () => getComputedStyle(document.querySelector('.plot')).color;
         const first = [paper(), ink(), button.textContent];
         button.click(); const second = [paper(), ink(), button.textContent];
         const charts = document.querySelectorAll('.plot canvas').length;
         button.click(); const third = [paper(), ink(), button.textContent];
         return { first, second, third, charts };",
    );
    for at in 0..3 {
        assert_ne!(found["first"][at], found["second"][at]);
    }
    assert_eq!(found["first"], found["third"]);
    assert!(found["charts"].as_u64() >= Some(5), "all charts are there after a change: {found}");
}

#[test]
fn charts_have_tooltips_zoom_keys_and_a_choice_of_caches() {
    let Some(browser) = chromium() else { return };
    let found = look(
        &browser,
        &page(),
        "const frame = () => new Promise((done) => setTimeout(done, 50));
         const box = () => document.querySelector('#chart-slabs');
         const key = (name) => box().dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true, cancelable: true }));
         await frame();
         box().focus(); key('End'); await frame();
         const tip = box().querySelector('.tip');
         const told = [tip.hidden, tip.textContent, document.querySelector('#reading').textContent];
         const ids = [...document.querySelectorAll('.plot')].map((plot) => plot.id);
         const labels = [...document.querySelectorAll('.plot')].map((plot) => plot.getAttribute('aria-label'));
         key('Home'); await frame(); const start = document.querySelector('#reading').textContent;
         key('+'); await frame(); key('End'); await frame(); const zoomed = document.querySelector('#reading').textContent;
         key('0'); await frame(); key('End'); await frame(); const back = document.querySelector('#reading').textContent;
         const picker = document.querySelector('#cache');
         const options = [...picker.options].map((option) => option.textContent);
         const over = box().querySelector('.u-over'), area = over.getBoundingClientRect();
         const mouse = (kind, at, target) => target.dispatchEvent(new MouseEvent(kind, { bubbles: true, cancelable: true, button: 0, detail: 1, movementX: 9,
           clientX: area.left + area.width * at, clientY: area.top + 20 }));
         mouse('mousemove', 0.5, over); mouse('mousedown', 0.5, over); mouse('mousemove', 0.75, over); mouse('mouseup', 0.75, document); await frame();
         box().focus(); key('Home'); await frame(); const dragged = document.querySelector('#reading').textContent;
         mouse('dblclick', 0.5, over); await frame(); key('Home'); await frame(); const restored = document.querySelector('#reading').textContent;
         picker.value = '1'; picker.dispatchEvent(new Event('change')); await frame();
         const first = JSON.parse(document.querySelector('#data').textContent).samples_s[0];
         return { told, ids, labels, first, start, zoomed, back, dragged, restored, options, chosen: document.querySelector('figure.chart figcaption').textContent };",
    );
    let second = |text: &Value| -> f64 { text.as_str().expect("a text").split(' ').next().expect("a word").parse().expect("seconds") };
    assert_eq!(found["told"][0], false, "{found}");
    assert!(found["told"][1].as_str().expect("a text").contains("in slabs"), "{found}");
    assert!(found["told"][2].as_str().expect("a text").contains("live objects of the trace: "), "{found}");
    assert_eq!(
        found["ids"],
        serde_json::json!(["chart-slabs", "chart-caches", "chart-parts", "chart-occupancy", "chart-churn", "chart-moves"])
    );
    for label in found["labels"].as_array().expect("a list") {
        assert!(label.as_str().expect("a label").contains("At the end"), "{label}");
    }
    assert!((second(&found["start"]) - found["first"].as_f64().expect("a number")).abs() < 1e-3, "{found}");
    // Half of the time is shown about the start: the end of what is shown is in the first third.
    assert!(second(&found["zoomed"]) > 0.0 && second(&found["zoomed"]) < second(&found["back"]) / 3.0, "{found}");
    assert_eq!(found["back"], found["told"][2]);
    // The right half of the chart was dragged over: what is shown begins in the middle.
    let middle = second(&found["dragged"]) / second(&found["back"]);
    assert!((0.45..0.55).contains(&middle), "{found}");
    assert_eq!(found["restored"], found["start"]);
    let chosen = found["options"][1].as_str().expect("a name");
    assert_eq!(found["options"][0], "All caches");
    assert!(found["chosen"].as_str().expect("a title").ends_with(chosen), "{found}");
}

#[test]
fn narrow_windows_do_not_scroll_sideways() {
    let Some(browser) = chromium() else { return };
    // The body is made narrow, as windows of a headless browser have a least width.
    let found = look(
        &browser,
        &page(),
        "document.body.style.width = '400px'; document.body.style.margin = '0';
         const fit = () => [...document.querySelectorAll('.plot .u-wrap')].every((plot) => plot.getBoundingClientRect().right <= 401);
         for (let tries = 0; tries < 50 && !fit(); tries += 1) await new Promise((done) => setTimeout(done, 50));
         const wide = [...document.querySelectorAll('body *')].filter((element) => !element.closest('.scroll, .unseen, .skip, .uplot')
           && element.getBoundingClientRect().right > 401).map((element) => element.tagName + '.' + element.className);
         return { wide, charts: fit() };",
    );
    assert_eq!(found["wide"], serde_json::json!([]));
    assert_eq!(found["charts"], true);
}

#[test]
fn everything_can_be_reached_and_is_named() {
    let Some(browser) = chromium() else { return };
    let found = look(
        &browser,
        &page(),
        "const named = (element) => element.getAttribute('aria-label') || element.getAttribute('aria-labelledby') || element.textContent.trim()
           || document.querySelector(`label[for=\"${element.id}\"]`);
         const all = (selector) => [...document.querySelectorAll(selector)];
         const unnamed = all('button, input, select, [tabindex], [role], section').filter((element) => !named(element)).map((element) => element.outerHTML.slice(0, 80));
         const ids = all('[id]').map((element) => element.id);
         const twice = ids.filter((id, at) => ids.indexOf(id) !== at);
         const lost = all('a[href^=\"#\"]').filter((link) => !document.getElementById(link.hash.slice(1))).map((link) => link.hash);
         const heads = all('.scroll table').every((table) => [...table.tHead.rows[0].cells].every((cell) => cell.scope === 'col'));
         const rows = all('.scroll tbody tr').every((row) => row.cells[0].scope === 'row');
         return { unnamed, twice, lost, heads, rows };",
    );
    for key in ["unnamed", "twice", "lost"] {
        assert_eq!(found[key], serde_json::json!([]), "{key}");
    }
    assert_eq!((&found["heads"], &found["rows"]), (&Value::Bool(true), &Value::Bool(true)));
}
