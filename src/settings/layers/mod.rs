//! The layers of settings: the environment overrides the file, and the file overrides the built-in defaults.

mod environment;
mod table;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use config::{ConfigError, Value, ValueKind};

use self::{environment::Environment, table::lay_over};
use super::{
    lines::lines,
    problem::{Origin, Problem, SettingsError},
};
use crate::files::{read_regular, read_text};

pub use self::environment::variables;
pub(crate) use self::table::{Table, as_table, insert, lookup, toml};

/// The settings file of `towline run` when none is given, relative to the working folder.
pub const DEFAULT_FILE: &str = "settings/default.toml";

/// The merged settings of file and environment, not checked yet.
///
/// `towline check` reports these layers. Everything else uses [`Settings`](super::Settings), which
/// [`check`](super::check) makes from them.
#[derive(Debug, Clone)]
pub struct Layers {
    /// The tables of file and environment, merged. Values from the environment have the variable's name as
    /// origin.
    pub(crate) root: Table,
    /// The origin of the layer below the environment.
    pub(crate) base: Origin,
    /// The folder at which relative paths in the settings start.
    folder: PathBuf,
    /// The text of the settings file; `None` if no file was read.
    text: Option<Arc<str>>,
    /// Problems with environment variables that could not be merged.
    pub(crate) problems: Vec<Problem>,
}

// === impl Layers ===

impl Layers {
    /// Reads the file `config`, or [`DEFAULT_FILE`], and overrides it by `env`.
    ///
    /// `env` may contain unrelated variables.
    ///
    /// # Errors
    /// When the file is missing, cannot be read or is not TOML.
    pub fn read(
        config: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        Self::read_by(read_text, config, env)
    }

    /// Reads the file again, as [`Layers::read`] does, in a process that has started with it. It waits for no writer of a
    /// named pipe: that would hold up all later reloads.
    ///
    /// # Errors
    /// The same errors as [`Layers::read`], and when it is not a regular file.
    pub fn read_again(
        config: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        Self::read_by(read_regular, config, env)
    }

    fn read_by(
        read: fn(&Path) -> io::Result<String>,
        config: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let file = absolute(config.unwrap_or(Path::new(DEFAULT_FILE)));
        let text = read(&file).map_err(|error| unreadable(&file, &error))?;
        Ok(Self { text: Some(text.as_str().into()), ..Self::parse(&file, &text, env)? })
    }

    /// Parses `text` as the content of `file`, an absolute path, and overrides it by `env`. No file is read.
    ///
    /// # Errors
    /// When the text is not TOML.
    pub fn parse(
        file: &Path,
        text: &str,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let root = toml(text).map_err(|error| syntax_error(file, text, error))?;
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Self::over(root, Origin::File(file.into()), folder, env))
    }

    /// Overrides the tables of `base` by `env`.
    pub(crate) fn over(
        mut root: Table,
        base: Origin,
        folder: PathBuf,
        env: impl Iterator<Item = (String, String)>,
    ) -> Self {
        let environment = Environment::new(env, &root);
        lay_over(&mut root, environment.root);
        Self { root, base, folder, text: None, problems: environment.problems }
    }

    /// The origin of a value. The origin of a table is that of its first value, because merging creates new
    /// tables.
    pub(crate) fn origin(&self, value: &Value) -> Origin {
        if let ValueKind::Table(table) = &value.kind
            && let Some(first) = table.values().next()
        {
            return self.origin(first);
        }
        match value.origin() {
            Some(name) => Origin::Env(name.to_owned()),
            None => self.base.clone(),
        }
    }

    /// The problems, with the lines of the settings file at which they are.
    pub(crate) fn located(&self, mut problems: Vec<Problem>) -> Vec<Problem> {
        let (Some(text), Origin::File(path)) = (&self.text, &self.base) else { return problems };
        let found = lines(problems.iter().map(|problem| problem.key.as_str()), text);
        for (problem, line) in problems.iter_mut().zip(found) {
            if let (Origin::File(_), Some(line)) = (&problem.origin, line) {
                problem.origin = Origin::Line(Arc::clone(path), line);
            }
        }
        problems
    }

    /// The folder at which relative paths in the settings start.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn unreadable(file: &Path, error: &io::Error) -> SettingsError {
    match error.kind() {
        io::ErrorKind::NotFound => SettingsError::NotFound { path: file.to_owned() },
        _ => SettingsError::Unreadable { path: file.to_owned(), reason: error.to_string() },
    }
}

/// The position and the parser's error text, without the line's text, which may contain a secret.
fn syntax_error(file: &Path, text: &str, error: ConfigError) -> SettingsError {
    let (position, message) = match &error {
        ConfigError::FileParse { cause, .. } => match cause.downcast_ref::<toml::de::Error>() {
            Some(error) => (error.span().map(|span| position(text, span.start)), error.message().to_owned()),
            None => (None, cause.to_string()),
        },
        other => (None, other.to_string()),
    };
    SettingsError::Syntax { path: file.to_owned(), position, message: message.replace('\n', ", ") }
}

/// Line and column, from 1, of a byte offset; columns count characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
