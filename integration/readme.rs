//! Tests that the commands, files, settings and measurements in README.md are correct.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use crate::harness::*;

const README: &str = include_str!("../README.md");
const MAKEFILE: &str = include_str!("../Makefile");

/// The texts in backquotes: code spans and code blocks.
fn code() -> impl Iterator<Item = &'static str> {
    README.split('`').skip(1).step_by(2)
}

/// The words that follow `command` in the code of the README.
fn words_after(command: &str) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for line in code().flat_map(str::lines) {
        let words: Vec<_> = line.split_whitespace().collect();
        found.extend(words.windows(2).filter(|pair| pair[0] == command).map(|pair| pair[1]));
    }
    found
}

#[test]
fn the_settings_of_the_readme_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("towline.toml");
    let examples: Vec<_> = code().filter_map(|code| code.strip_prefix("toml\n")).collect();
    assert!(!examples.is_empty());
    for example in examples {
        std::fs::write(&file, example).unwrap();
        let finished = Program::finish(&["check", "--config", file.to_str().unwrap()], &[], Path::new("/"));
        assert_eq!(finished.code, Some(0), "{example}\n{}", finished.stderr);
    }
}

#[test]
fn the_commands_of_the_readme_exist() {
    let commands = words_after("towline");
    assert!(commands.contains("run") && commands.contains("echo"), "{commands:?}");
    for command in commands {
        let finished = Program::finish(&[command, "--help"], &[], Path::new("/"));
        assert_eq!(finished.code, Some(0), "towline {command}: {}", finished.stderr);
    }
    let targets = words_after("make");
    assert!(targets.contains("demo") && targets.contains("test"), "{targets:?}");
    for target in targets {
        let rule = format!("{target}:");
        assert!(MAKEFILE.lines().any(|line| line.starts_with(&rule)), "make {target}");
    }
}

/// The Markdown files in `folder`, and in its subfolders if `deep`.
fn markdown_files(folder: &Path, deep: bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if deep && path.is_dir() {
            found.extend(markdown_files(&path, deep));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found
}

/// The lines of a Markdown text outside code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The targets of the links in a Markdown text, outside code.
fn links(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in prose(text) {
        let line: String = line.split('`').step_by(2).collect();
        found.extend(line.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())));
    }
    found
}

/// The anchors that GitHub and mdbook give to the headings of a Markdown text.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|kept| kept.is_alphanumeric() || " -_".contains(*kept));
            kept.map(|kept| if kept == ' ' { '-' } else { kept }).collect()
        })
        .collect()
}

#[test]
fn the_links_of_the_documentation_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = markdown_files(root, false);
    pages.extend(markdown_files(&root.join("docs"), true));
    let mut broken = Vec::new();
    let mut checked = 0;
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap();
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            checked += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let file = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let target = if anchor.is_empty() { Ok(String::new()) } else { std::fs::read_to_string(&file) };
            let leads = target.is_ok_and(|text| anchor.is_empty() || anchors(&text).contains(anchor));
            if !file.exists() || !leads {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(checked > 50, "only {checked} links in {pages:?}");
}

#[test]
fn the_summary_lists_each_page_once() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed: BTreeSet<_> = links(&summary).into_iter().map(|link| docs.join(link)).collect();
    let mut pages: BTreeSet<_> = markdown_files(&docs, true).into_iter().collect();
    pages.remove(&docs.join("SUMMARY.md"));
    assert_eq!(listed, pages);
}

/// The first table of a text, by column: for each header, the cells by the name of the row.
fn columns(text: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let table =
        text.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let row = row.trim_start_matches('|').trim_end_matches('|').replace("**", "");
        row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    let rows: Vec<_> = table.map(cells).collect();
    let column = |at: usize| rows[2..].iter().map(|row| (row[0].clone(), row[at].clone())).collect();
    (1..rows[0].len()).map(|at| (rows[0][at].clone(), column(at))).collect()
}

/// `benches/outage.py` leaves out proxies that are not installed. Without Python the test is skipped.
#[test]
fn the_outage_of_the_readme_is_what_clients_experience() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/outage.py");
    let mut command = Command::new("python3");
    let Ok(output) = command.arg(script).args(["--towline", env!("CARGO_BIN_EXE_towline")]).output() else {
        std::io::stderr().write_all(b"readme: SKIPPED: the outage: no python3\n").unwrap();
        return;
    };
    let (printed, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    let (measured, mut documented) = (columns(&printed), columns(README));
    for rows in documented.values_mut() {
        assert!(rows.remove("CPU time per message").is_some(), "a row of docs/performance.md");
    }
    assert!(measured.contains_key("Towline, `request`") && measured.contains_key("Towline, `stream`"));
    for (proxy, rows) in &measured {
        assert_eq!(rows, &documented[proxy], "{proxy}\n{errors}");
    }
}
