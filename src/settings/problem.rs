//! Errors in the settings, as texts for the operator (guarantee C10).

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where the value of a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The built-in default, because the key is not set.
    Default,
    /// The settings file at this path.
    File(Arc<Path>),
    /// This line, from 1, of the settings file at this path.
    Line(Arc<Path>, usize),
    /// The settings of the demo, which are built in.
    Demo,
    /// The command line.
    CommandLine,
    /// The environment variable with this name.
    Env(String),
}

/// One problem with one setting.
///
/// A problem is printed as `listener.ws.codec = "strng" (/etc/towline.toml:3): no codec is called …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The full key, such as `upstream.echo.url` or `route[1].path`.
    pub key: String,
    /// The value as TOML with secrets masked; `None` when there is no value.
    pub value: Option<String>,
    /// Where the value comes from.
    pub origin: Origin,
    /// What is wrong, and what is allowed.
    pub text: String,
}

/// The reason why settings could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsError {
    /// The settings file does not exist.
    NotFound {
        /// The absolute path of the file.
        path: PathBuf,
    },
    /// The settings file cannot be read.
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The system's error text.
        reason: String,
    },
    /// The file is not TOML.
    Syntax {
        /// The path of the file.
        path: PathBuf,
        /// Line and column from 1; `None` if unknown.
        position: Option<(usize, usize)>,
        /// The parser's error text.
        message: String,
    },
    /// The settings have these problems, which are all of them, not only the first.
    Invalid(Vec<Problem>),
}

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Demo => f.write_str("built-in settings of the demo"),
            Self::CommandLine => f.write_str("command line"),
            Self::Env(name) => write!(f, "environment {name}"),
        }
    }
}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, " ({}): {}", self.origin, self.text)
    }
}

// === impl SettingsError ===

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { path } => write!(
                f,
                "no settings file at {}: write one with `towline init towline.toml` and run `towline run --config \
                 towline.toml`, or run without a file: `towline run --to URL`",
                path.display()
            ),
            Self::Unreadable { path, reason } => {
                write!(f, "cannot read the settings file {}: {reason}", path.display())
            }
            Self::Syntax { path, position: Some((line, column)), message } => {
                write!(f, "{}:{line}:{column}: {message}", path.display())
            }
            Self::Syntax { path, position: None, message } => write!(f, "{}: {message}", path.display()),
            Self::Invalid(problems) => {
                match problems.len() {
                    1 => f.write_str("1 error in the settings")?,
                    count => write!(f, "{count} errors in the settings")?,
                }
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for SettingsError {}

// === suggestions ===

/// The error text `unknown key; did you mean "bind"?`, or the list of existing names. `what` is the noun,
/// such as `key`.
pub(crate) fn unknown(what: &str, name: &str, names: &[&str]) -> String {
    match near(name, names) {
        Some(known) => format!("unknown {what}; did you mean {known:?}?"),
        None => format!("unknown {what}; known: {}", names.join(", ")),
    }
}

/// The most similar name; `None` if `name` is not likely a misspelling of one.
pub(crate) fn near<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let nearest = names.iter().map(|known| (strsim::damerau_levenshtein(name, known), *known)).min();
    nearest.filter(|(distance, known)| *distance <= 2.max(known.len() / 4)).map(|(_, known)| known)
}
