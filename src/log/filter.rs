//! Filters of log lines: `log.level` and `RUST_LOG`.

use log::LevelFilter;

use super::OWN;

/// The modules of the proxy, without the crate's name. A test compares the list with `lib.rs`.
const MODULES: &[&str] = &[
    "access",
    "admin",
    "auth",
    "authenticator",
    "authority",
    "certificate",
    "channel",
    "cli",
    "client_address",
    "clock",
    "codec",
    "commands",
    "connector",
    "deadline",
    "echo",
    "failure",
    "figures",
    "files",
    "flow",
    "format",
    "format_error",
    "header_list",
    "http1",
    "http_url",
    "listener",
    "log",
    "metrics",
    "net",
    "path",
    "pipeline",
    "placeholders",
    "policy",
    "printable",
    "processor",
    "rate",
    "recording",
    "reload",
    "replay",
    "reply",
    "restart",
    "router",
    "run",
    "server",
    "service",
    "session",
    "settings",
    "spelling",
    "supervisor",
    "tap",
    "template",
    "tools",
    "traces",
    "turn",
    "upstream",
    "userinfo",
    "wiring",
];

/// The dependencies that write log lines. A test compares the list with `Cargo.lock`.
const CRATES: &[&str] = &[
    "actix",
    "actix_codec",
    "actix_http",
    "actix_router",
    "actix_rt",
    "actix_server",
    "actix_tls",
    "actix_web",
    "awc",
    "h2",
    "mio",
    "tokio",
    "tracing",
];

/// A filter of log lines, in the syntax of `RUST_LOG`: `info`, or `info,session=debug`.
///
/// A level without a name applies to Towline's own modules, and other crates then log warnings only, except for those
/// that the filter names. A module of Towline is named as in a log line, `session::actor`, or in full,
/// `towline::session::actor`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(Vec<(Option<String>, LevelFilter)>);

/// The error for a text that is not a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A part is neither a level nor `module=level`.
    #[error(
        "takes a level (off, error, warn, info, debug or trace), or comma-separated levels of modules, \
         such as \"info,session=debug\""
    )]
    Syntax,
    /// No module or crate that writes log lines has this name.
    #[error("{}; no module or crate is called {name:?}; {hint}", FilterError::Syntax)]
    Unknown {
        /// The unknown name.
        name: String,
        /// The most similar name, or all names.
        hint: String,
    },
}

// === impl Filter ===

impl Filter {
    /// Parses a filter of known modules and crates.
    ///
    /// # Errors
    /// When a part of the text is neither a level nor `module=level`, or names an unknown module.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Self::parse_by(text, target)
    }

    /// Parses a filter. Names that are not modules of Towline are used as targets unchanged.
    ///
    /// # Errors
    /// When a part of the text is neither a level nor `module=level`.
    pub fn parse_any(text: &str) -> Result<Self, FilterError> {
        Self::parse_by(text, |name| Ok(target(name).unwrap_or_else(|_| name.to_owned())))
    }

    /// The targets and their levels. The level without a target applies to everything else.
    pub fn directives(&self) -> impl Iterator<Item = (Option<&str>, LevelFilter)> {
        self.0.iter().map(|(target, level)| (target.as_deref(), *level))
    }

    fn parse_by(
        text: &str,
        target: impl Fn(&str) -> Result<String, FilterError>,
    ) -> Result<Self, FilterError> {
        let parts = text.split(',').map(|part| directive(part.trim(), &target));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let named = |name: &str| {
            parts.iter().any(|(target, _)| target.as_deref().is_some_and(|target| target.starts_with(name)))
        };
        let mut directives = Vec::new();
        for (target, level) in &parts {
            if target.is_some() {
                directives.push((target.clone(), *level));
                continue;
            }
            directives.push((None, (*level).min(LevelFilter::Warn)));
            directives.push((Some(OWN.to_owned()), *level));
            if !named("actix_http") {
                // It logs clients that do not speak HTTP; clients must not be able to fill the log.
                directives.push((Some("actix_http::h1::dispatcher".to_owned()), LevelFilter::Off));
            }
        }
        Ok(Self(directives))
    }
}

/// Parses `debug`, `session=debug`, or `session`, which means all levels of that module.
fn directive(
    part: &str,
    target: impl Fn(&str) -> Result<String, FilterError>,
) -> Result<(Option<String>, LevelFilter), FilterError> {
    if let Ok(level) = part.parse() {
        return Ok((None, level));
    }
    let (name, level) = match part.split_once('=') {
        Some((name, level)) => (name, level.parse().map_err(|_| FilterError::Syntax)?),
        None => (part, LevelFilter::Trace),
    };
    let letters = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':');
    if name.is_empty() || !name.chars().all(letters) {
        return Err(FilterError::Syntax);
    }
    Ok((Some(target(name)?), level))
}

