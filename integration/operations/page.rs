//! The page docs/operations.md: its commands, and the outputs that it shows.

use std::{collections::BTreeSet, path::Path};

/// The page.
pub(super) struct Page {
    text: String,
}

/// A command, and what the page shows as its output.
pub(super) struct Step {
    pub(super) command: String,
    pub(super) output: String,
}

// === impl Page ===

impl Page {
    pub(super) fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
        Self { text: std::fs::read_to_string(file).unwrap() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The code blocks of a language.
    pub(super) fn blocks(&self, language: &str) -> Vec<&str> {
        let start = format!("```{language}\n");
        let blocks = self.text.split(&start).skip(1).filter_map(|rest| rest.split_once("```"));
        blocks.map(|(block, _)| block).collect()
    }

    /// The ports that the page uses.
    pub(super) fn ports(&self) -> impl Iterator<Item = &str> {
        let ports = self.text.split("127.0.0.1:").skip(1).filter_map(|rest| rest.get(..4));
        let ports: BTreeSet<_> = ports.filter(|port| port.starts_with(['8', '9'])).collect();
        ports.into_iter()
    }

    /// The commands in order.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for block in self.blocks("console") {
            for line in block.lines() {
                match (line.strip_prefix("$ "), steps.last_mut()) {
                    (Some(command), _) => {
                        steps.push(Step { command: command.to_owned(), output: String::new() });
                    }
                    (None, Some(step)) => step.output += &format!("{line}\n"),
                    (None, None) => panic!("an output without a command: {line}"),
                }
            }
        }
        steps
    }
}

/// Whether an output matches the one on the page. `…` matches any text, and a line of `…` any lines.
/// Times, durations, ports and the width of columns may differ.
pub(super) fn fits(printed: &str, expected: &str) -> bool {
    let lines = |text: &str| text.lines().map(plain).filter(|line| !line.is_empty()).collect::<Vec<_>>();
    fits_lines(&lines(printed), &lines(expected))
}

fn fits_lines(printed: &[String], expected: &[String]) -> bool {
    match (printed, expected) {
        (printed, []) => printed.is_empty(),
        (printed, [any, rest @ ..]) if any == "…" => {
            (0..=printed.len()).any(|skipped| fits_lines(&printed[skipped..], rest))
        }
        ([], _) => false,
        ([line, printed @ ..], [pattern, expected @ ..]) => {
            fits_line(line, pattern) && fits_lines(printed, expected)
        }
    }
}

fn fits_line(line: &str, pattern: &str) -> bool {
    match pattern.split_once('…') {
        None => line == pattern,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| fits_line(&rest[at..], after))
        }),
    }
}

/// A line with `#` for what differs from run to run.
fn plain(line: &str) -> String {
    let words: Vec<_> = line.split_whitespace().collect();
    let line = words.join(" ");
    let mut out = String::new();
    let mut rest = line.as_str();
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
        out += &rest[..start];
        rest = &rest[start..];
        let number = run(rest, |letter| letter.is_ascii_digit() || letter == '.');
        let time = run(rest, |letter| letter.is_ascii_digit() || "-:.TZ".contains(letter));
        let after = &rest[number.len()..];
        let unit = run(after, |letter| letter.is_alphabetic());
        if time.ends_with('Z') {
            out.push('#');
            rest = &rest[time.len()..];
        } else if ["ms", "s", "us", "µs"].contains(&unit) {
            out.push('#');
            rest = &after[unit.len()..];
        } else {
            // Ports, processes and parts of seconds.
            let varies = number.len() >= 4 && !number.starts_with("127.");
            out += if varies { "#" } else { number };
            rest = after;
        }
    }
    out + rest
}

/// The beginning of a text that consists of such letters.
fn run(text: &str, is_part: impl Fn(char) -> bool) -> &str {
    text.find(|letter| !is_part(letter)).map_or(text, |end| &text[..end])
}

#[test]
fn an_output_fits_despite_times_and_ports_and_in_no_other_way() {
    assert!(fits(
        "at 2026-11-29T22:50:06.123Z in  5ms: 127.0.0.1:4567 1:0:3",
        "at 2025-01-01T00:00:00Z in 17s: 127.0.0.1:9139 1:0:3\n"
    ));
    assert!(fits("a\nb\nc 7 d", "…\nc … d\n"));
    assert!(!fits("1:0:4", "1:0:3"));
    assert!(!fits("a\nb", "a"));
    assert!(!fits("a", "a\nb"));
    assert!(!fits("c 7 e", "c … d"));
}
