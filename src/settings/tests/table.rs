//! Tests that compare the table of keys with the sections that read it.

use super::*;

/// A section that `MINIMAL` does not have.
const AUTH: &str = "
[auth.partners]
api_keys.keys = { a = \"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\" }
";

/// Another one, with another method.
const TOKENS: &str = "
[auth.users]
jwt.jwks_url = \"https://id.test/\"
";

/// The table of a section in the layers, and the path of its keys in problems.
fn table_of<'a>(layers: &'a mut Layers, section: &keys::Section) -> (&'a mut layers::Table, String) {
    let root = &mut layers.root;
    let value = root.entry(section.name.to_owned()).or_insert_with(|| Value::from(layers::Table::new()));
    let (path, value) = match section.shape {
        Shape::Single => (section.name.to_owned(), value),
        Shape::Named => {
            let ValueKind::Table(named) = &mut value.kind else { panic!("no [{}.NAME]", section.name) };
            let (name, value) = named.first_mut().unwrap();
            (format!("{}.{name}", section.name), value)
        }
        Shape::Listed => {
            let ValueKind::Array(items) = &mut value.kind else { panic!("no [[{}]]", section.name) };
            (format!("{}[1]", section.name), &mut items[0])
        }
    };
    match &mut value.kind {
        ValueKind::Table(table) => (table, path),
        other => panic!("{path} is {other}"),
    }
}

/// Guarantee C10: every accepted setting has an effect. The value is wrong for every kind, so a key without a
/// problem is not read by any section.
#[test]
fn every_key_is_read() {
    let wrong = || Value::from(vec![Value::from(vec![1])]);
    let mut keys = 0;
    for section in &SECTIONS {
        for key in section.keys() {
            let auth = match key.name.split_once('.') {
                Some(("jwt", _)) => TOKENS,
                Some(("basic", _)) => "[auth.staff]\nbasic.realm = \"staff\"\n",
                Some(("client_certificate", _)) => "[auth.devices]\nclient_certificate.names = [\"*\"]\n",
                Some(("forward", _)) => "[auth.gate]\nforward.url = \"http://gate/\"\n",
                _ => AUTH,
            };
            let mut layers = layers(&format!("{MINIMAL}{auth}"), &[]).unwrap();
            let (table, path) = table_of(&mut layers, section);
            layers::insert(table, key.name, wrong());
            let path = format!("{path}.{}", key.name);
            let Err(SettingsError::Invalid(problems)) = check(&layers) else {
                panic!("nothing reads {path}")
            };
            // A reader says what the key takes; a conflict with another key could be reported unread.
            let is_read = |problem: &Problem| {
                let says_kind =
                    ["takes ", "processor is a name"].iter().any(|words| problem.text.contains(words));
                problem.key == path && says_kind
            };
            assert!(problems.iter().any(is_read), "{path}: {problems:#?}");
            keys += 1;
        }
    }
    assert!(keys > 80, "{keys}");
}

#[test]
fn no_section_has_a_key_twice() {
    for section in &SECTIONS {
        let mut names: Vec<_> = section.keys().map(|key| key.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{}: {names:?}", section.name);
    }
}

#[test]
fn every_reference_names_a_kind_of_section() {
    for key in SECTIONS.iter().flat_map(keys::Section::keys) {
        if let keys::Kind::Reference(kind) | keys::Kind::References(kind) = key.kind {
            let section = SECTIONS.iter().find(|section| section.name == kind);
            assert!(section.is_some_and(|section| section.shape == Shape::Named), "{}: {kind}", key.name);
        }
    }
}

/// A folder with a certificate, `cert.pem`, and its key, `key.pem`.
fn self_signed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()]).unwrap();
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    folder
}

/// The lines of a listener that uses the files in such a folder.
fn tls_lines(folder: &std::path::Path) -> String {
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    format!("tls = {{ certificates = [{{ cert = {cert:?}, key = {key:?} }}], client_ca = {cert:?} }}\n")
}

/// A file with the operator's token.
fn token(folder: &Path) -> std::path::PathBuf {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let file = folder.join("admin.token");
    let mut options = std::fs::OpenOptions::new();
    let mut opened = options.write(true).create(true).truncate(true).mode(0o600).open(&file).unwrap();
    opened.write_all(b"a-token-of-an-operator").unwrap();
    file
}

/// Any two choices of a key, or values of a flag, give different settings.
#[test]
fn every_choice_has_an_effect() {
    let text = MINIMAL
        .replace(
            "[upstream",
            "tcp_user_timeout = \"never\"\nrate.messages = 1\naddress_rate.messages = 1\n[upstream",
        )
        .replace("[pipeline", "exchange = \"request\"\n[pipeline")
        + "path = \"/a\"\n"
        + AUTH;
    // A journal needs a stream.
    let stream = text.replace("exchange = \"request\"\n", "");
    let secure = text.replace("ws://", "wss://");
    let behind = text.replace("[upstream", "trusted_proxies = [\"::1\"]\n[upstream");
    let folder = self_signed();
    let listener = text.replace("[upstream", &format!("{}[upstream", tls_lines(folder.path())));
    let operated = format!("{text}\n[admin]\ntoken_file = {:?}\n", token(folder.path()));
    let journal = stream.replace("[pipeline", "recovery.preset = \"mqtt\"\n[pipeline");
    let says = "[pipeline.says]\nsource = \"select event from in into journal; select event from in into out;\"\n[[route]]\nincoming = [\"says\"]";
    let by_program = stream.replace("[[route]]", says);
    let traced = format!("{text}\n[traces]\nurl = \"http://collector/v1/traces\"\n");
    // Without the feature, the section is refused.
    let is_there = |section: &&keys::Section| section.name != "traces" || cfg!(feature = "traces");
    for section in SECTIONS.iter().filter(is_there) {
        for key in section.keys() {
            let values: Vec<Value> = match key.kind {
                keys::Kind::Choice(choices) => choices.iter().map(|choice| Value::from(*choice)).collect(),
                keys::Kind::Flag => vec![Value::from(true), Value::from(false)],
                _ => continue,
            };
            let mut seen = Vec::new();
            for value in values {
                let text = match key.name {
                    "recovery.preset" if value == Value::from("program") => &by_program,
                    "recovery.preset" => &stream,
                    // A notice needs error replies.
                    "recovery.notice" => &text,
                    name if name.starts_with("recovery.") => &journal,
                    name if name.starts_with("tls.") && section.name == "listener" => &listener,
                    name if name.starts_with("tls.") => &secure,
                    "tap" => &operated,
                    "client_context" => &traced,
                    "proxy_protocol" | "trusted_headers" => &behind,
                    _ => &text,
                };
                let mut layers = layers(text, &[]).unwrap();
                let (table, path) = table_of(&mut layers, section);
                layers::insert(table, key.name, value.clone());
                let settings =
                    check(&layers).unwrap_or_else(|error| panic!("{path}.{} {value}: {error}", key.name));
                let settings = format!("{settings:?}");
                assert!(!seen.contains(&settings), "{path}.{} = {value} changes nothing", key.name);
                seen.push(settings);
            }
        }
    }
}
