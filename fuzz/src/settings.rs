//! Fuzzes validation of a settings file and an environment.
//!
//! An input is TOML. Lines of the form `#! NAME=VALUE`, which are comments of TOML, are the environment.
//! Nothing is read from the machine: program files and host names come from [`FakeHost`].

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
    path::Path,
};

use towline::settings::{Extent, Host, Layers, Settings, SettingsError, check_on, report_on};

/// A simulated host with two program files, and one host name that has two addresses.
struct FakeHost;

/// A text is refused with an error message, or gives settings whose report gives the same settings.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match load(&text, environment(&text)) {
        Err(error) => check_texts(&error),
        Ok((layers, settings)) => {
            for extent in [Extent::All, Extent::Changed] {
                check_report(&report_on(&layers, extent, &FakeHost), &settings);
            }
        }
    }
}

fn environment(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("#! ")?.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn load(text: &str, env: Vec<(String, String)>) -> Result<(Layers, Settings), SettingsError> {
    let layers = Layers::parse(Path::new("/etc/towline/towline.toml"), text, env.into_iter())?;
    let settings = check_on(&layers, &FakeHost)?;
    Ok((layers, settings))
}

fn check_texts(error: &SettingsError) {
    assert!(!error.to_string().is_empty());
    if let SettingsError::Invalid(problems) = error {
        assert!(!problems.is_empty());
        assert!(problems.iter().all(|problem| !problem.text.is_empty()));
    }
}

/// Checks that the report is a valid settings file, unless secrets in it are masked; then it must be refused.
fn check_report(report: &str, settings: &Settings) {
    let is_masked = report.starts_with("# Secrets are masked");
    match load(report, Vec::new()) {
        Ok((_, again)) => {
            assert!(
                !is_masked,
                "a mask is accepted as a secret in
{report}"
            );
            assert_eq!(format!("{again:?}"), format!("{settings:?}"), "{report}");
        }
        Err(SettingsError::Invalid(problems)) => assert!(is_masked, "{report}\n{problems:?}"),
        Err(error) => panic!("{error} in\n{report}"),
    }
}

impl Host for FakeHost {
    fn read(&self, path: &Path) -> io::Result<String> {
        match path.file_name().and_then(|name| name.to_str()) {
            Some("pass.trickle") => Ok("select event from in into out;".to_owned()),
            Some("reply.trickle") => Ok("select \"yes\" from in into reply;".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn read_with_mode(&self, path: &Path) -> io::Result<(String, u32)> {
        Ok((self.read(path)?, 0o600))
    }

    fn resolve(&self, address: &str) -> io::Result<Vec<SocketAddr>> {
        let Some((host, port)) = address.rsplit_once(':') else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let port = port.parse().map_err(io::Error::other)?;
        match host {
            "localhost" => Ok(vec![(Ipv6Addr::LOCALHOST, port).into(), ([127, 0, 0, 1], port).into()]),
            "nowhere" => Ok(Vec::new()),
            _ => address.parse().map(|address| vec![address]).map_err(io::Error::other),
        }
    }
}
