//! Numbers, names and small pictures as characters, for the text report and the charts.

/// Returns `value` with a comma between groups of three digits.
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Returns `bytes` in the largest unit that leaves at least 1, with one decimal.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be shown as 1024.0: better 1.0 of the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Returns `share`, 0 to 1, in percent. Never shows 0 or 100 for what is a little more or less.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 {
        "<0.1%".to_owned()
    } else if percent > 99.9 && percent < 100.0 {
        ">99.9%".to_owned()
    } else {
        format!("{percent:.1}%")
    }
}

/// Returns a span of time in the unit that reads best.
pub fn duration(ns: u64) -> String {
    let value = ns as f64;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} us", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", value / 1e6),
        1_000_000_000..600_000_000_000 => format!("{:.2} s", value / 1e9),
        _ => format!("{} min {:02} s", ns / 60_000_000_000, ns / 1_000_000_000 % 60),
    }
}

/// Returns `text` without control characters, which could reprogram a terminal or break an SVG,
/// and, unless `unicode`, without anything beyond ASCII.
pub fn printable(text: &str, unicode: bool) -> String {
    text.chars()
        .map(|char| match char {
            _ if char.is_control() => '?',
            // Marks that turn the direction of writing, and code points that XML forbids.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '?',
            '\u{fffe}' | '\u{ffff}' => '?',
            _ if char.is_ascii() || unicode => char,
            _ => '?',
        })
        .collect()
}

/// The mark for text left out.
pub fn ellipsis(unicode: bool) -> &'static str {
    if unicode { "…" } else { "..." }
}

/// Returns `text` cut at its end to at most `width` characters.
pub fn cut(text: &str, width: usize, unicode: bool) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mark = ellipsis(unicode);
    let Some(kept) = width.checked_sub(mark.chars().count()) else {
        return mark.chars().take(width).collect();
    };
    text.chars().take(kept).chain(mark.chars()).collect()
}

/// Returns `values` as `width` block characters, scaled to the largest value.
///
/// Each character shows the largest of the values that fall to it, so that no peak is lost.
pub fn sparkline(values: &[u64], width: usize) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = values.iter().copied().max().unwrap_or(0);
    if highest == 0 {
        return String::new();
    }
    let width = width.min(values.len());
    (0..width)
        .map(|column| {
            let from = column * values.len() / width;
            let to = (column + 1) * values.len() / width;
            let value = values[from..to].iter().copied().max().unwrap_or(0);
            let eighths = (value as f64 / highest as f64 * 8.0).ceil() as usize;
            LEVELS[eighths.clamp(1, 8) - 1]
        })
        .collect()
}

/// Returns `text` in lines of at most `width` characters, broken at blanks where possible.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        let used = line.chars().count();
        if used > 0 && used + 1 + word.len() > width {
            lines.push(std::mem::take(&mut line));
        } else if used > 0 {
            line.push(' ');
        }
        // A word longer than a line, such as a path, has to be broken.
        while word.len() > width {
            let rest = word.split_off(width);
            lines.push(word.into_iter().collect());
            word = rest;
        }
        line.extend(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_three_digits() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (value, text) in cases {
            assert_eq!(thousands(value), text);
        }
    }

    #[test]
    fn byte_units_change_before_1024() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(1_048_575), "1.0 MiB"); // 1023.999 KiB
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn percent_keeps_small_shares_visible() {
        let cases = [(0.0, "0.0%"), (0.0001, "<0.1%"), (0.25, "25.0%"), (0.9999, ">99.9%"), (1.0, "100.0%")];
        for (value, text) in cases {
            assert_eq!(percent(value), text);
        }
    }

    #[test]
    fn durations_pick_a_unit() {
        assert_eq!(duration(0), "0 ns");
        assert_eq!(duration(1_500), "1.5 us");
        assert_eq!(duration(2_500_000), "2.5 ms");
        assert_eq!(duration(12_340_000_000), "12.34 s");
        assert_eq!(duration(605_000_000_000), "10 min 05 s");
    }

    #[test]
    fn escape_codes_do_not_pass() {
        assert_eq!(printable("a\x1b[31mb", true), "a?[31mb");
        assert_eq!(printable("größe", true), "größe");
        assert_eq!(printable("größe", false), "gr??e");
    }

    #[test]
    fn cut_leaves_room_for_the_mark() {
        assert_eq!(cut("dentry", 6, true), "dentry");
        assert_eq!(cut("dentries", 6, true), "dentr…");
        assert_eq!(cut("dentries", 6, false), "den...");
        assert_eq!(cut("dentries", 2, false), "..");
        assert_eq!(cut("dentries", 0, true), "");
    }

    #[test]
    fn sparkline_keeps_peaks() {
        assert_eq!(sparkline(&[0, 8, 0, 4], 2), "█▄"); // 8/8 and 4/8 of the height
        assert_eq!(sparkline(&[0, 0], 2), "");
        assert_eq!(sparkline(&[], 8), "");
        assert_eq!(sparkline(&[5], 8), "█");
    }

    #[test]
    fn wraps_at_blanks_and_breaks_long_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert!(wrap("", 10).is_empty());
    }
}
