//! The lock files of `loom/` and `fuzz/`, which are separate workspaces, agree with the lock file of the root. Cargo would
//! need the packages of these workspaces to check it.

use std::{collections::BTreeMap, fs, path::Path};

/// A package in a lock file.
#[derive(Debug)]
struct Locked<'t> {
    name: &'t str,
    version: &'t str,
    /// Names, without versions.
    dependencies: Vec<&'t str>,
    /// Whether it is a package of this repository.
    is_own: bool,
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The packages of a lock file, which Cargo always writes in the same form.
fn packages(lock: &str) -> Vec<Locked<'_>> {
    let parse = |package| {
        let value =
            |key: &str| Some(str::lines(package).find_map(|line| line.strip_prefix(key))?.trim_matches('"'));
        let dependencies = package.split("\ndependencies = [\n").nth(1).unwrap_or_default();
        let dependencies = dependencies.lines().map_while(|line| line.strip_prefix(" \""));
        Locked {
            name: value("name = ").expect("a name"),
            version: value("version = ").expect("a version"),
            dependencies: dependencies.filter_map(|rest| rest.split([' ', '"']).next()).collect(),
            is_own: value("source = ").is_none(),
        }
    };
    lock.split("[[package]]\n").skip(1).map(parse).collect()
}

/// The numbers of a version up to the first that is not zero. Cargo takes two versions with the same ones for compatible.
fn line(version: &str) -> Vec<&str> {
    let numbers: Vec<_> = version.split('.').collect();
    let end = numbers.iter().position(|number| *number != "0").map_or(numbers.len(), |at| at + 1);
    numbers[..end].to_vec()
}

/// The dependencies that a workspace leaves out of a package that is not its member: those for tests, and optional ones.
fn may_be_missing(manifest: &str, name: &str) -> bool {
    let declares = |line: &str| line.split(['.', ' ']).next() == Some(name);
    let sections = manifest.split("\n[");
    let mut tests = sections.filter(|section| section.starts_with("dev-dependencies]"));
    tests.any(|section| section.lines().any(declares))
        || manifest.lines().any(|line| declares(line) && line.contains("optional = true"))
}

/// What of a lock file does not fit that of the root.
fn differences(lock: &str, root: &str) -> Vec<String> {
    let mut of_root = BTreeMap::<_, Vec<_>>::new();
    for package in packages(root) {
        of_root.entry(package.name).or_default().push(package);
    }
    let mut found = Vec::new();
    for package in packages(lock) {
        let Locked { name, version, dependencies, is_own } = package;
        let same_name = of_root.get(name).map(Vec::as_slice).unwrap_or_default();
        let is_compatible = |other: &&Locked<'_>| is_own || line(other.version) == line(version);
        let compatible: Vec<_> = same_name.iter().filter(is_compatible).collect();
        if !compatible.is_empty() && compatible.iter().all(|other| other.version != version) {
            found.push(format!("{name} {version}, not {}", compatible[0].version));
        }
        let Some(other) = same_name.first().filter(|_| is_own) else { continue };
        let manifest = match name.strip_prefix("towline-") {
            Some(folder) => read(&format!("crates/{folder}/Cargo.toml")),
            None => read("Cargo.toml"),
        };
        let extra = dependencies.iter().filter(|known| !other.dependencies.contains(known));
        found.extend(extra.map(|dependency| format!("{name} does not depend on {dependency}")));
        let missing = other.dependencies.iter().filter(|known| !dependencies.contains(known));
        let missing = missing.filter(|dependency| !may_be_missing(&manifest, dependency));
        found.extend(missing.map(|dependency| format!("{name} depends on {dependency}")));
    }
    found
}

/// To renew a lock file: `cp Cargo.lock fuzz && cargo metadata --format-version 1 --manifest-path fuzz/Cargo.toml`.
#[test]
fn the_lock_files_of_loom_and_fuzz_fit_that_of_the_root() {
    let root = read("Cargo.lock");
    for folder in ["loom", "fuzz"] {
        let lock = read(&format!("{folder}/Cargo.lock"));
        assert!(
            packages(&lock).iter().filter(|package| package.is_own).count() > 1,
            "the workspace and its dependencies"
        );
        assert_eq!(differences(&lock, &root), [""; 0], "{folder}/Cargo.lock is older than the manifests");
    }
}

#[test]
fn a_lock_file_that_does_not_fit_is_found() {
    let (root, lock) = (read("Cargo.lock"), read("loom/Cargo.lock"));
    let package =
        packages(&root).into_iter().find(|package| package.name == "bytestring").expect("a dependency");
    let old = lock.replace(
        &format!("name = \"bytestring\"\nversion = \"{}\"", package.version),
        "name = \"bytestring\"\nversion = \"1.0.0\"",
    );
    assert_eq!(differences(&old, &root), [format!("bytestring 1.0.0, not {}", package.version)]);
    let own =
        lock.replace("name = \"towline-event\"\nversion = \"", "name = \"towline-event\"\nversion = \"9.");
    assert_eq!(differences(&own, &root).len(), 1);
    let more = lock.replacen(" \"indexmap\",\n", " \"indexmap\",\n \"memchr\",\n", 1);
    assert_eq!(differences(&more, &root), ["towline-event does not depend on memchr"]);
    let less = lock.replacen(" \"indexmap\",\n", "", 1);
    assert_eq!(differences(&less, &root), ["towline-event depends on indexmap"]);
}
