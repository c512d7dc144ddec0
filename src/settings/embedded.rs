//! Settings and programs built into the binary: those of the demo, and the file that `towline init` writes.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::{
    effective::Loaded,
    host::{Host, Machine},
    layers::{Layers, Table, toml},
    problem::{Origin, SettingsError},
    read::quoted,
};

/// The commented settings file with every key.
const DEFAULT: &str = include_str!("../../settings/default.toml");
const DEMO: &str = include_str!("../../settings/demo.toml");

/// The programs of the embedded settings, with their paths in the settings.
const PROGRAMS: [(&str, &str); 3] = [
    ("pipelines/pass_incoming.trickle", include_str!("../../settings/pipelines/pass_incoming.trickle")),
    ("pipelines/pass_outgoing.trickle", include_str!("../../settings/pipelines/pass_outgoing.trickle")),
    ("pipelines/pass_errors.trickle", include_str!("../../settings/pipelines/pass_errors.trickle")),
];

/// The folder of the embedded files, as it appears in paths.
const FOLDER: &str = "(built in)";

/// The machine of the process, with the embedded files in the folder [`FOLDER`].
struct Embedded;

/// The settings of the demo, overridden by `env`. No file is read.
///
/// # Errors
/// When `env` has invalid settings. The error contains all problems.
pub fn demo(env: impl Iterator<Item = (String, String)>) -> Result<Loaded, SettingsError> {
    Loaded::check_on(Layers::of_text(DEMO, Origin::Demo, FOLDER.into(), env), &Embedded)
}

/// The layers for `--listen` and `--to`, overridden by `env`: one listener `ws`, one upstream `main`, and a
/// route between them for pages of any origin. Relative paths in `env` start at the working folder.
pub fn from_flags(listen: &[String], to: &str, env: impl Iterator<Item = (String, String)>) -> Layers {
    let addresses: Vec<_> = listen.iter().map(|address| quoted(address)).collect();
    let bind = match addresses.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let text = format!(
        "[listener.ws]\nbind = {bind}\n[upstream.main]\nurl = {}\n[[route]]\nupstream = \"main\"\n\
         origins = [\"*\"]\n",
        quoted(to)
    );
    let folder = std::env::current_dir().unwrap_or_default();
    Layers::of_text(&text, Origin::CommandLine, folder, env)
}

/// The text of a self-contained settings file with every key and its meaning.
pub fn template() -> String {
    let mut text = DEFAULT.replace("# source = \"select event from in into out;\"\n", "");
    for (name, program) in PROGRAMS {
        let file = format!("file = {}", quoted(name));
        text = text.replace(&file, &format!("source = {}\n# {file}", quoted(program.trim_end())));
    }
    text
}

// === impl Layers ===

impl Layers {
    /// The layers of an embedded text, which must be valid TOML.
    fn of_text(
        text: &str,
        base: Origin,
        folder: PathBuf,
        env: impl Iterator<Item = (String, String)>,
    ) -> Self {
        let root: Table = toml(text).expect("embedded settings are TOML, which tests hold");
        Self::over(root, base, folder, env)
    }
}

// === impl Embedded ===

impl Host for Embedded {
    fn read(&self, path: &Path) -> io::Result<String> {
        let name = path.strip_prefix(FOLDER).ok().and_then(Path::to_str);
        match PROGRAMS.iter().find(|(known, _)| name == Some(known)) {
            Some((_, text)) => Ok((*text).to_owned()),
            None => Machine.read(path),
        }
    }

    fn read_with_mode(&self, path: &Path) -> io::Result<(String, u32)> {
        Machine.read_with_mode(path)
    }

    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        Machine.resolve(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Extent, check, report};

    fn env(variables: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
        variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
    }

    #[test]
    fn the_demo_is_the_shipped_file() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("settings/demo.toml");
        let shipped = crate::settings::Settings::load(Some(&file), env(&[])).unwrap();
        let demo = demo(env(&[])).unwrap().settings;
        assert_eq!(format!("{:?}", demo.routes[0].upstream), format!("{:?}", shipped.routes[0].upstream));
        assert_eq!(demo.pipelines.len(), 3);
        assert_eq!(demo.listeners[0].bind, shipped.listeners[0].bind);
    }

    #[test]
    fn the_environment_overrides_the_demo() {
        let variable = [("TOWLINE__LISTENER__WS__BIND", "127.0.0.1:1")];
        assert_eq!(demo(env(&variable)).unwrap().settings.listeners[0].bind[0].text, "127.0.0.1:1");
        let variable = [("TOWLINE__UPSTREAM__ECHO__MAX_FRAME", "2MiB")];
        let error = demo(env(&variable)).unwrap_err().to_string();
        assert!(error.contains("upstream.echo.max_frame"), "{error}");
        let variable = [("TOWLINE__PIPELINE__PASS_ERRORS__FILE", "/nowhere.trickle")];
        let error = demo(env(&variable)).unwrap_err().to_string();
        assert!(error.contains("cannot read /nowhere.trickle"), "{error}");
    }

    #[test]
    fn flags_become_settings() {
        let listen = ["127.0.0.1:9139".to_owned(), "[::1]:9139".to_owned()];
        let variable = [("TOWLINE__UPSTREAM__MAIN__EXCHANGE", "request")];
        let layers = from_flags(&listen, "ws://h:1/\"\\", env(&variable));
        assert!(check(&layers).is_err(), "a backslash is quoted for TOML and refused in a URL");
        let layers = from_flags(&listen, "ws://h:1", env(&variable));
        let settings = check(&layers).unwrap();
        assert_eq!(settings.listeners[0].bind.len(), 2);
        assert_eq!(&*settings.upstreams["main"].url.text, "ws://h:1");
        assert_eq!(settings.upstreams["main"].exchange, crate::settings::ExchangeMode::Request);
        let report = report(&layers, Extent::Changed);
        assert!(report.contains("# command line"), "{report}");
    }

    #[test]
    fn the_admin_address_is_strict_only_if_it_is_set() {
        let strict =
            |variables: &[(&str, &str)]| demo(env(variables)).unwrap().settings.admin.unwrap().strict;
        assert!(!strict(&[]));
        assert!(strict(&[("TOWLINE__ADMIN__BIND", "127.0.0.1:9140")]));
        let listen = ["127.0.0.1:9140".to_owned()];
        let settings = check(&from_flags(&listen, "ws://h", env(&[]))).unwrap();
        assert!(!settings.admin.unwrap().strict, "the listener's address wins");
        let file = Layers::parse(Path::new("/etc/t.toml"), crate::settings::fixture::MINIMAL, env(&[]));
        assert!(check(&file.unwrap()).unwrap().admin.unwrap().strict);
    }

    #[test]
    fn the_template_needs_no_other_file() {
        let text = template();
        assert!(!text.lines().any(|line| line.starts_with("file = ")), "{text}");
        let settings = check(&Layers::parse(Path::new("/nowhere/towline.toml"), &text, env(&[])).unwrap());
        assert_eq!(settings.unwrap().pipelines.len(), 2);
        assert!(text.contains("\n# [pipeline.pass_errors]\n# source = "), "{text}");
    }
}
