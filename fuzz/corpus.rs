//! Tests that run the bodies of the fuzz targets over the inputs in `corpus/`: inputs that the fuzzer found,
//! and inputs written by hand.
#![allow(
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a test prints the failing input, and nothing here is a public interface"
)]

#[path = "src/lib.rs"]
mod bodies;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use bodies::TARGETS;

/// Maximum size of the files in a folder, in bytes. Remove inputs without new coverage with
/// `cargo fuzz cmin`.
const BYTES_MAX: u64 = 300 * 1024;
/// Maximum number of files in a folder.
const FILES_MAX: usize = 150;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    paths
}

/// The file names in a folder, without extension.
fn stems(folder: &Path) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().map(|name| name.to_string_lossy().into_owned());
    entries(folder).into_iter().filter_map(stem).collect()
}

/// The input that is running. Its path is printed when the body panics.
struct Running(PathBuf);

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with {}", self.0.display());
        }
    }
}

fn run(target: &str) {
    let (name, body) = TARGETS.iter().find(|(name, _)| *name == target).expect("the target is in the list");
    for path in entries(&folder().join("corpus").join(name)) {
        let running = Running(path);
        body(&fs::read(&running.0).expect("the file can be read"));
    }
}

#[test]
fn chunked() {
    run("chunked");
}

#[test]
fn close() {
    run("close");
}

#[test]
fn codecs() {
    run("codecs");
}

#[test]
fn forwarded() {
    run("forwarded");
}

#[test]
fn credentials() {
    run("credentials");
}

#[test]
fn frames() {
    run("frames");
}

#[test]
fn language() {
    run("language");
}

#[test]
fn preprocessors() {
    run("preprocessors");
}

#[test]
fn proxy_header() {
    run("proxy_header");
}

#[test]
fn settings() {
    run("settings");
}

/// Every target has a folder of inputs, a file, an entry in the manifest and a test here.
#[test]
fn every_target_has_its_folder_and_test() {
    let listed: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stems(&folder().join("corpus")), listed, "fuzz/corpus");
    assert_eq!(stems(&folder().join("targets")), listed, "fuzz/targets");
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).expect("fuzz/Cargo.toml can be read");
    let here = include_str!("corpus.rs");
    for name in &listed {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name} in fuzz/Cargo.toml");
        assert!(here.contains(&format!("fn {name}() {{\n    run(\"{name}\");")), "{name} in fuzz/corpus.rs");
    }
}

#[test]
fn each_folder_has_inputs_within_the_limits() {
    for (name, _) in TARGETS {
        let files = entries(&folder().join("corpus").join(name));
        let sizes = files.iter().map(|file| fs::metadata(file).expect("the file is there").len());
        let bytes: u64 = sizes.sum();
        assert!(files.len() >= 12, "{name} has {} inputs", files.len());
        assert!(
            files.len() <= FILES_MAX && bytes <= BYTES_MAX,
            "{name}: {} inputs, {bytes} bytes",
            files.len()
        );
    }
}
