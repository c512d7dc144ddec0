//! Tests of what packages and images are made of: completions, manual pages, the image, and the systemd unit.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::harness::*;

const DOCKERFILE: &str = include_str!("../Dockerfile");
const MAKEFILE: &str = include_str!("../Makefile");
const MANIFEST: &str = include_str!("../Cargo.toml");
const UNIT: &str = include_str!("../deploy/towline.service");
const WORKFLOWS: [&str; 2] =
    [include_str!("../.github/workflows/ci.yml"), include_str!("../.github/workflows/release.yml")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn completions(shell: &str) -> String {
    let finished = Program::finish(&["completions", shell], &[], Path::new("/"));
    assert_eq!(finished.code, Some(0), "{shell}: {}", finished.stderr);
    finished.stdout
}

#[test]
fn completions_know_the_commands_in_each_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = completions(shell);
        for command in ["run", "check", "eval", "config"] {
            assert!(text.contains(command), "{shell}: no {command}");
        }
    }
}

#[test]
fn bash_completes_a_command() {
    let Ok(version) = Command::new("bash").arg("--version").output() else { return };
    assert!(version.status.success());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("towline.bash");
    std::fs::write(&file, completions("bash")).unwrap();
    let script = "source \"$0\"; COMP_WORDS=(towline ru); COMP_CWORD=1; _towline towline ru towline; \
                  echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["-c", script]).arg(&file).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "run");
}

#[test]
fn each_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man/man1");
    let finished = Program::finish(&["man", pages.to_str().unwrap()], &[], Path::new("/"));
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    for name in ["towline", "towline-run", "towline-check", "towline-completions"] {
        let page = std::fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")) && page.contains(".SH SYNOPSIS"), "{page}");
    }
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let finished = Program::finish(&["man", blocked.to_str().unwrap()], &[], Path::new("/"));
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains(blocked.to_str().unwrap()), "{}", finished.stderr);
}

/// The instructions of the last stage of the Dockerfile, each as its first word and the rest.
fn image() -> Vec<(&'static str, String)> {
    let joined = DOCKERFILE.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let all: Vec<_> = lines.map(|line| line.split_once(' ').unwrap()).collect();
    let last = all.iter().rposition(|(word, _)| *word == "FROM").unwrap();
    let known = ["FROM", "COPY", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"];
    let instruction = |(word, rest): &(&str, &str)| {
        let word = known.into_iter().find(|known| known == word);
        (
            word.unwrap_or_else(|| panic!("an image without a shell cannot have {rest}")),
            rest.trim().to_owned(),
        )
    };
    all[last..].iter().map(instruction).collect()
}

#[test]
fn the_image_has_no_shell_and_no_root_user() {
    let image = image();
    let of = |word: &str| -> Vec<_> {
        image.iter().filter(|(known, _)| *known == word).map(|(_, rest)| rest.as_str()).collect()
    };
    assert!(of("FROM")[0].contains("distroless") && of("FROM")[0].ends_with(":nonroot"), "{:?}", of("FROM"));
    let (user, group) = of("USER")[0].split_once(':').unwrap();
    assert!([user, group].iter().all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user}:{group}");
    // The other form is run by a shell.
    for word in ["ENTRYPOINT", "CMD"] {
        assert!(of(word)[0].starts_with('['), "{word}: {:?}", of(word));
    }
    assert!(of("HEALTHCHECK")[0].contains("CMD ["), "{:?}", of("HEALTHCHECK"));
    for copy in of("COPY").into_iter().filter(|copy| !copy.starts_with("--from")) {
        assert!(root().join(copy.split(' ').next().unwrap()).exists(), "{copy}");
    }
}

/// The values of a key in the systemd unit.
fn unit(key: &str) -> Vec<&'static str> {
    UNIT.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn the_unit_agrees_with_the_program() {
    let command: Vec<_> = unit("ExecStart")[0].split(' ').collect();
    assert_eq!(command, ["/usr/bin/towline", "run", "--config", "/etc/towline/towline.toml"]);
    assert!(MANIFEST.contains("dest = \"etc/towline/towline.toml\""));
    let codes = [towline::cli::EXIT_USAGE, towline::cli::EXIT_CONFIG].map(|code| code.to_string());
    assert_eq!(unit("RestartPreventExitStatus"), [codes.join(" ")]);
    // The defaults of the drain, and the time for the last closing handshakes.
    let seconds = |text: &str| text.strip_suffix('s').unwrap().parse::<u64>().unwrap();
    let settings = Program::finish(&["check", "--to", "ws://127.0.0.1:1"], &[], Path::new("/")).stdout;
    let drain = settings.split("[drain]").nth(1).unwrap();
    let of = |key: &str| {
        let line = drain.lines().find(|line| line.starts_with(&format!("{key} ="))).unwrap();
        seconds(line.split('"').nth(1).unwrap())
    };
    assert!(seconds(unit("TimeoutStopSec")[0]) > of("window") + of("grace") + 2);
    assert_eq!(unit("Type"), ["notify"]);
    for key in
        ["NoNewPrivileges", "MemoryDenyWriteExecute", "PrivateDevices", "RestrictNamespaces", "DynamicUser"]
    {
        assert_eq!(unit(key), ["yes"], "{key}");
    }
}

#[test]
fn what_the_debian_package_has_exists_or_is_made_by_make() {
    let package = MANIFEST.split("[package.metadata.deb]").nth(1).unwrap().split("\n\n").next().unwrap();
    let sources: Vec<_> =
        package.split("source = \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(sources.len() > 5, "{sources:?}");
    for source in sources {
        match source.strip_prefix("target/") {
            Some("release/towline") => {}
            Some(made) => {
                let made = made.trim_end_matches("/*.1");
                assert!(MAKEFILE.contains(&format!("target/{made}")), "make package does not write {source}");
            }
            None => {
                let file: PathBuf = root().join(source.trim_end_matches("/*.md"));
                assert!(file.exists(), "{source}");
            }
        }
    }
}

#[test]
fn the_changelog_of_the_package_begins_with_the_version() {
    let changelog = std::fs::read_to_string(root().join("deploy/debian/changelog")).unwrap();
    assert!(changelog.starts_with(&format!("towline ({}-1) ", env!("CARGO_PKG_VERSION"))), "{changelog}");
    let maintainer = MANIFEST.lines().find_map(|line| line.strip_prefix("maintainer = ")).unwrap();
    assert!(changelog.contains(&format!("\n -- {}  ", maintainer.trim_matches('"'))), "{maintainer}");
}

#[test]
fn the_workflows_use_targets_of_the_makefile() {
    let used = WORKFLOWS.iter().flat_map(|text| text.split("run: make ").skip(1));
    let used: Vec<_> = used.map(|rest| rest.split_whitespace().next().unwrap()).collect();
    assert!(used.contains(&"deb") && used.contains(&"test"), "{used:?}");
    for target in used {
        assert!(MAKEFILE.lines().any(|line| line.starts_with(&format!("{target}:"))), "make {target}");
    }
}
