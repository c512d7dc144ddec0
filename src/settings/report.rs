//! The output of `towline check`: the effective settings, and the origin of each value.

use std::{
    fmt::{self, Write},
    path::Path,
    sync::Arc,
};

use config::{Value, ValueKind};

use super::{
    keys::{Key, Kind, SECTIONS, Section, Shape, number_or_text},
    layers::{Layers, Table, as_table, insert, lookup},
    model::Settings,
    problem::{Origin, SettingsError},
    read::{bare_or_quoted, commas, quoted, shown},
    sections::route::Route,
};
use crate::authority::MASK;

/// A function that checks layers.
type Check<'a> = &'a dyn Fn(&Layers) -> Result<Settings, SettingsError>;

/// The column at which comments start, unless the value is longer.
const COMMENT_COLUMN: usize = 43;

/// The extent of a report: which keys it contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All keys.
    All,
    /// The keys whose values differ from the defaults.
    Changed,
}

/// Settings that a running process has, with those that take effect at its next start.
#[derive(Debug, Clone)]
pub struct Running {
    /// The file and the environment that were read last.
    pub layers: Layers,
    /// The keys whose values in `layers` take effect at the next start.
    pub pending: Vec<Pending>,
}

/// A key whose value takes effect at the next start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The name of the section.
    pub section: String,
    /// The name of the key.
    pub key: String,
    /// The value until then.
    pub in_force: InForce,
}

/// The value of a key that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InForce {
    /// The key has no value.
    Unset,
    /// The value as TOML, with secrets masked.
    Value(Arc<str>),
    /// The value is too long to be shown.
    Long,
}

/// The line before a report that contains masked secrets.
const MASK_NOTE: &str = "# Secrets are masked as ***. A masked value is refused when it is read back: replace it, or \
                         set its environment variable.";

/// The effective settings as TOML that can be read back, from any folder.
///
/// ```toml
/// [listener.ws]
/// bind = "127.0.0.1:0"                        # environment TOWLINE__LISTENER__WS__BIND
/// codec = "message"                           # default
/// # rate.burst = "1s"                         # default
/// ```
/// A default that would be refused if it were set, because it has no effect in these settings, is commented
/// out.
pub(crate) fn report(layers: &Layers, extent: Extent, pending: &[Pending], check: Check<'_>) -> String {
    let mut out = String::new();
    let routes = check(layers).map(|settings| settings.routes).unwrap_or_default();
    let without_effect = match extent {
        Extent::All => without_effect(layers, check),
        Extent::Changed => Vec::new(),
    };
    for section in &SECTIONS {
        for (at, (path, heading, table)) in sections(layers, section).into_iter().enumerate() {
            let route = routes.get(at).filter(|_| section.shape == Shape::Listed);
            let route = route.map(|route| &**route);
            let keys = Keys { layers, section, path, table, route, extent, pending };
            let lines = keys.lines(&without_effect);
            if lines.is_empty() && section.shape == Shape::Single {
                continue;
            }
            let gap = if out.is_empty() { "" } else { "\n" };
            let _ = write!(out, "{gap}{heading}\n{lines}");
        }
    }
    if has_masks(layers) { format!("{MASK_NOTE}\n\n{out}") } else { out }
}

/// Keys that have no effect with the other settings, such as `upstream.echo.reply_timeout` in a stream. It
/// is an error to set one, even to its default.
fn without_effect(layers: &Layers, check: Check<'_>) -> Vec<String> {
    let mut explicit = layers.clone();
    for section in &SECTIONS {
        match section.shape {
            Shape::Single => {
                let empty = || Value::new(None, ValueKind::Table(Table::new()));
                set_defaults(section, explicit.root.entry(section.name.to_owned()).or_insert_with(empty));
            }
            Shape::Named | Shape::Listed => {
                match explicit.root.get_mut(section.name).map(|it| &mut it.kind) {
                    Some(ValueKind::Table(named)) => {
                        named.values_mut().for_each(|it| set_defaults(section, it))
                    }
                    Some(ValueKind::Array(items)) => {
                        items.iter_mut().for_each(|it| set_defaults(section, it))
                    }
                    _ => {}
                }
            }
        }
    }
    match check(&explicit) {
        Err(SettingsError::Invalid(problems)) => problems.into_iter().map(|problem| problem.key).collect(),
        _ => Vec::new(),
    }
}

/// Adds the default of every key that a section does not set.
fn set_defaults(section: &Section, value: &mut Value) {
    let ValueKind::Table(table) = &mut value.kind else { return };
    for key in section.keys() {
        let preset = key.preset.value().filter(|_| lookup(table, key.name).is_none());
        if let Some(preset) = preset {
            insert(table, key.name, preset);
        }
    }
}

