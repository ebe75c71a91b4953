//! Rows of text in columns; values as programs read them.

/// Blanks between two columns.
const GAP: &str = "  ";

/// Lays rows out in columns as wide as their widest cell: the first `left` ones to the left, the others to the right.
pub(super) fn columns(rows: &[Vec<String>], left: usize) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let mut widths = vec![0; count];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (index, cell) in row.iter().enumerate() {
            let padding = " ".repeat(widths.get(index).map_or(0, |width| width - cell.chars().count()));
            line.push_str(if index == 0 { "" } else { GAP });
            if index < left { line.extend([cell, &*padding]) } else { line.extend([&*padding, cell]) }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A row from anything that can be shown.
pub(super) fn row<const N: usize>(cells: [&dyn ToString; N]) -> Vec<String> {
    cells.iter().map(|cell| cell.to_string()).collect()
}

/// A CSV field; cache names may hold anything.
pub(super) fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// A mean for a program, in as many places as anybody will want.
pub(super) fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_left_numbers_right_and_no_blanks_at_the_end() {
        let rows = [row([&"cache", &"slabs", &""]), row([&"a", &12_345, &""]), row([&"a_longer_name", &7, &""])];
        assert_eq!(columns(&rows, 1), "cache          slabs\na              12345\na_longer_name      7\n");
    }

    #[test]
    fn what_csv_gives_a_meaning_is_quoted() {
        assert_eq!(csv_field("dentry"), "dentry");
        assert_eq!(csv_field("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
