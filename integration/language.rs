//! Tests that run the examples in docs/language.md, and those of programs in docs/recovery.md, and compare the results.
//!
//! A block `trickle` or `tremor` is a program or a script. The blocks after it are its input (`json in`), the
//! output of `towline eval` (`json out`, or `json out meta` with `--meta`), and the error output
//! (`text error`).
//!
//! `UPDATE=1 cargo test --test integration language` writes the actual results into the document.

use std::path::Path;

use towline::tools::eval::{Evaluation, Subject};

/// Minimum number of examples, so that a change of the format is noticed.
const AT_LEAST: usize = 15;

/// A fenced block: its title and its text.
#[derive(Debug, Clone)]
struct Block {
    title: String,
    text: String,
}

/// Splits a document into the blocks and the texts between them.
fn blocks(document: &str) -> (Vec<String>, Vec<Block>) {
    let (mut prose, mut blocks) = (vec![String::new()], Vec::new());
    let mut open: Option<Block> = None;
    for line in document.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(title)) => open = Some(Block { title: title.to_owned(), text: String::new() }),
            (Some(_), Some("")) => {
                blocks.extend(open.take());
                prose.push(String::new());
            }
            (Some(block), _) => block.text += &format!("{line}\n"),
            (None, None) => *prose.last_mut().unwrap() += &format!("{line}\n"),
        }
    }
    assert!(open.is_none(), "a block does not end");
    (prose, blocks)
}

fn written(prose: &[String], blocks: &[Block]) -> String {
    let mut text = prose[0].clone();
    for (block, prose) in blocks.iter().zip(&prose[1..]) {
        text += &format!("```{}\n{}```\n{prose}", block.title, block.text);
    }
    text
}

/// The output of `towline eval` on standard output and standard error.
fn run(kind: &str, program: &str, input: &str, meta: bool) -> (String, String) {
    let subject = match Subject::compile(&format!("example.{kind}"), program) {
        Ok(subject) => subject,
        Err(errors) => return (String::new(), format!("{errors}\n")),
    };
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    Evaluation::new(subject, meta).run(input.as_bytes(), &mut output, &mut errors).unwrap();
    (String::from_utf8(output).unwrap(), String::from_utf8(errors).unwrap())
}

/// Replaces the blocks of one example by the actual results.
fn fill(example: &mut [Block]) {
    let find = |title: &str| example.iter().position(|block| block.title.starts_with(title));
    let (input, output, error) = (find("json in"), find("json out"), find("text error"));
    let meta = output.is_some_and(|at| example[at].title.ends_with("meta"));
    let input = input.map_or("null", |at| &example[at].text);
    let (out, err) = run(&example[0].title, &example[0].text, input, meta);
    for (found, place) in [(out, output), (err, error)] {
        match place {
            Some(at) => {
                assert!(!found.is_empty(), "no output of\n{}", example[0].text);
                example[at].text = found;
            }
            None => assert_eq!(found, "", "the document does not show the output after\n{}", example[0].text),
        }
    }
}

#[test]
fn every_example_of_the_document_has_the_shown_result() {
    check_examples("docs/language.md", &["trickle", "tremor"], AT_LEAST);
}

#[test]
fn the_example_of_port_journal_has_the_shown_result() {
    check_examples("docs/recovery.md", &["trickle"], 1);
}

/// Checks the examples of a document that begin with a block of one of the `kinds`: at least `at_least` examples.
fn check_examples(document: &str, kinds: &[&str], at_least: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let document = std::fs::read_to_string(&path).unwrap();
    let (prose, mut all) = blocks(&document);
    assert_eq!(written(&prose, &all), document);
    let is_program = |block: &Block| kinds.contains(&block.title.as_str());
    let starts: Vec<_> = (0..all.len()).filter(|at| is_program(&all[*at])).collect();
    assert!(starts.len() >= at_least, "only {} examples", starts.len());
    for (index, start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(all.len());
        let end = (*start + 1..end).find(|at| !all[*at].title.contains(' ')).unwrap_or(end);
        fill(&mut all[*start..end]);
    }
    let found = written(&prose, &all);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found).unwrap();
    } else {
        for (shown, found) in document.lines().zip(found.lines()) {
            assert_eq!(shown, found);
        }
        assert_eq!(document.len(), found.len());
    }
}

/// All examples have the format of `towline fmt`.
#[test]
fn every_example_of_the_document_is_formatted() {
    let recovery = blocks(include_str!("../docs/recovery.md")).1;
    let (_, blocks) = blocks(include_str!("../docs/language.md"));
    let recovery = recovery.iter().filter(|block| block.title == "trickle");
    let blocks = blocks.iter().filter(|block| ["trickle", "tremor"].contains(&block.title.as_str()));
    for block in blocks.chain(recovery) {
        // An example of an error may not parse.
        if let Ok(formatted) = towline::tools::fmt::formatted(&format!("x.{}", block.title), &block.text) {
            assert_eq!(formatted, towline::tools::fmt::Formatted::Same, "{}", block.text);
        }
    }
}

/// docs/library.md is generated from the descriptions in the library; `UPDATE=1` writes it.
#[test]
fn the_library_is_documented() {
    let mut text = "# The library of the language\n\nGenerated by `UPDATE=1 cargo test --test integration language` from \
                    the descriptions in the code. Constants are `std::integer::{MAX, MIN}`, also in `signed` and \
                    `unsigned`, `std::time::nanos::NANOS_PER_SECOND` and the other units, \
                    `std::datetime::formats::…` and `std::datetime::timezones::…`. The last part of their names may be \
                    in upper or lower case.\n"
        .to_owned();
    let mut module = "";
    for (name, arguments, about) in towline::trickle::functions() {
        let (within, word) = name.rsplit_once("::").unwrap();
        if within != module {
            text += &format!("\n## {within}\n\n| function | arguments | result |\n|---|---|---|\n");
            module = within;
        }
        text += &format!("| `{word}` | {arguments} | {about} |\n");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/library.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "UPDATE=1 writes it");
}