/// Whether the report contains masked secrets.
fn has_masks(layers: &Layers) -> bool {
    SECTIONS.iter().any(|section| {
        let secret = |kind: Kind| {
            matches!(kind, Kind::Url | Kind::Urls | Kind::Endpoints(_)) || kind.is_secret_table()
        };
        let keys = || section.keys().filter(|key| secret(key.kind));
        sections(layers, section).iter().any(|(_, _, table)| {
            keys().any(|key| {
                let value = table.and_then(|table| lookup(table, key.name));
                value.is_some_and(|value| shown(&typed(value, key.kind), key.kind).contains(MASK))
            })
        })
    })
}

/// The tables of a section, with their paths in problems and their headings.
pub(super) fn sections<'a>(
    layers: &'a Layers,
    section: &Section,
) -> Vec<(String, String, Option<&'a Table>)> {
    let name = section.name;
    let value = layers.root.get(name);
    match (section.shape, value.map(|value| &value.kind)) {
        (Shape::Single, _) => vec![(name.to_owned(), format!("[{name}]"), value.and_then(as_table))],
        (Shape::Named, Some(ValueKind::Table(named))) => named
            .iter()
            .map(|(entry, value)| (format!("{name}.{entry}"), format!("[{name}.{entry}]"), as_table(value)))
            .collect(),
        (Shape::Listed, Some(ValueKind::Array(items))) => (1..)
            .zip(items)
            .map(|(number, item)| (format!("{name}[{number}]"), format!("[[{name}]]"), as_table(item)))
            .collect(),
        _ => Vec::new(),
    }
}

/// Writes the keys of one section.
struct Keys<'a> {
    layers: &'a Layers,
    section: &'static Section,
    /// The path of the section in problems, such as `upstream.echo` or `route[1]`.
    path: String,
    table: Option<&'a Table>,
    route: Option<&'a Route>,
    extent: Extent,
    pending: &'a [Pending],
}

// === impl Keys ===

impl Keys<'_> {
    fn lines(&self, without_effect: &[String]) -> String {
        let mut out = String::new();
        for key in self.section.keys() {
            let auto = self.route.and_then(|route| route.explain_auto(key.name)).unwrap_or_default();
            let set = self.table.and_then(|table| lookup(table, key.name));
            if let Some(pending) = self.pending(key.name) {
                self.write_pending(&mut out, key, set, pending);
                continue;
            }
            match (set, key.preset.value()) {
                (Some(value), _) if key.kind.is_secret_table() => self.write_headers(&mut out, key, value),
                (Some(value), preset) => {
                    let value_of_kind = absolute(typed(value, key.kind), key.kind, self.layers.folder());
                    let is_default = preset.is_some_and(|preset| same(&value_of_kind, &preset, key.kind));
                    if self.extent == Extent::All || !is_default {
                        let comment = format!("{}{auto}", self.layers.origin(value));
                        write_line(&mut out, key.name, &shown(&value_of_kind, key.kind), comment);
                    }
                }
                (None, Some(preset)) if self.extent == Extent::All => {
                    let full = format!("{}.{}", self.path, key.name);
                    let mark = if without_effect.contains(&full) { "# " } else { "" };
                    let name = format!("{mark}{}", key.name);
                    write_line(
                        &mut out,
                        &name,
                        &shown(&preset, key.kind),
                        format!("{}{auto}", Origin::Default),
                    );
                }
                (None, _) => {}
            }
        }
        out
    }

    fn pending(&self, key: &str) -> Option<&InForce> {
        let found = self.pending.iter().find(|pending| pending.section == self.path && pending.key == key);
        found.map(|pending| &pending.in_force)
    }

    /// Writes a key whose value takes effect at the next start.
    fn write_pending(&self, out: &mut String, key: &Key, set: Option<&Value>, in_force: &InForce) {
        let (next, origin) = match (set, key.preset.value()) {
            (Some(value), _) => {
                let typed = absolute(typed(value, key.kind), key.kind, self.layers.folder());
                (shown(&typed, key.kind), self.layers.origin(value))
            }
            (None, Some(preset)) => (shown(&preset, key.kind), Origin::Default),
            (None, None) => ("unset".to_owned(), Origin::Default),
        };
        write_in_force(out, key.name, in_force, (&next, origin));
    }

    /// Writes one line per header, because the headers may have different origins.
    fn write_headers(&self, out: &mut String, key: &Key, value: &Value) {
        match as_table(value) {
            Some(headers) if !headers.is_empty() => {
                for (name, text) in headers {
                    let key = format!("{}.{}", key.name, bare_or_quoted(name));
                    let origin = self.layers.origin(text);
                    match self.pending(&key) {
                        Some(pending) => write_in_force(out, &key, pending, (&quoted(MASK), origin)),
                        None => write_line(out, &key, &quoted(MASK), origin),
                    }
                }
            }
            _ if self.extent == Extent::All => write_line(out, key.name, "{}", self.layers.origin(value)),
            _ => {}
        }
    }
}