/// The target for a name: a module of Towline, with or without `towline::`, or a crate.
fn target(name: &str) -> Result<String, FilterError> {
    let first = |path: &str| path.split("::").next().unwrap_or_default().to_owned();
    let own = name.strip_prefix(OWN).and_then(|rest| rest.strip_prefix("::"));
    let module = own.unwrap_or(name);
    if MODULES.contains(&first(module).as_str()) {
        return Ok(format!("{OWN}::{module}"));
    }
    if own.is_none() && (name == OWN || CRATES.contains(&first(name).as_str())) {
        return Ok(name.to_owned());
    }
    Err(FilterError::Unknown { name: name.to_owned(), hint: hint(&first(module)) })
}

fn hint(name: &str) -> String {
    let known = || MODULES.iter().chain(CRATES).copied();
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let nearest = known().chain(levels).map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
    match nearest.filter(|(distance, known)| *distance <= 2.min(known.len() / 2)) {
        Some((_, known)) => format!("did you mean {known:?}?"),
        None => format!("there are {}", known().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(Option<String>, LevelFilter)> {
        Filter::parse(text).unwrap().0
    }

    #[test]
    fn a_level_alone_applies_to_our_own_modules() {
        let own = || Some("towline".to_owned());
        let strangers = || (Some("actix_http::h1::dispatcher".to_owned()), LevelFilter::Off);
        assert_eq!(parsed("debug"), [(None, LevelFilter::Warn), (own(), LevelFilter::Debug), strangers()]);
        assert_eq!(parsed("OFF"), [(None, LevelFilter::Off), (own(), LevelFilter::Off), strangers()]);
        assert_eq!(
            parsed("info, towline::session=debug,towline::net"),
            [
                (None, LevelFilter::Warn),
                (own(), LevelFilter::Info),
                strangers(),
                (Some("towline::session".to_owned()), LevelFilter::Debug),
                (Some("towline::net".to_owned()), LevelFilter::Trace),
            ]
        );
        let named = (Some("actix_http".to_owned()), LevelFilter::Debug);
        assert_eq!(
            parsed("info,actix_http=debug"),
            [(None, LevelFilter::Warn), (own(), LevelFilter::Info), named]
        );
        for wrong in ["", "info,", "towline=loud", "=info", "a b=info", "session=", "info/x"] {
            assert_eq!(Filter::parse(wrong), Err(FilterError::Syntax), "{wrong}");
        }
    }

    /// A filter can name a module in the form of a log line, without the crate's name.
    #[test]
    fn a_module_may_be_named_as_a_log_line_names_it() {
        for (short, full) in [
            ("info,pipeline=debug", "info,towline::pipeline=debug"),
            ("session::actor::ending=trace", "towline::session::actor::ending=trace"),
            ("net", "towline::net"),
        ] {
            assert_eq!(parsed(short), parsed(full), "{short}");
        }
        let name = |text: &str| parsed(text).pop().unwrap().0.unwrap();
        assert_eq!(name("pipeline=debug"), "towline::pipeline");
        assert_eq!(name("actix_server::worker=debug"), "actix_server::worker");
        assert_eq!(name("towline=debug"), "towline");
    }

    #[test]
    fn an_unknown_module_is_refused_with_the_nearest_name() {
        for (wrong, words) in [
            ("inof", "did you mean \"info\"?"),
            ("sesion=debug", "called \"sesion\"; did you mean \"session\"?"),
            ("towline::sesion::actor=debug", "\"towline::sesion::actor\"; did you mean \"session\"?"),
            ("info,loud", "called \"loud\"; there are access, admin, "),
            ("actix_sever=debug", "did you mean \"actix_server\"?"),
            ("towline::mio=debug", "called \"towline::mio\""),
            ("towlines=debug", "called \"towlines\""),
        ] {
            let error = Filter::parse(wrong).unwrap_err().to_string();
            assert!(error.contains(words), "{wrong}: {error}");
        }
        let any = Filter::parse_any("mine=debug,session=info").unwrap().0;
        let names: Vec<_> = any.iter().filter_map(|(name, _)| name.as_deref()).collect();
        assert_eq!(names, ["mine", "towline::session"]);
    }

    #[test]
    fn the_tables_list_the_modules_and_dependencies() {
        let lib = include_str!("../lib.rs");
        let modules = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
        assert_eq!(modules.collect::<Vec<_>>(), MODULES);
        let lock = include_str!("../../Cargo.lock").replace('-', "_");
        for name in CRATES {
            assert!(lock.contains(&format!("name = \"{name}\"")), "{name}");
        }
    }
}
