//! Tests of files that are not TOML or cannot be read.

use std::path::Path;

use crate::settings::{Settings, SettingsError, fixture::layers};

#[test]
fn a_file_that_is_not_toml_is_refused_with_line_and_column() {
    let text = "[server]\nworkers = 1\n[upstream.x]\nurl = \"ws://me:secret@h\n";
    let error = layers(text, &[]).unwrap_err();
    let SettingsError::Syntax { position, .. } = &error else { panic!("{error:?}") };
    assert_eq!(position.map(|(line, _)| line), Some(4), "{error}");
    let error = error.to_string();
    assert!(error.contains("/towline.toml:4:"), "{error}");
    assert!(!error.contains("secret") && !error.contains('\n'), "{error}");
    let twice = layers("[log]\nlevel = \"a\"\nlevel = \"b\"\n", &[]).unwrap_err().to_string();
    assert!(twice.contains(":3:1: duplicate key"), "{twice}");
    let long = layers("a = 99999999999999999999", &[]).unwrap_err();
    assert!(matches!(long, SettingsError::Syntax { .. }), "{long:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_refused_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let load = |path: &Path| Settings::load(Some(path), std::iter::empty()).unwrap_err();
    let missing = folder.path().join("none.toml");
    let error = load(&missing);
    assert_eq!(error, SettingsError::NotFound { path: missing.clone() });
    let words = error.to_string();
    assert!(
        words
            .starts_with(&format!("no settings file at {}: write one with `towline init", missing.display()))
    );
    let error = load(folder.path());
    assert!(matches!(error, SettingsError::Unreadable { .. }), "{error:?}");
    let file = folder.path().join("latin1.toml");
    std::fs::write(&file, b"# caf\xe9\n").unwrap();
    assert!(load(&file).to_string().contains("invalid utf-8"), "{}", load(&file));
    let error = load(Path::new("no/such.toml")).to_string();
    let here = std::env::current_dir().unwrap();
    assert!(error.contains(&here.join("no/such.toml").display().to_string()), "absolute: {error}");
}
