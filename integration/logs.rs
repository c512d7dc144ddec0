//! docs/logs.md lists each line of level info, warn and error. These tests compare it with the code.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::{root, sources};

/// Lines that no macro writes, with their levels.
const WITHOUT_MACRO: [(&str, &str); 1] = [("log lines dropped", "warn")];

/// A line of the log, in the code or in the document.
#[derive(Debug, Default)]
struct Line {
    levels: BTreeSet<String>,
    fields: BTreeSet<String>,
    /// Whether a value without a name may add fields.
    has_more: bool,
}

/// The string literal at the beginning of a text, without its quotes, escapes and continued lines resolved.
fn literal(text: &str) -> String {
    let (mut out, mut letters) = (String::new(), text.chars().skip(1).peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => match letters.next() {
                Some('\n') => while letters.next_if(|next| next.is_whitespace()).is_some() {},
                Some(escaped) => out.push(escaped),
                None => {}
            },
            letter => out.push(letter),
        }
    }
    out
}

/// The text and the fields of a format string: `a line key={}`.
fn parse(format: &str) -> (String, Line) {
    let (mut words, mut line) = (Vec::new(), Line::default());
    for word in format.split(' ') {
        match word.split_once('=') {
            Some((name, value)) => {
                assert!(!name.contains('{'), "a field without its own name: {format}");
                line.fields.insert(name.to_owned());
                // `{reason}{cause}`
                line.has_more |= value.matches('{').count() > 1;
            }
            None if word.contains('{') => line.has_more = true,
            None if !line.fields.is_empty() => panic!("a text behind the fields: {format}"),
            None if line.fields.is_empty() && !line.has_more => words.push(word),
            None => {}
        }
    }
    (words.join(" "), line)
}

/// The lines in the sources, tests left out, by their text.
fn written() -> BTreeMap<String, Line> {
    let paths = sources(&root().join("src"));
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for path in paths.into_iter().filter(|path| !path.to_str().unwrap().ends_with("tests.rs")) {
        let code = std::fs::read_to_string(&path).unwrap();
        let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for level in ["info", "warn", "error", "log"] {
            for (at, _) in code.match_indices(&format!("log::{level}!(")) {
                let call = &code[at..];
                let start = call.find('"').unwrap();
                let (text, line) = parse(&literal(&call[start..]));
                assert!(!text.is_empty(), "{}: a line begins with its text: {call:.80}", path.display());
                let known = lines.entry(text).or_default();
                known.levels.extend((level != "log").then(|| level.to_owned()));
                known.fields.extend(line.fields);
                known.has_more |= line.has_more;
            }
        }
    }
    for (text, level) in WITHOUT_MACRO {
        let line = lines.entry(text.to_owned()).or_default();
        line.levels.insert(level.to_owned());
        line.has_more = true;
    }
    lines
}

/// The texts in backquotes in a cell of a table.
fn quoted(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rows of the tables in docs/logs.md with this header.
fn rows(header: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join("docs/logs.md")).unwrap();
    let mut rows = Vec::new();
    for (at, _) in text.match_indices(header) {
        let table = text[at..].lines().take_while(|line| line.starts_with('|')).skip(2);
        let cells = |row: &str| {
            row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
        };
        rows.extend(table.map(cells));
    }
    assert!(!rows.is_empty(), "{header}");
    rows
}

/// The lines in docs/logs.md, by their text.
fn documented() -> BTreeMap<String, Line> {
    let rows = rows("| line | level | fields | when |").into_iter().map(|row| {
        assert_eq!(row.len(), 4, "{row:?}");
        let levels = row[1].split(" or ").map(str::to_owned).collect();
        (row[0].trim_matches('`').to_owned(), Line { levels, fields: quoted(&row[2]), has_more: false })
    });
    let count = rows.len();
    let lines: BTreeMap<_, _> = rows.collect();
    assert_eq!(lines.len(), count, "a line is listed twice");
    lines
}

#[test]
fn each_line_at_info_and_above_is_documented() {
    let (written, documented) = (written(), documented());
    let missing: Vec<_> = written.keys().filter(|text| !documented.contains_key(*text)).collect();
    let gone: Vec<_> = documented.keys().filter(|text| !written.contains_key(*text)).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not in docs/logs.md: {missing:#?}\nnot in the code: {gone:#?}"
    );
}

#[test]
fn each_line_is_documented_with_its_level_and_its_fields() {
    let documented = documented();
    for (text, line) in written() {
        let Some(entry) = documented.get(&text) else { continue };
        assert!(entry.levels.is_superset(&line.levels), "{text}: the level is {:?}", line.levels);
        let missing: Vec<_> = line.fields.difference(&entry.fields).collect();
        assert!(missing.is_empty(), "{text}: docs/logs.md does not list {missing:?}");
        let gone: Vec<_> = entry.fields.difference(&line.fields).collect();
        assert!(line.has_more || gone.is_empty(), "{text}: the code does not write {gone:?}");
    }
}

#[test]
fn each_field_has_a_meaning() {
    let explained: BTreeSet<_> =
        rows("| field | unit | meaning |").iter().flat_map(|row| quoted(&row[0])).collect();
    let used: BTreeSet<_> = documented().into_values().flat_map(|line| line.fields).collect();
    let missing: Vec<_> = used.difference(&explained).collect();
    let unused: Vec<_> = explained.difference(&used).collect();
    assert!(missing.is_empty() && unused.is_empty(), "not explained: {missing:?}; unused: {unused:?}");
}

#[test]
fn a_format_string_has_a_text_and_fields() {
    let (text, line) = parse(&literal("\"a line x={} y={z}{more} \\\n    v=1\", z"));
    assert_eq!((text.as_str(), line.has_more), ("a line", true));
    assert_eq!(line.fields, ["v", "x", "y"].map(str::to_owned).into());
    assert_eq!(parse("listening {who} address={}").0, "listening");
}
