//! Runs each command in docs/operations.md in one shell, in order, and compares its output with the page.

mod page;
mod shell;

use std::{path::Path, process::Command};

use crate::harness::*;

use self::{page::Page, shell::Shell};

/// Commands that change nothing. A person repeats them until they show what the page shows.
const READS: [&str; 7] = [
    "towline health",
    "towline sessions list",
    "towline sessions show",
    "towline upstreams list",
    "curl ",
    "grep ",
    "tail ",
];

/// Whether the tools of the page are installed.
fn has_tools() -> bool {
    ["bash", "curl", "openssl"].iter().all(|tool| {
        let found = Command::new(tool).arg("--version").output().is_ok();
        if !found {
            println!("skipped: no {tool}");
        }
        found
    })
}

#[test]
fn the_commands_of_the_page_print_what_it_shows() {
    if !has_tools() {
        return;
    }
    let page = Page::read();
    let folder = tempfile::tempdir().unwrap();
    let ports: Vec<_> = page.ports().map(|port| (port, Port::take())).collect();
    let mapped = |text: &str| {
        let replace = |text: String, (port, free): &(&str, Port)| {
            text.replace(&format!("127.0.0.1:{port}"), &free.addr().to_string())
        };
        ports.iter().fold(text.to_owned(), replace)
    };
    let [settings] = &page.blocks("toml")[..] else { panic!("one block of settings") };
    std::fs::write(folder.path().join("towline.toml"), mapped(settings)).unwrap();
    let mut shell = Shell::start(folder.path());
    let steps = page.steps();
    assert!(steps.len() >= 40, "only {} commands", steps.len());
    for step in &steps {
        let command = mapped(&step.command);
        let repeats = READS.iter().any(|read| command.starts_with(read));
        let mut printed = shell.run(&command);
        if repeats {
            wait_for_output(&mut printed, &step.output, || shell.run(&command));
        }
        if !page::fits(&printed, &step.output) {
            let log = std::fs::read_to_string(folder.path().join("towline.log")).unwrap_or_default();
            panic!("$ {command}\n{printed}\nThe page has:\n{}\nThe log:\n{log}", step.output);
        }
    }
}

/// Runs a command again until its output is that of the page, or the time is over.
fn wait_for_output(printed: &mut String, expected: &str, mut run: impl FnMut() -> String) {
    let end = std::time::Instant::now() + PATIENCE;
    while !page::fits(printed, expected) && std::time::Instant::now() < end {
        pause(std::time::Duration::from_millis(100));
        *printed = run();
    }
}

#[test]
fn the_page_shows_commands_only_where_they_are_run() {
    let page = Page::read();
    for language in ["sh", "bash", "shell", "text"] {
        assert!(page.blocks(language).is_empty(), "a block of {language} is not run: use console");
    }
}

#[test]
fn the_page_says_what_to_do_at_each_alert() {
    let page = Page::read();
    let rules =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/alerts.yml")).unwrap();
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() >= 10);
    for alert in alerts {
        assert!(page.text().contains(&format!("| `{alert}` |")), "{alert}");
    }
}
