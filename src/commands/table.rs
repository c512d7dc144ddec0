//! Tables for people.

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::printable::is_active;

/// The space between two columns.
const GAP: &str = "  ";

/// How the cells of a column are aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Prints rows below their headings, in columns that are as wide as their widest cell.
pub(super) fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let heading = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(heading)
        .chain(rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()))
        .collect();
    let widths: Vec<_> = (0..columns.len())
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(columns) {
            let space = " ".repeat(width - cell.width());
            match align {
                Align::Left => line += &format!("{cell}{space}"),
                Align::Right => line += &format!("{space}{cell}"),
            }
            line += GAP;
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// The items of an array in an answer; none if it is not an array.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A number with the words that follow it: `1 session moves`, `2 sessions move`.
pub(super) fn counted(number: &Value, one: &str, many: &str) -> String {
    let words = if *number == 1 { one } else { many };
    format!("{number} {words}")
}

/// The text without characters that a terminal acts on: some texts come from clients.
pub(super) fn visible(text: &str) -> String {
    text.chars().map(|letter| if is_active(letter) { '?' } else { letter }).collect()
}

/// A time in seconds, in at most two units: `2h 5m`.
pub(super) fn duration(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, hours, ..) => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_have_no_control_characters() {
        let columns = [("ID", Align::Left), ("IN", Align::Right)];
        let rows = [vec!["1:0".to_owned(), "7".to_owned()], vec!["名\u{1b}".to_owned(), "1234".to_owned()]];
        assert_eq!(table(&columns, &rows), "ID     IN\n1:0     7\n名?  1234\n");
        assert_eq!(table(&columns, &[]), "ID  IN\n");
    }

    #[test]
    fn times_have_two_units() {
        let times = [0.9, 61.0, 3600.0, 90_000.0].map(duration);
        assert_eq!(times, ["0s", "1m 1s", "1h 0m", "1d 1h"]);
    }
}
