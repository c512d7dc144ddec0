//! The figures of docs/performance.md are what their scripts make of the data.

use std::{fs, path::Path, process::Command};

/// Runs a script of docs/figures with awk, and returns what it writes.
fn drawn(arguments: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("awk").current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn committed(figure: &str) -> String {
    fs::read_to_string(format!("{}/docs/figures/{figure}.svg", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn the_curves_are_drawn_from_the_committed_measurements() {
    for figure in ["cost-size", "cost-sessions", "cost-pipelines", "memory-sessions"] {
        let of = format!("figure={figure}");
        let svg = drawn(&["-v", &of, "-f", "docs/figures/curves.awk", "docs/figures/data/curves.csv"]);
        assert!(svg == committed(figure), "{figure}.svg is older than its data: benches/curves.py --draw");
        assert!(svg.contains("prefers-color-scheme:dark") && svg.contains("Towline"), "{figure}");
    }
}

#[test]
fn the_drain_is_drawn_from_its_table() {
    let svg = drawn(&["-f", "docs/figures/drain.awk", "docs/performance.md"]);
    assert!(svg == committed("drain"), "drain.svg is older than its table, see docs/performance.md");
}

#[test]
fn a_figure_without_measurements_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for figure in ["figure=cost-size", "figure=other"] {
        let mut awk = Command::new("awk");
        awk.current_dir(folder).args(["-v", figure, "-f", "docs/figures/curves.awk", "/dev/null"]);
        assert_eq!(awk.output().unwrap().status.code(), Some(1), "{figure}");
    }
}
