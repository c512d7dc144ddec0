//! What `towline check` prints: the effective settings, and where each value came from.

use std::fmt::{self, Write};

use config::{Value, ValueKind};

use super::{
    Origin, Route,
    keys::{Kind, SECTIONS, Section, Shape, number_or_text},
    layers::{Layers, origin},
    read::{Table, commas, quoted, shown},
    url,
};

/// Where the comments begin, if the value is not longer.
const COMMENT_COLUMN: usize = 43;

/// The effective settings as TOML that could stand in a file, but for the secrets.
///
/// ```toml
/// [listener.ws]
/// bind = "127.0.0.1:0"                        # environment TOWLINE__LISTENER__WS__BIND
/// codec = "message"                           # default
/// ```
pub(super) fn report(layers: &Layers) -> String {
    let mut out = String::new();
    let routes = layers.check().map(|settings| settings.routes).unwrap_or_default();
    for section in &SECTIONS {
        for (at, (heading, table)) in sections(layers, section).into_iter().enumerate() {
            let gap = if out.is_empty() { "" } else { "\n" };
            let _ = writeln!(out, "{gap}{heading}");
            let route = routes.get(at).filter(|_| section.shape == Shape::Listed);
            write_keys(&mut out, layers, section, table, route.map(|route| &**route));
        }
    }
    out
}

/// The tables of a section, with their headings.
fn sections<'a>(layers: &'a Layers, section: &Section) -> Vec<(String, Option<&'a Table>)> {
    let name = section.name;
    match (section.shape, layers.root.get(name).map(|value| &value.kind)) {
        (Shape::Single, kind) => vec![(format!("[{name}]"), kind.and_then(as_table))],
        (Shape::Named, Some(ValueKind::Table(named))) => {
            named.iter().map(|(entry, value)| (format!("[{name}.{entry}]"), as_table(&value.kind))).collect()
        }
        (Shape::Listed, Some(ValueKind::Array(items))) => {
            items.iter().map(|item| (format!("[[{name}]]"), as_table(&item.kind))).collect()
        }
        _ => Vec::new(),
    }
}

fn as_table(kind: &ValueKind) -> Option<&Table> {
    match kind {
        ValueKind::Table(table) => Some(table),
        _ => None,
    }
}

fn write_keys(
    out: &mut String,
    layers: &Layers,
    section: &Section,
    table: Option<&Table>,
    route: Option<&Route>,
) {
    for key in section.keys {
        let auto = route.and_then(|route| route.explain_auto(key.name)).unwrap_or_default();
        let said = table.and_then(|table| lookup(table, key.name));
        match (said, key.preset.value()) {
            (Some(value), _) if matches!(key.kind, Kind::Headers) => {
                write_headers(out, layers, key.name, value);
            }
            (Some(value), _) => {
                let text = shown(&typed(value, key.kind), key.kind);
                write_line(out, key.name, &text, format_args!("{}{auto}", origin(value, &layers.file)));
            }
            (None, Some(preset)) => {
                write_line(
                    out,
                    key.name,
                    &shown(&preset, key.kind),
                    format_args!("{}{auto}", Origin::Default),
                );
            }
            (None, None) => {}
        }
    }
}

/// A text of the environment as the number or list that it stands for.
fn typed(value: &Value, kind: Kind) -> Value {
    let (ValueKind::String(text), Some(_)) = (&value.kind, value.origin()) else { return value.clone() };
    match kind {
        Kind::Count(..) | Kind::OneOf(_) => text.parse::<u64>().map_or_else(|_| value.clone(), Value::from),
        Kind::Flag | Kind::AutoFlag => text.parse::<bool>().map_or_else(|_| value.clone(), Value::from),
        Kind::CloseCodes | Kind::Statuses => {
            let items = commas(text).into_iter().map(|item| number_or_text(&item));
            Value::new(None, ValueKind::Array(items.collect()))
        }
        Kind::Addresses if text.contains(',') => Value::from(commas(text)),
        Kind::List | Kind::Urls | Kind::Processors(_) => Value::from(commas(text)),
        _ => value.clone(),
    }
}

/// One line for each header: they may come from different places.
fn write_headers(out: &mut String, layers: &Layers, key: &str, value: &Value) {
    match as_table(&value.kind) {
        Some(headers) if !headers.is_empty() => {
            for (name, text) in headers {
                let key = format!("{key}.{}", bare_or_quoted(name));
                write_line(out, &key, &quoted(url::MASK), origin(text, &layers.file));
            }
        }
        _ => write_line(out, key, "{}", origin(value, &layers.file)),
    }
}

fn write_line(out: &mut String, key: &str, value: &str, comment: impl fmt::Display) {
    let line = format!("{key} = {value}");
    let _ = writeln!(out, "{line:<COMMENT_COLUMN$} # {comment}");
}

fn lookup<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    match name.split_once('.') {
        None => table.get(name),
        Some((outer, inner)) => as_table(&table.get(outer)?.kind).and_then(|table| lookup(table, inner)),
    }
}

fn bare_or_quoted(name: &str) -> String {
    let bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}
