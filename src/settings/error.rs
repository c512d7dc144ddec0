//! What is wrong with the settings, in words for the operator (C10).

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said it: it is built in.
    Default,
    /// The settings file.
    File(Arc<Path>),
    /// The settings of the demo, which are built in.
    Demo,
    /// The command line.
    CommandLine,
    /// The environment variable of that name.
    Env(String),
}

/// One thing that is wrong with one setting.
///
/// Prints as `listener.ws.codec = "strng" (/etc/towline.toml): no codec is called …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, from the root: `upstream.echo.url`, `route[1].path`.
    pub key: String,
    /// The value as TOML, secrets masked; none when there is no value.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
    /// What is wrong and what is allowed.
    pub text: String,
}

/// Why there are no settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsError {
    /// There is no file where it was looked for.
    NotFound {
        /// Where that was, absolute.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The file is not TOML.
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line and column from 1, where they are known.
        position: Option<(usize, usize)>,
        /// The parser's words.
        message: String,
    },
    /// The file was read, and these settings are wrong: all of them, not the first only.
    Invalid(Vec<Problem>),
}

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
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
                    1 => f.write_str("1 setting is wrong")?,
                    count => write!(f, "{count} settings are wrong")?,
                }
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for SettingsError {}
