//! The layers of settings: the environment over the file over the built-in defaults.

use std::path::{Path, PathBuf};

use config::{ConfigError, File, FileFormat, Source, Value, ValueKind};

use super::{
    Origin, Problem, Settings, SettingsError,
    environment::Environment,
    host::{Host, Machine},
    read::Table,
    report::{self, Extent},
    validate,
};

/// The settings file of `towline run` when none is given, relative to the working folder.
pub const DEFAULT_FILE: &str = "settings/default.toml";
/// Larger than any settings file or program that a person writes; stops endless files such as `/dev/zero`.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The merged settings of file and environment, unchecked.
///
/// `towline check` reports from here; everything else uses [`Settings`], made by [`check`](Self::check).
#[derive(Debug, Clone)]
pub struct Layers {
    /// File and environment, merged; values from the environment have the variable's name as origin.
    pub(super) root: Table,
    /// The origin of the layer below the environment.
    pub(super) base: Origin,
    /// The folder at which relative paths in the settings start.
    folder: PathBuf,
    /// Environment variables that could not be merged.
    pub(super) problems: Vec<Problem>,
}

// === impl Layers ===

impl Layers {
    /// Reads `config`, or [`DEFAULT_FILE`], and overrides it by `env`.
    ///
    /// `env` may contain unrelated variables.
    ///
    /// # Errors
    /// When the file is missing, cannot be read or is not TOML.
    pub fn read(
        config: Option<&Path>,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let file = absolute(config.unwrap_or(Path::new(DEFAULT_FILE)));
        Self::parse(&file, &read_settings(&file)?, env)
    }

    /// Uses `text` as the content of `file`, an absolute path, and overrides it by `env`. Reads no file.
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
    pub(super) fn over(
        mut root: Table,
        base: Origin,
        folder: PathBuf,
        env: impl Iterator<Item = (String, String)>,
    ) -> Self {
        let environment = Environment::new(env, &root);
        lay_over(&mut root, environment.root);
        Self { root, base, folder, problems: environment.problems }
    }

    /// Checks all settings.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] with all problems.
    pub fn check(&self) -> Result<Settings, SettingsError> {
        self.check_on(&Machine)
    }

    /// As [`check`](Self::check), with the files and names of another machine.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_on(&self, host: &dyn Host) -> Result<Settings, SettingsError> {
        validate::validate(self, host)
    }

    /// The effective settings as TOML that can be read back, each value with its origin in a comment. Secrets
    /// are masked; a masked secret is refused when it is read back.
    ///
    /// Only meaningful for settings that [`check`](Self::check) accepts.
    pub fn report(&self, extent: Extent) -> String {
        self.report_on(extent, &Machine)
    }

    /// As [`report`](Self::report), with the files and names of another machine.
    pub fn report_on(&self, extent: Extent, host: &dyn Host) -> String {
        report::report(self, extent, host)
    }

    /// The origin of a value. The origin of a table is that of its first value, because merging creates the
    /// tables themselves.
    pub(super) fn origin(&self, value: &Value) -> Origin {
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

    /// The folder at which relative paths in the settings start.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn read_settings(file: &Path) -> Result<String, SettingsError> {
    read_text(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => SettingsError::NotFound { path: file.to_owned() },
        _ => SettingsError::Unreadable { path: file.to_owned(), reason: error.to_string() },
    })
}

/// Reads a text file of at most [`FILE_BYTES_MAX`] bytes.
pub(super) fn read_text(path: &Path) -> std::io::Result<String> {
    use std::io::{Error, ErrorKind, Read};
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::InvalidData, error.utf8_error()))
}

/// The tables of a TOML text.
pub(super) fn toml(text: &str) -> Result<Table, ConfigError> {
    File::from_str(text, FileFormat::Toml).collect()
}

/// Lays one table over another, entry by entry. `config` itself would treat each top-level key as a path, and
/// create a billion array entries for `"a[1000000000]"`.
fn lay_over(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (
                Some(Value { kind: ValueKind::Table(under), .. }),
                Value { kind: ValueKind::Table(over), .. },
            ) => {
                lay_over(under, over);
            }
            (_, value) => _ = under.insert(key, value),
        }
    }
}

/// The position and the parser's error text, without the line itself, which may contain a secret.
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