/// Prefixes relative paths with the folder at which they start, so that the report has the same meaning in
/// another folder.
pub(super) fn absolute(value: Value, kind: Kind, folder: &Path) -> Value {
    let path = |text: String| Value::from(folder.join(text).display().to_string());
    match (kind, value.kind) {
        (Kind::Path, ValueKind::String(text)) => path(text),
        (Kind::Paths, ValueKind::Array(items)) => {
            let paths = items.into_iter().map(|item| match item.kind {
                ValueKind::String(text) => path(text),
                kind => Value::new(None, kind),
            });
            Value::new(None, ValueKind::Array(paths.collect()))
        }
        (Kind::Tables(section), ValueKind::Array(items)) => {
            let tables = items.into_iter().map(|item| match item.kind {
                ValueKind::Table(table) => absolute_table(table, section, folder),
                kind => Value::new(None, kind),
            });
            Value::new(None, ValueKind::Array(tables.collect()))
        }
        (_, kind) => Value::new(None, kind),
    }
}

fn absolute_table(table: Table, section: &Section, folder: &Path) -> Value {
    let values = table.into_iter().map(|(name, value)| {
        let key = section.keys().find(|key| key.name == name);
        let value = key.map_or_else(|| value.clone(), |key| absolute(value.clone(), key.kind, folder));
        (name, value)
    });
    Value::new(None, ValueKind::Table(values.collect()))
}

/// Whether two values of a key mean the same, such as `"1m"` and `"60s"`.
fn same(one: &Value, other: &Value, kind: Kind) -> bool {
    let texts = || match (&one.kind, &other.kind) {
        (ValueKind::String(one), ValueKind::String(other)) => Some((one, other)),
        _ => None,
    };
    let equal = match kind {
        Kind::Duration(..) | Kind::Timeout(..) => texts().is_some_and(|(one, other)| {
            let times = (humantime::parse_duration(one), humantime::parse_duration(other));
            matches!(times, (Ok(one), Ok(other)) if one == other)
        }),
        Kind::Size(..) => texts().is_some_and(|(one, other)| {
            let sizes = (one.parse::<bytesize::ByteSize>(), other.parse::<bytesize::ByteSize>());
            matches!(sizes, (Ok(one), Ok(other)) if one == other)
        }),
        _ => false,
    };
    equal || shown(one, kind) == shown(other, kind)
}

/// Converts a text from the environment to the number or list that it represents.
pub(super) fn typed(value: &Value, kind: Kind) -> Value {
    let (ValueKind::String(text), Some(_)) = (&value.kind, value.origin()) else { return value.clone() };
    match kind {
        Kind::Count(..) | Kind::OneOf(_) => text.parse::<u64>().map_or_else(|_| value.clone(), Value::from),
        Kind::Ratio => text.parse::<f64>().map_or_else(|_| value.clone(), Value::from),
        Kind::Flag | Kind::AutoFlag => text.parse::<bool>().map_or_else(|_| value.clone(), Value::from),
        Kind::CloseCodes | Kind::Statuses(_) => {
            let items = commas(text).into_iter().map(|item| number_or_text(&item));
            Value::new(None, ValueKind::Array(items.collect()))
        }
        Kind::Addresses if text.contains(',') => Value::from(commas(text)),
        Kind::List
        | Kind::Paths
        | Kind::References(_)
        | Kind::Urls
        | Kind::Endpoints(_)
        | Kind::Processors(_) => Value::from(commas(text)),
        _ => value.clone(),
    }
}

/// Writes a key with the value in force, and the one after the next start. If the first cannot be shown, the line is
/// commented out.
fn write_in_force(out: &mut String, key: &str, in_force: &InForce, (next, origin): (&str, Origin)) {
    // A text of several lines does not fit a comment.
    let next = if next.contains('\n') { "another value" } else { next };
    match in_force {
        InForce::Value(value) => {
            write_line(out, key, value, format!("until the next start, then {next}, {origin}"));
        }
        InForce::Unset => {
            write_line(out, &format!("# {key}"), next, format!("unset until the next start, {origin}"));
        }
        InForce::Long => {
            let comment =
                format!("from the next start on, {origin}; until then a value that is too long to show");
            write_line(out, &format!("# {key}"), next, comment);
        }
    }
}

fn write_line(out: &mut String, key: &str, value: &str, comment: impl fmt::Display) {
    let line = format!("{key} = {value}");
    let _ = writeln!(out, "{line:<COMMENT_COLUMN$} # {comment}");
}
