//! The counters of both engines side by side.

use super::remark;
use crate::format::{percent, thousands};
use crate::input::threads::{ThreadsCache, ThreadsInput};
use crate::ratios::threads::Compared;
use crate::text::sections::title;
use crate::text::table::{
    Align::{Left, Right},
    Table,
};
use crate::text::{TextOptions, section};

pub(super) fn write(out: &mut String, input: &ThreadsInput, options: &TextOptions) {
    let counted: Vec<usize> = (0..input.figures.len()).filter(|&figure| is_counted(input.compared(figure))).collect();
    if counted.is_empty() {
        return;
    }
    section(out, "Agreement with the exact engine", options);
    let reasons = reasons(input, &counted);
    let mut table = Table::new(&[
        ("over all caches", Left),
        ("exact", Right),
        ("threads", Right),
        ("difference", Right),
        ("of it", Right),
        ("may differ", Left),
    ]);
    for &figure in &counted {
        let compared = input.compared(figure);
        let why = input.figures[figure].why;
        let mark = why.and_then(|why| reasons.iter().position(|reason| *reason == why)).map_or_else(|| "no".to_owned(), letter);
        table.row(vec![
            input.figures[figure].name.to_owned(),
            thousands(compared.exact),
            thousands(compared.threads),
            signed(compared.difference()),
            relative(compared),
            mark,
        ]);
    }
    table.write(out, options);
    if input.workers.len() == 1 {
        remark(out, "One worker has nobody to race: all of it has to be equal.", options);
    }
    for (number, reason) in reasons.iter().enumerate() {
        remark(out, &format!("{}: {reason}", letter(number)), options);
    }
    verdict(out, input, options);
    differing_caches(out, input, options);
}

fn is_counted(compared: Compared) -> bool {
    compared.exact > 0 || compared.threads > 0
}

/// Why figures may differ, each once, in order of appearance.
fn reasons(input: &ThreadsInput, figures: &[usize]) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    for why in figures.iter().filter_map(|&figure| input.figures[figure].why) {
        if !reasons.contains(&why) {
            reasons.push(why);
        }
    }
    reasons
}

fn letter(number: usize) -> String {
    char::from_u32('a' as u32 + number as u32).filter(char::is_ascii_lowercase).map_or_else(|| number.to_string(), String::from)
}

fn signed(difference: i128) -> String {
    let size = thousands(u64::try_from(difference.unsigned_abs()).unwrap_or(u64::MAX));
    match difference {
        0 => "0".to_owned(),
        more if more > 0 => format!("+{size}"),
        _ => format!("-{size}"),
    }
}

/// The difference as a share of what the exact engine counted.
fn relative(compared: Compared) -> String {
    match compared.difference() {
        0 => String::new(),
        _ if compared.exact == 0 => "-".to_owned(),
        difference => percent(difference.unsigned_abs() as f64 / compared.exact as f64),
    }
}

/// Says whether everything is equal that has to be.
fn verdict(out: &mut String, input: &ThreadsInput, options: &TextOptions) {
    if input.facts.is_stopped {
        remark(out, "The replay was stopped: nothing need be equal.", options);
        return;
    }
    let violations = input.violations();
    let Some(&(cache, figure)) = violations.first() else {
        remark(out, "All that has to be equal is, in every cache.", options);
        return;
    };
    let (label, name) = (&input.caches[cache].label, input.figures[figure].name);
    let text = format!("  ! Not equal although it has to be: {name} of {label}, and {} more", violations.len() - 1);
    let text = crate::format::cut(&crate::format::printable(&text, options.unicode), options.width, options.unicode);
    out.push_str(&options.warning(&text));
    out.push('\n');
}

fn differing_caches(out: &mut String, input: &ThreadsInput, options: &TextOptions) {
    let figures = input.figures.len();
    let mut differing: Vec<(&ThreadsCache, u128)> = input.caches.iter().map(|cache| (cache, cache.deviation(figures))).collect();
    differing.retain(|(_, deviation)| *deviation > 0);
    differing.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.label.cmp(&b.label)));
    let shown = differing.len().min(options.top);
    if shown == 0 {
        return;
    }
    section(out, &title("Caches that differ most", shown, differing.len()), options);
    let mut table = Table::new(&[("cache", Left), ("differences", Right), ("largest", Left), ("exact", Right), ("threads", Right)]);
    for (cache, deviation) in &differing[..shown] {
        let Some(largest) =
            (0..figures).max_by_key(|&figure| (cache.compared(figure).difference().unsigned_abs(), std::cmp::Reverse(figure)))
        else {
            continue;
        };
        let compared = cache.compared(largest);
        table.row(vec![
            cache.label.clone(),
            thousands(u64::try_from(*deviation).unwrap_or(u64::MAX)),
            input.figures[largest].name.to_owned(),
            thousands(compared.exact),
            thousands(compared.threads),
        ]);
    }
    table.write(out, options);
    remark(out, "differences: summed over all counters, whatever their sign", options);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata::threads::small;

    fn text(input: &ThreadsInput) -> String {
        let mut out = String::new();
        write(&mut out, input, &TextOptions::default());
        out
    }

    #[test]
    fn totals_differences_and_why() {
        // alloc_fastpath: 80 + 40 against 70 + 40.
        let expected = "
Agreement with the exact engine
  over all caches  exact  threads  difference  of it  may differ
  allocations        150      150           0         no
  alloc_fastpath     120      110         -10   8.3%  a
  alloc_slowpath      30       40         +10  33.3%  a
  a: Who is first is served fast.
  All that has to be equal is, in every cache.

Caches that differ most
  cache       differences  largest         exact  threads
  kmalloc-64           20  alloc_fastpath     80       70
";
        assert!(text(&small()).starts_with(expected), "{}", text(&small()));
    }

    #[test]
    fn what_has_to_be_equal_and_is_not_stands_out() {
        let mut input = small();
        input.caches[1].threads[0] = 49;
        assert!(text(&input).contains("! Not equal although it has to be: allocations of dentry, and 0 more\n"));
        input.facts.is_stopped = true;
        assert!(text(&input).contains("The replay was stopped: nothing need be equal.\n"));
    }

    #[test]
    fn one_worker_has_no_excuse() {
        let mut input = small();
        input.workers.truncate(1);
        let text = text(&input);
        assert!(text.contains("One worker has nobody to race"), "{text}");
        assert!(text.contains("alloc_fastpath of kmalloc-64, and 1 more"), "{text}");
    }
}
