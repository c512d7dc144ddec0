//! Tests of wrong settings, and of the texts of the problems.

mod auth;
mod endpoints;
mod listeners;
mod moves;
mod process;
mod routes;
mod syntax;
mod upstreams;
mod variables;

use super::*;

/// Loads a file with the content `text` and an environment, and returns the problems, one line each.
pub(super) fn problems(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    match load(text, env) {
        Err(SettingsError::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("expected problems in {text}\n{other:?}"),
    }
}

/// [`MINIMAL`] with `lines` added to a section, or with that section added.
pub(super) fn with(section: &str, lines: &str) -> String {
    let heading = format!("[{section}]\n");
    match MINIMAL.contains(&heading) {
        // A key that the section has already is replaced.
        true => {
            let key = lines.split([' ', '.']).next().unwrap();
            let (before, behind) = MINIMAL.split_once(&heading).unwrap();
            let kept = match behind.split_once('\n') {
                Some((first, rest)) if first.starts_with(&format!("{key} =")) => rest,
                _ => behind,
            };
            format!("{before}{heading}{lines}\n{kept}")
        }
        false => format!("{MINIMAL}\n{heading}{lines}\n"),
    }
}

/// The name of a section, a wrong line in it, and a part of the expected error text.
type WrongLine = (&'static str, &'static str, &'static str);

fn expect_problems(table: &[WrongLine]) {
    for (section, line, expected) in table {
        expect_one(&problems(&with(section, line), &[]), line, expected);
    }
}

/// Checks that there is one problem, with that text and without a secret.
fn expect_one(problems: &[String], what: &str, expected: &str) {
    let [problem] = problems else { panic!("expected one problem of {what}\n{problems:#?}") };
    assert!(problem.contains(expected), "{what}\n   {problem}\nnot {expected}");
    assert!(!problem.contains("secret"), "{problem}");
}

#[test]
fn all_problems_are_reported_at_once() {
    let text = with("listener.ws", "codec = \"x\"").replace("ws://127.0.0.1:8139", "ftp://h");
    let error = load(&text, &[("TOWLINE__SERVER__WORKERS", "x")]).unwrap_err().to_string();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines[0], "3 errors in the settings");
    assert_eq!(lines.len(), 4, "{error}");
    assert!(lines[1].starts_with("  server.workers = \"x\" (environment "));
    assert!(lines[2].starts_with("  listener.ws.codec = \"x\" (/etc/towline.toml): "));
    assert!(lines[3].starts_with("  upstream.echo.url = \"ftp://h\" (/etc/towline.toml): "));
}

proptest::proptest! {
    /// The check of any values gives settings or problems, without a secret in the texts.
    #[test]
    fn no_values_make_the_check_panic(
        picks in proptest::collection::vec((0_usize..8, 0_usize..32, 0_usize..12), 0..12)
    ) {
        const VALUES: [&str; 12] = [
            "0", "-1", "1.5", "\"\"", "\"SECRET@\"", "\"ws://SECRET@h?SECRET\"", "[]", "[\"*\", 1]",
            "{}", "{ name = \"SECRET@\" }", "true", "\"9999999999999999999KiB\"",
        ];
        let mut lines = std::collections::BTreeMap::new();
        for (section, key, value) in picks {
            let section = &SECTIONS[section];
            let names: Vec<_> = section.keys().map(|key| key.name).collect();
            let key = names[key % names.len()];
            let name = match section.shape {
                Shape::Single => section.name.to_owned(),
                Shape::Named => format!("{}.x", section.name),
                Shape::Listed => continue,
            };
            lines.insert(format!("{name}.{}", key.replace("restart.", "restart_")), VALUES[value]);
        }
        let text: String = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let layers = layers(&text.replace("restart_", "restart."), &[]).unwrap();
        let report = load::report(&layers, Extent::All);
        let error = check(&layers).unwrap_err();
        let is_secret = |line: &str| line.contains("SECRET") && (line.contains("url") || line.contains("headers."));
        proptest::prop_assert!(!report.lines().any(is_secret), "{}", report);
        proptest::prop_assert!(matches!(error, SettingsError::Invalid(_)));
    }
}
