//! Golden cases of the language: `lang/*.cases`, one file for each construct.
//!
//! ```text
//! === the name of the case
//! event + 1
//! --- in
//! 1
//! "a"
//! --- out
//! 2
//! ! 1:7 `+` is not defined for "a" and 1
//! ```
//!
//! The text is a script, or a program if the name ends in `(program)`. Without `in` there is one event,
//! `null`. In `out`, each event has a line for each output: the data, preceded by `port:` if the port is not
//! `out`, and followed by `$ {…}` if there is metadata. A failed event has `! line:column message`; an event
//! without output has `-`. A text that does not compile has `error` instead, with all its errors. If a text
//! that compiles has warnings, they are in `warning`.
//!
//! `UPDATE=1 cargo test --test integration lang` writes the actual results into the files. Review them with care.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use towline::tools::{
    eval::{Evaluation, Subject},
    fmt::{Formatted, formatted},
};

use crate::harness::*;

/// Minimum number of cases, so that a missing file is noticed.
const AT_LEAST: usize = 250;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) input: Vec<String>,
    pub(crate) warnings: String,
    pub(crate) expected: Expected,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    Out(Vec<String>),
    Error(String),
    /// The case has no expectation yet.
    Nothing,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/lang")
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|ext| ext == "cases")).collect();
    files.sort();
    files
}

/// Splits a file into the lines before the first case, and the cases.
fn parse(text: &str) -> (String, Vec<Case>) {
    let text = format!("\n{text}");
    let mut parts = text.split("\n=== ");
    let head = parts.next().unwrap();
    (head.trim().to_owned(), parts.map(parse_case).collect())
}

fn parse_case(part: &str) -> Case {
    let (name, rest) = part.split_once('\n').unwrap_or((part, ""));
    let mut sections = format!("\n{rest}\n");
    let mut case = Case {
        name: name.trim().to_owned(),
        text: String::new(),
        input: vec!["null".to_owned()],
        warnings: String::new(),
        expected: Expected::Nothing,
    };
    let lines = |section: &str| section.lines().filter(|l| !l.is_empty()).map(str::to_owned).collect();
    for (number, section) in std::mem::take(&mut sections).split("\n--- ").enumerate() {
        let (title, body) = section.split_once('\n').unwrap_or((section, ""));
        match title {
            _ if number == 0 => case.text = section.trim_matches('\n').to_owned(),
            "in" => case.input = lines(body),
            "warning" => case.warnings = body.trim_matches('\n').to_owned(),
            "out" => case.expected = Expected::Out(lines(body)),
            "error" => case.expected = Expected::Error(body.trim_matches('\n').to_owned()),
            other => panic!("{name}: a section `{other}`"),
        }
    }
    case
}

impl Case {
    fn write(&self, to: &mut String) {
        write!(to, "\n\n=== {}\n{}\n", self.name, self.text).unwrap();
        if self.input != ["null"] {
            write!(to, "--- in\n{}\n", self.input.join("\n")).unwrap();
        }
        if !self.warnings.is_empty() {
            write!(to, "--- warning\n{}\n", self.warnings).unwrap();
        }
        match &self.expected {
            Expected::Out(lines) => write!(to, "--- out\n{}", lines.join("\n")).unwrap(),
            Expected::Error(text) => write!(to, "--- error\n{text}").unwrap(),
            Expected::Nothing => {}
        }
    }

    /// The name of the file in errors.
    fn file(&self) -> &'static str {
        if self.name.ends_with("(program)") { "case.trickle" } else { "case.tremor" }
    }

    /// The case with the actual result as its expectation.
    fn found(&self) -> Self {
        let subject = Subject::compile(self.file(), &self.text);
        let warnings = subject.ok().and_then(|subject| subject.warnings().map(ToString::to_string));
        Self { expected: self.run(), warnings: warnings.unwrap_or_default(), ..self.clone() }
    }

    pub(crate) fn run(&self) -> Expected {
        match Subject::compile(self.file(), &self.text) {
            Err(errors) => Expected::Error(errors.to_string()),
            Ok(subject) => {
                let mut evaluation = Evaluation::new(subject, true);
                Expected::Out(self.input.iter().flat_map(|line| outcome(&mut evaluation, line)).collect())
            }
        }
    }
}

/// The result of one event, as lines of a case.
fn outcome(evaluation: &mut Evaluation, line: &str) -> Vec<String> {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    evaluation.run(line.as_bytes(), &mut output, &mut errors).unwrap();
    let (output, errors) = (String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap());
    let mut lines: Vec<_> = output.lines().map(shown).collect();
    if !errors.is_empty() {
        lines.push(failure(&errors));
    }
    if lines.is_empty() {
        lines.push("-".to_owned());
    }
    lines
}

/// Shortens an output line: `{"port":"out","data":1,"meta":{"binary":false}}` becomes `1`.
fn shown(line: &str) -> String {
    let (port, rest) = line.strip_prefix("{\"port\":\"").unwrap().split_once("\",\"data\":").unwrap();
    let (data, meta) = rest.strip_suffix('}').unwrap().rsplit_once(",\"meta\":").unwrap();
    let port = if port == "out" { String::new() } else { format!("{port}: ") };
    let meta = if meta == "{\"binary\":false}" { String::new() } else { format!(" $ {meta}") };
    format!("{port}{data}{meta}")
}

