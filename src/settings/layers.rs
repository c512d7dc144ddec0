//! The layers of settings: the file, and the environment over it. What neither says is built in.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::{
    Origin, Problem, Settings, SettingsError,
    host::{Host, Machine},
    keys,
    read::Table,
    report, validate,
};

/// The settings file of `towline run` when none is named, from the working folder.
pub const DEFAULT_FILE: &str = "settings/default.toml";
/// The settings file of `towline demo` when none is named, from the working folder.
pub const DEMO_FILE: &str = "settings/demo.toml";
/// What the environment variables of settings begin with. `TOWLINE_CONFIG` is none of them.
const PREFIX: &str = "TOWLINE__";
/// Far above any settings file or program that a person writes; keeps `/dev/zero` out.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What file and environment say, not checked yet.
///
/// `towline check` reports from here; everything else takes [`Settings`] by [`check`](Self::check).
#[derive(Debug)]
pub struct Layers {
    /// File and environment, merged; values from the environment carry the variable's name.
    pub(super) root: Table,
    /// The settings file, absolute.
    pub(super) file: Arc<Path>,
    /// Environment variables that could not be merged.
    pub(super) problems: Vec<Problem>,
}

/// The environment's variables that begin with `TOWLINE__`; what is not UTF-8 in them is replaced.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(PREFIX))
}

// === impl Layers ===

impl Layers {
    /// Reads `config`, or [`DEFAULT_FILE`], and lays `env` over it.
    ///
    /// `env` may hold variables that are none of Towline's.
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

    /// Takes `text` for that of `file`, an absolute path, and lays `env` over it. Reads nothing.
    ///
    /// # Errors
    /// When the text is not TOML.
    pub fn parse(
        file: &Path,
        text: &str,
        env: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, SettingsError> {
        let file: Arc<Path> = file.into();
        let mut root = toml(text).map_err(|error| syntax_error(&file, text, error))?;
        let environment = Environment::new(env);
        lay_over(&mut root, environment.root);
        Ok(Self { root, file, problems: environment.problems })
    }

    /// Checks everything.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] with all that is wrong.
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

    /// The effective settings as TOML, with the origin of each value behind it; secrets are masked.
    ///
    /// Only meaningful for settings that [`check`](Self::check) takes.
    pub fn report(&self) -> String {
        report::report(self)
    }

    /// The settings file, absolute.
    pub fn file(&self) -> &Path {
        &self.file
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

/// Reads a text file of reasonable size.
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
fn toml(text: &str) -> Result<Table, ConfigError> {
    File::from_str(text, FileFormat::Toml).collect()
}

/// Lays one table over another, entry by entry. `config` would take each key of the first level for a path,
/// and make an array of a thousand million entries of `"a[1000000000]"`.
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

/// The position and the parser's words, but not the line itself, which may hold a secret.
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

/// Line and column from 1 of a byte offset; columns count characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// No key lies deeper, however wrong: the layers are walked by recursion.
const DEPTH_MAX: usize = 8;

/// The layer of environment variables.
///
/// `TOWLINE__LISTENER__WS__BIND` is `listener.ws.bind`. Lists take commas or a TOML array; tables take
/// a TOML inline table, or a variable for each entry.
#[derive(Debug, Clone, Default)]
struct Environment {
    root: Table,
    problems: Vec<Problem>,
}

impl Environment {
    fn new(env: impl Iterator<Item = (String, String)>) -> Self {
        let mut ours: Vec<_> = env.filter(|(name, _)| name.starts_with(PREFIX)).collect();
        ours.sort();
        let mut layer = Self::default();
        for (name, text) in ours {
            if let Err(reason) = layer.add(&name, &text) {
                let key = name[PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
                layer.problems.push(Problem { key, value: None, origin: Origin::Env(name), text: reason });
            }
        }
        layer
    }

    fn add(&mut self, name: &str, text: &str) -> Result<(), String> {
        let mut path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        if path.iter().any(String::is_empty) {
            return Err("a variable is named TOWLINE__SECTION__KEY, with two underscores between".to_owned());
        }
        if path.len() > DEPTH_MAX {
            return Err("no setting lies so deep".to_owned());
        }
        if path[0] == "route" {
            return Err("routes have no names, so they are set in the file only".to_owned());
        }
        // Header names have dashes, which names of environment variables do not have.
        if let [section, _, table, header] = path.as_mut_slice()
            && (section.as_str(), table.as_str()) == ("upstream", "headers")
        {
            *header = header.replace('_', "-");
        }
        let value = value(name, text, keys::find(&path))?;
        insert(&mut self.root, &path, value, name);
        Ok(())
    }
}

/// The text as a value that carries the variable's name.
fn value(name: &str, text: &str, key: Option<&keys::Key>) -> Result<Value, String> {
    let origin = name.to_owned();
    let compound = key.is_some_and(|key| key.kind.is_compound());
    if !compound || !text.starts_with(['[', '{']) {
        return Ok(Value::new(Some(&origin), text));
    }
    let parsed = toml(&format!("it = {text}")).ok().and_then(|mut table| table.swap_remove("it"));
    let parsed = parsed.ok_or("begins like TOML and is not")?;
    Ok(Value::new(Some(&origin), with_origin(parsed.kind, &origin)))
}

/// Writes the variable's name onto the entries of a table: tables are merged entry by entry.
fn with_origin(kind: ValueKind, origin: &String) -> ValueKind {
    match kind {
        ValueKind::Table(table) => ValueKind::Table(
            table
                .into_iter()
                .map(|(key, value)| (key, Value::new(Some(origin), with_origin(value.kind, origin))))
                .collect(),
        ),
        other => other,
    }
}

fn insert(table: &mut Table, path: &[String], value: Value, name: &str) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let origin = name.to_owned();
            let entry = table
                .entry(key.clone())
                .or_insert_with(|| Value::new(Some(&origin), ValueKind::Table(Map::new())));
            // A variable for the whole of what another sets a part of: the part wins.
            if !matches!(entry.kind, ValueKind::Table(_)) {
                *entry = Value::new(Some(&origin), ValueKind::Table(Map::new()));
            }
            if let ValueKind::Table(inner) = &mut entry.kind {
                insert(inner, rest, value, name);
            }
        }
    }
}

/// Where a value of the merged layers came from; of a table, where its first value did, because the
/// tables themselves are made by merging.
pub(super) fn origin(value: &Value, file: &Arc<Path>) -> Origin {
    if let ValueKind::Table(table) = &value.kind
        && let Some(first) = table.values().next()
    {
        return origin(first, file);
    }
    match value.origin() {
        Some(name) => Origin::Env(name.to_owned()),
        None => Origin::File(file.clone()),
    }
}
