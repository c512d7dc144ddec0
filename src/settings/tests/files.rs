//! Tests that compare the files in `settings/` and the reference in `docs/` with the table of keys.

use super::*;

const DEMO_FILE: &str = "settings/demo.toml";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shipped(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The tree of a TOML text.
fn tree(text: &str) -> Value {
    Config::builder().add_source(File::from_str(text, FileFormat::Toml)).build().unwrap().cache
}

/// `default.toml` with the comment marks of its keys removed.
fn uncommented(text: &str) -> String {
    let is_key = |line: &str| {
        line.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| matches!(c, 'a'..='z' | '_' | '.')))
    };
    let bare = |line: &str| match line.strip_prefix("# ") {
        Some(rest)
            if is_key(rest) || ["[pipeline.", "[auth."].iter().any(|start| rest.starts_with(start)) =>
        {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    text.lines().map(bare).collect::<Vec<_>>().join("\n")
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, name| match &value.kind {
        ValueKind::Table(table) => table.get(name),
        _ => None,
    })
}

/// All sections of one kind.
fn tables<'a>(root: &'a Value, section: &keys::Section) -> Vec<&'a Value> {
    match (section.shape, at(root, section.name).map(|value| &value.kind)) {
        (Shape::Single, Some(_)) => at(root, section.name).into_iter().collect(),
        (Shape::Named, Some(ValueKind::Table(named))) => named.values().collect(),
        (Shape::Listed, Some(ValueKind::Array(items))) => items.iter().collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_default_file_shows_every_key_and_its_default() {
    let root = tree(&uncommented(&shipped(DEFAULT_FILE)));
    for section in &SECTIONS {
        for key in section.keys() {
            let shown: Vec<_> =
                tables(&root, section).into_iter().filter_map(|table| at(table, key.name)).collect();
            assert!(!shown.is_empty(), "{}.{} is not in {DEFAULT_FILE}", section.name, key.name);
            let may_differ = ["incoming", "outgoing", "errors"].contains(&key.name);
            if let Some(preset) = key.preset.value().filter(|_| !may_differ) {
                let shown = read::shown(shown[0], keys::Kind::Text);
                let preset = read::shown(&preset, keys::Kind::Text);
                assert_eq!(shown, preset, "{}.{}", section.name, key.name);
            }
        }
    }
}

#[test]
fn the_default_file_explains_its_keys() {
    let text = shipped(DEFAULT_FILE);
    let plain = uncommented(&text);
    // A comment explains the keys that follow it without a gap.
    let mut explained = false;
    for (line, plain) in text.lines().zip(plain.lines()) {
        let is_hidden_key = line != plain;
        assert!(explained || !is_hidden_key, "nothing explains {line}");
        explained = line.starts_with('#') || (explained && !line.is_empty() && !line.starts_with('['));
        assert!(line.chars().count() <= 110 || is_hidden_key, "too long: {line}");
    }
}

#[test]
fn the_shipped_files_are_valid() {
    for (name, pipelines) in [(DEFAULT_FILE, 2), (DEMO_FILE, 3)] {
        let settings = Settings::load(Some(&root().join(name)), std::iter::empty());
        let settings = settings.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(settings.listeners[0].bind[0].to_string(), "127.0.0.1:9139");
        assert_eq!(settings.pipelines.len(), pipelines);
        assert_eq!(settings.remarks(), [""; 0], "{name}");
    }
}

/// A user may change only the URL in the default file, for a protocol that Towline does not know.
#[test]
fn the_default_file_adds_no_messages_to_a_stream() {
    let settings = Settings::load(Some(&root().join(DEFAULT_FILE)), std::iter::empty()).unwrap();
    let route = &settings.routes[0];
    assert!(!route.replies_errors());
    assert!(!route.keeps_client());
    let upstream = route.upstream.as_ref().unwrap();
    let codecs = [&settings.listeners[0].format, &upstream.format].map(|format| format.codec.name());
    assert_eq!(codecs, ["message", "message"]);
}

#[test]
fn the_demo_is_the_reference_case() {
    let settings = Settings::load(Some(&root().join(DEMO_FILE)), std::iter::empty()).unwrap();
    let lines = [Spec::Lines { buffered: false }];
    let down = &settings.listeners[0].format;
    assert_eq!(down.codec.name(), "string");
    assert_eq!((down.preprocessors.as_slice(), down.postprocessors.as_slice()), (&lines[..], &[][..]));
    let upstream = settings.routes[0].upstream.as_ref().unwrap();
    assert_eq!(&*upstream.url.text, "ws://localhost:8139");
    assert_eq!(upstream.exchange, ExchangeMode::Request);
    let up = &upstream.format;
    assert_eq!(up.codec.name(), "string");
    assert_eq!((up.preprocessors.as_slice(), up.postprocessors.as_slice()), (&[][..], &lines[..]));
    let route = &settings.routes[0];
    let names = [&route.incoming, &route.outgoing, &route.errors].map(|list| list[0].name.as_str());
    assert_eq!(names, ["pass_incoming", "pass_outgoing", "pass_errors"]);
}

#[test]
fn the_echo_pipeline_needs_no_upstream() {
    let file = root().join("settings/pipelines/echo.trickle");
    let text = format!(
        "[listener.ws]\nbind = \"127.0.0.1:0\"\n[pipeline.echo]\nfile = {:?}\n[[route]]\nincoming = [\"echo\"]\n",
        file.display().to_string()
    );
    assert!(load(&text, &[]).unwrap().routes[0].upstream.is_none());
}

#[test]
fn the_recipes_for_recovery_are_valid() {
    let docs = shipped("docs/recovery.md");
    let recipes: Vec<_> =
        docs.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(recipes.len() > 5, "{recipes:?}");
    for recipe in recipes {
        let name = recipe.split("[upstream.").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
        let route = match recipe.contains("[[route]]") {
            true => String::new(),
            false => format!("\n[[route]]\nupstream = \"{name}\"\n"),
        };
        let text = format!("[listener.ws]\nbind = \"127.0.0.1:0\"\n{recipe}{route}");
        let settings = load(&text, &[]).unwrap_or_else(|error| panic!("{error}\n{recipe}"));
        assert!(settings.routes[0].keeps_client(), "{recipe}");
    }
}

#[test]
fn the_recipes_for_routes_are_valid() {
    let docs = shipped("docs/routing.md");
    let recipes: Vec<_> =
        docs.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(recipes.len() > 6, "{recipes:?}");
    for recipe in recipes {
        let mut text = recipe.to_owned();
        if !recipe.contains("[listener.") {
            text = format!("[listener.ws]\nbind = \"127.0.0.1:0\"\n{text}");
        }
        if !recipe.contains("[[route]]") {
            text += "[[route]]\nname = \"chat\"\nupstream = \"chat\"\norigins = [\"none\"]\n[upstream.chat]\nurl = \"ws://chat\"\n";
        }
        let names: std::collections::BTreeSet<_> =
            recipe.lines().filter_map(|line| line.strip_prefix("upstream = ")).collect();
        for name in names.into_iter().map(|name| name.trim_matches('"')) {
            if !recipe.contains(&format!("[upstream.{name}]")) {
                text += &format!("[upstream.{name}]\nurl = \"ws://{name}\"\n");
            }
        }
        let settings = load(&text, &[]).unwrap_or_else(|error| panic!("{error}\n{recipe}"));
        assert_eq!(settings.remarks(), [""; 0], "{recipe}");
        assert!(settings.routes.iter().all(|route| !route.name.starts_with("route")), "{recipe}");
    }
}

#[test]
fn the_recipes_for_authentication_are_valid() {
    let docs = shipped("docs/auth.md");
    let recipes: Vec<_> =
        docs.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(recipes.len() > 3, "{recipes:?}");
    let folder = tempfile::tempdir().unwrap();
    let keys = docs.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::write(folder.path().join("keys.txt"), keys).unwrap();
    std::fs::write(folder.path().join("secret"), "a secret of at least thirty-two bytes").unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    std::fs::write(folder.path().join("issuer.pem"), certificate.pem()).unwrap();
    let set =
        r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    std::fs::write(folder.path().join("jwks.json"), set).unwrap();
    let users = docs.split("```text\n").find(|text| text.starts_with("# USER:HASH")).unwrap();
    std::fs::write(folder.path().join("htpasswd"), users.split("```").next().unwrap()).unwrap();
    std::fs::write(folder.path().join("devices-ca.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.path().join("feed.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.path().join("feed.key"), key.serialize_pem()).unwrap();
    let file = folder.path().join("towline.toml");
    for recipe in recipes {
        let upstream = match recipe.contains("[upstream.feed]") {
            true => "",
            false => "[upstream.feed]\nurl = \"ws://feed\"\n",
        };
        std::fs::write(&file, format!("[listener.ws]\nbind = \"127.0.0.1:0\"\n{recipe}{upstream}")).unwrap();
        let settings = Settings::load(Some(&file), std::iter::empty());
        let settings = settings.unwrap_or_else(|error| panic!("{error}\n{recipe}"));
        assert_eq!(settings.remarks(), [""; 0], "{recipe}");
        assert!(settings.routes.iter().all(|route| !route.auth.is_empty()), "{recipe}");
    }
}

#[test]
fn the_reference_lists_every_key_with_default_and_bounds() {
    let docs = shipped("docs/settings.md");
    for section in &SECTIONS {
        let heading = match section.shape {
            Shape::Single => format!("## `[{}]`", section.name),
            Shape::Named => format!("## `[{}.NAME]`", section.name),
            Shape::Listed => format!("## `[[{}]]`", section.name),
        };
        let part = docs.split(&heading).nth(1).unwrap_or_else(|| panic!("no {heading} in docs/settings.md"));
        let part = part.split("\n## ").next().unwrap();
        let rows: Vec<_> = part.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows.len(), section.keys().count(), "rows of {heading}");
        for key in section.keys() {
            let default = match key.preset {
                Preset::Required => "required".to_owned(),
                Preset::Absent => "none".to_owned(),
                _ => format!("`{}`", read::shown(&key.preset.value().unwrap(), keys::Kind::Text)),
            };
            let takes = match key.kind {
                keys::Kind::Duration(min, max) => {
                    format!("{} to {}", humantime::format_duration(min), humantime::format_duration(max))
                }
                keys::Kind::Timeout(min, max) => format!(
                    "{} to {}, or \"never\"",
                    humantime::format_duration(min),
                    humantime::format_duration(max)
                ),
                keys::Kind::Size(min, max) => format!("{} to {}", keys::Size(min), keys::Size(max)),
                keys::Kind::Count(min, max) => format!("{min} to {max}"),
                keys::Kind::Ratio => "0 to 1".to_owned(),
                keys::Kind::OneOf(_) | keys::Kind::Choice(_) => key.kind.to_string(),
                _ => String::new(),
            };
            let row = format!("| `{}` | {default} | {takes}", key.name);
            assert!(rows.iter().any(|line| line.starts_with(&row)), "docs/settings.md has no row\n{row}");
        }
    }
}