fn failure(errors: &str) -> String {
    let words = errors.strip_prefix("input line 1:").unwrap().trim();
    let Some((message, rest)) = words.strip_prefix("error: ").and_then(|words| words.split_once('\n')) else {
        return format!("! {words}");
    };
    let place = rest.lines().next().unwrap().split_once(':').unwrap().1;
    format!("! {place} {message}")
}

/// A line diff of two texts, with `-` and `+`.
fn diff(expected: &str, found: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same;
    let end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let mut text = String::new();
    let mut put =
        |sign: &str, lines: &[&str]| lines.iter().for_each(|l| writeln!(text, "{sign} {l}").unwrap());
    put(" ", &old[..same]);
    put("-", &old[same..old.len() - end]);
    put("+", &new[same..new.len() - end]);
    put(" ", &old[old.len() - end..]);
    text
}

#[test]
fn every_case_has_the_expected_result() {
    let update = std::env::var_os("UPDATE").is_some();
    let (mut count, mut wrong) = (0, String::new());
    for file in files() {
        let (head, cases) = parse(&std::fs::read_to_string(&file).unwrap());
        let mut written = head;
        for case in cases {
            count += 1;
            let found = case.found();
            found.write(&mut written);
            if found != case {
                let (mut old, mut new) = (String::new(), String::new());
                case.write(&mut old);
                found.write(&mut new);
                let name = file.file_name().unwrap().to_string_lossy();
                writeln!(wrong, "{name}: {}\n{}", case.name, diff(old.trim(), new.trim())).unwrap();
            }
        }
        if update {
            // Renamed into place, so that no other test reads half of the file.
            let new = file.with_extension("new");
            std::fs::write(&new, written + "\n").unwrap();
            std::fs::rename(&new, &file).unwrap();
        }
    }
    assert!(count >= AT_LEAST, "only {count} cases");
    assert!(update || wrong.is_empty(), "UPDATE=1 accepts this:\n\n{wrong}");
}

#[test]
fn every_function_of_the_library_has_a_case() {
    let text: String = files().iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let missing = towline::trickle::functions().filter(|(name, ..)| !text.contains(&format!("{name}(")));
    let missing: Vec<_> = missing.map(|(name, ..)| name).collect();
    assert!(missing.is_empty(), "no golden case calls {missing:?}");
}

/// Formatting does not change what a program does.
#[test]
fn every_case_has_the_same_result_when_formatted() {
    let mut changed = 0;
    for file in files() {
        let (_, cases) = parse(&std::fs::read_to_string(&file).unwrap());
        for case in cases {
            let Ok(Formatted::Changed(text)) = formatted(case.file(), &case.text) else { continue };
            changed += 1;
            assert_eq!(formatted(case.file(), &text), Ok(Formatted::Same), "{}: not stable", case.name);
            let after = Case { text, ..case.clone() }.run();
            assert_eq!(without_places(after), without_places(case.run()), "{}", case.name);
        }
    }
    assert!(changed > 50, "only {changed} texts changed");
}

/// The outcome without positions in errors, because formatting changes them.
fn without_places(outcome: Expected) -> Expected {
    let message = |line: String| match line.strip_prefix("! ").and_then(|words| words.split_once(' ')) {
        Some((_, message)) => message.to_owned(),
        None => line.split(" at case.").next().unwrap_or_default().to_owned(),
    };
    match outcome {
        Expected::Out(lines) => Expected::Out(lines.into_iter().map(message).collect()),
        Expected::Error(text) => {
            Expected::Error(text.lines().filter(|line| line.starts_with("error:")).collect())
        }
        Expected::Nothing => Expected::Nothing,
    }
}

/// Runs the first case of each file with `towline eval`.
#[test]
fn the_command_has_the_same_results() {
    let folder = tempfile::tempdir().unwrap();
    for file in files() {
        let (_, cases) = parse(&std::fs::read_to_string(&file).unwrap());
        let case = &cases[0];
        std::fs::write(folder.path().join(case.file()), &case.text).unwrap();
        let input = folder.path().join("in");
        std::fs::write(&input, case.input.join("\n")).unwrap();
        let args = ["eval", case.file(), "--in", "in", "--meta"];
        let finished = Program::finish(&args, &[], folder.path());
        println!("{file:?}");
        match Subject::compile(case.file(), &case.text) {
            Err(errors) => {
                assert_eq!(finished.stderr, format!("{errors}\n"));
                assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""));
            }
            Ok(subject) => {
                let (mut output, mut errors) = (Vec::new(), Vec::new());
                let input = case.input.join("\n");
                let well =
                    Evaluation::new(subject, true).run(input.as_bytes(), &mut output, &mut errors).unwrap();
                assert_eq!(finished.stdout.as_bytes(), output);
                assert_eq!(finished.stderr.as_bytes(), errors);
                assert_eq!(finished.code, Some(i32::from(!well)));
            }
        }
    }
}

#[test]
fn writing_a_case_reproduces_its_text() {
    let text = "# head\n\n=== a\nx\n--- in\n1\n2\n--- out\n1\n! 1:1 bad\n\n=== b (program)\ny\n--- error\nerror: z\n\n  q";
    let (head, cases) = parse(text);
    let mut written = head;
    cases.iter().for_each(|case| case.write(&mut written));
    assert_eq!(written, text);
}
