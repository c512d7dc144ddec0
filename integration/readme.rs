//! What README.md tells people to do can be done.

use std::{collections::BTreeSet, path::Path};

use crate::harness::*;

const README: &str = include_str!("../README.md");
const MAKEFILE: &str = include_str!("../Makefile");

/// What stands between backticks, one by one or three by three.
fn code() -> impl Iterator<Item = &'static str> {
    README.split('`').skip(1).step_by(2)
}

/// The words that follow `command` in the code.
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

#[test]
fn the_files_of_the_readme_exist() {
    let links: Vec<_> = README.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.contains(&"ARCHITECTURE.md"), "{links:?}");
    for link in links.into_iter().filter(|link| !link.contains("://")) {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(), "{link}");
    }
}
