//! One section of the layers, and the typed readers of its keys.

use std::{path::PathBuf, time::Duration};

use config::{Value, ValueKind};

use super::{Reader, shown::shown, values};
use crate::{
    authority::MASK,
    settings::{
        host::Host,
        keys::{self, Kind, Preset},
        layers::{Table, as_table, lookup},
        problem::{Origin, Problem, unknown},
    },
    traces::Ratio,
};

/// One section of the layers, such as `[listener.ws]`.
pub(crate) struct Section<'a> {
    /// The path in problems, such as `listener.ws` or `route[1]`.
    pub(crate) path: String,
    keys: &'static keys::Section,
    table: Option<&'a Table>,
    /// Whether the value of the section is not a table. This is reported once, instead of missing keys.
    is_misplaced: bool,
    reader: &'a Reader<'a>,
}

/// An item of a list that takes tables, and scalars as their short form.
pub(crate) enum Item<'a> {
    /// A table, as a section with the path `upstream.chat.endpoints[1]`.
    Table(Section<'a>),
    /// Another value, with its number in the list, from 1.
    Scalar(usize, Value),
}

// === impl Section ===

impl<'a> Section<'a> {
    /// Creates a section with that path and value. Reports a value that is not a table, and keys that are not
    /// in the table of keys.
    pub(super) fn new(
        reader: &'a Reader<'a>,
        path: String,
        keys: &'static keys::Section,
        value: Option<&'a Value>,
    ) -> Self {
        let table = value.and_then(as_table);
        let is_misplaced = table.is_none() && value.is_some();
        if is_misplaced {
            reader.problem(&path, value, "is a section, not a key: it takes a table".to_owned());
        }
        let section = Section { path, keys, table, is_misplaced, reader };
        if let Some(table) = table {
            section.check_keys("", table);
        }
        section
    }

    /// Creates a section of a whole file. Reports keys that are not in the table of keys.
    pub(super) fn whole(reader: &'a Reader<'a>, keys: &'static keys::Section, table: &'a Table) -> Self {
        let section = Section { path: String::new(), keys, table: Some(table), is_misplaced: false, reader };
        section.check_keys("", table);
        section
    }

    /// Reports keys of `table` that are not in the table of keys. `prefix` is the path of `table` in the
    /// section.
    fn check_keys(&self, prefix: &str, table: &Table) {
        let names: Vec<_> = self.keys.keys().map(|key| key.name).collect();
        for (name, value) in table {
            let full = format!("{prefix}{name}");
            if names.contains(&full.as_str()) {
                continue;
            }
            let deeper = format!("{full}.");
            let is_table = names.iter().any(|name| name.starts_with(&deeper));
            match &value.kind {
                ValueKind::Table(inner) if is_table => self.check_keys(&deeper, inner),
                _ => {
                    let text = match is_table {
                        true => format!("takes a table: {full} = {{ … }}"),
                        false => keys::elsewhere(&full).unwrap_or_else(|| unknown("key", &full, &names)),
                    };
                    let key = format!("{}.{full}", self.path);
                    let value = is_table.then(|| shown(value, Kind::Text));
                    self.reader.note(Problem { key, value, origin: self.origin_of(table, name), text });
                }
            }
        }
    }

    fn origin_of(&self, table: &Table, name: &str) -> Origin {
        table.get(name).map_or(Origin::Default, |value| self.reader.origin(value))
    }

    /// The value of a key in file or environment; `None` if it is not set there.
    pub(crate) fn said(&self, name: &str) -> Option<&'a Value> {
        lookup(self.table?, name)
    }

    /// The value of a key, parsed by `parse`, whose error is reported. `None` when there is no value or the
    /// value is invalid.
    pub(crate) fn read<T>(&self, name: &str, parse: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        let key = self.keys.key(name);
        let preset = key.preset.value();
        let Some(value) = self.said(name).or(preset.as_ref()) else {
            if matches!(key.preset, Preset::Required) {
                self.missing(name);
            }
            return None;
        };
        match parse(value) {
            Ok(parsed) => Some(parsed),
            Err(text) => {
                self.reader.wrong.borrow_mut().push(format!("{}.{name}", self.path));
                self.problem(name, text);
                // Continue with the default, so that everything else is checked as well.
                preset.and_then(|preset| parse(&preset).ok())
            }
        }
    }

    /// Reports a problem with the value of a key.
    pub(crate) fn problem(&self, name: &str, text: impl Into<String>) {
        let key = self.keys.key(name);
        let (value, origin) = match (self.said(name), key.preset.value()) {
            (Some(value), _) => (Some(shown(value, key.kind)), self.reader.origin(value)),
            (None, Some(preset)) => (Some(shown(&preset, key.kind)), Origin::Default),
            (None, None) => (None, self.section_origin()),
        };
        let key = format!("{}.{name}", self.path);
        self.reader.note(Problem { key, value, origin, text: text.into() });
    }

    /// Reports a problem with the value of a key, which is invalid: no further check uses it.
    pub(crate) fn wrong(&self, name: &str, text: impl Into<String>) {
        self.reader.wrong.borrow_mut().push(format!("{}.{name}", self.path));
        self.problem(name, text);
    }

    /// Reports that the value of a key does not fit the values of the keys `others`. Nothing is reported if
    /// one of these values is invalid.
    pub(crate) fn conflict(&self, name: &str, others: &[&str], text: impl Into<String>) {
        if !self.is_wrong(name) && !others.iter().any(|other| self.is_wrong(other)) {
            self.problem(name, text);
        }
    }

    /// Whether the value of a key is invalid.
    pub(crate) fn is_wrong(&self, name: &str) -> bool {
        let key = format!("{}.{name}", self.path);
        self.reader.wrong.borrow().contains(&key)
    }

    /// Reports a problem with one entry of a table, without showing the entry.
    pub(crate) fn entry_problem(&self, name: &str, entry: &str, value: &Value, text: String) {
        let key = format!("{}.{name}.{entry}", self.path);
        let origin = self.reader.origin(value);
        self.reader.note(Problem { key, value: Some(MASK.to_owned()), origin, text });
    }

    /// Reports a problem with the section as a whole.
    pub(crate) fn section_problem(&self, text: String) {
        if self.is_misplaced {
            return;
        }
        let origin = self.section_origin();
        self.reader.note(Problem { key: self.path.clone(), value: None, origin, text });
    }

    /// Reports a problem with one item of a list. `number` is from 1.
    pub(crate) fn item_problem(&self, name: &str, number: usize, value: &Value, text: impl Into<String>) {
        let kind = self.kind(name);
        let key = format!("{}.{name}[{number}]", self.path);
        let (value, origin) = (Some(shown(value, kind)), self.reader.origin(value));
        self.reader.note(Problem { key, value, origin, text: text.into() });
    }

    /// The items of a list that takes tables; reports a value that is not a list. A text from the environment is a list
    /// of URLs that are separated by commas.
    pub(crate) fn items(&self, name: &str) -> Vec<Item<'a>> {
        let (Some(value), Kind::Endpoints(keys) | Kind::Tables(keys)) = (self.said(name), self.kind(name))
        else {
            return Vec::new();
        };
        let takes_scalars = matches!(self.kind(name), Kind::Endpoints(_));
        match &value.kind {
            ValueKind::Array(items) if items.iter().all(|item| is_item(item, takes_scalars)) => (1..)
                .zip(items)
                .map(|(number, item)| match item.kind {
                    ValueKind::Table(_) => {
                        let path = format!("{}.{name}[{number}]", self.path);
                        Item::Table(Section::new(self.reader, path, keys, Some(item)))
                    }
                    _ => Item::Scalar(number, item.clone()),
                })
                .collect(),
            ValueKind::String(text) if value.origin().is_some() && takes_scalars => {
                let origin = value.origin().map(str::to_owned);
                let item = |(number, text)| {
                    Item::Scalar(number, Value::new(origin.as_ref(), ValueKind::String(text)))
                };
                (1..).zip(values::comma_separated_urls(text)).map(item).collect()
            }
            _ => {
                self.reader.wrong.borrow_mut().push(format!("{}.{name}", self.path));
                self.problem(name, format!("takes {}", self.kind(name)));
                Vec::new()
            }
        }
    }

    /// Reports that a key is missing.
    pub(crate) fn missing(&self, name: &str) {
        if !self.is_misplaced {
            self.problem(name, "required: it has no default");
        }
    }

    /// The origin of the section: that of its first value.
    fn section_origin(&self) -> Origin {
        match self.table.and_then(|table| table.values().next()) {
            Some(value) => self.reader.origin(value),
            None => self.reader.layers.base.clone(),
        }
    }

    /// The machine for which the settings are checked.
    pub(crate) fn host(&self) -> &'a dyn Host {
        self.reader.host
    }

    /// Whether the settings come from a file, not from the command line or the built-in demo.
    pub(crate) fn is_of_file(&self) -> bool {
        matches!(self.reader.layers.base, Origin::File(_))
    }

    pub(crate) fn duration(&self, name: &str) -> Duration {
        let kind = self.kind(name);
        self.read(name, |value| values::duration(value, kind)).unwrap_or_default()
    }

    /// The duration of a key; `None` for "never".
    pub(crate) fn timeout(&self, name: &str) -> Option<Duration> {
        let kind = self.kind(name);
        self.read(name, |value| values::timeout(value, kind)).flatten()
    }

    pub(crate) fn size(&self, name: &str) -> usize {
        let kind = self.kind(name);
        self.read(name, |value| values::size(value, kind)).unwrap_or_default()
    }

    /// The count of a key; 0 when it is invalid.
    pub(crate) fn count<T: TryFrom<u64> + Default>(&self, name: &str) -> T {
        let kind = self.kind(name);
        let parse = |value: &Value| {
            let count = values::count(value, kind)?;
            T::try_from(count).map_err(|_| format!("takes {kind}"))
        };
        self.read(name, parse).unwrap_or_default()
    }

    /// The ratio of a key; `None` when it is invalid.
    pub(crate) fn ratio(&self, name: &str) -> Option<Ratio> {
        let kind = self.kind(name);
        self.read(name, |value| values::ratio(value, kind))
    }

    /// The count of a key; `None` for 0, which means no limit.
    pub(crate) fn cap<T: TryFrom<u64> + Default + PartialEq>(&self, name: &str) -> Option<T> {
        Some(self.count(name)).filter(|count| *count != T::default())
    }

    /// Whether the section may have this key.
    pub(crate) fn has_key(&self, name: &str) -> bool {
        self.keys.keys().any(|key| key.name == name)
    }

    /// Whether the key must be set.
    pub(crate) fn is_required(&self, name: &str) -> bool {
        matches!(self.keys.key(name).preset, Preset::Required)
    }

    /// The kind of values that the key accepts.
    pub(crate) fn kind(&self, name: &str) -> Kind {
        self.keys.key(name).kind
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        let kind = self.kind(name);
        self.read(name, |value| values::flag(value, kind)).unwrap_or_default()
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.read(name, |value| values::text(value).map(str::to_owned))
    }

    /// The value of a key that accepts one of several texts; `None` if it is not set or invalid.
    pub(crate) fn choice(&self, name: &str) -> Option<String> {
        let kind = self.kind(name);
        self.read(name, |value| match (kind, values::text(value)) {
            (Kind::Choice(choices), Ok(text)) if choices.contains(&text) => Ok(text.to_owned()),
            _ => Err(format!("takes {kind}")),
        })
    }

    /// Whether the value of a key with two choices is `choice`.
    pub(crate) fn chooses(&self, name: &str, choice: &str) -> bool {
        self.choice(name).as_deref() == Some(choice)
    }

    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.read(name, values::list).unwrap_or_default()
    }

    /// The path of a key; `None` if it is not set or invalid. A relative path starts at the folder of the
    /// settings.
    pub(crate) fn path_to(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(|path| self.reader.layers.folder().join(path))
    }

    /// The list of paths of a key. Relative paths start at the folder of the settings.
    pub(crate) fn paths(&self, name: &str) -> Vec<PathBuf> {
        self.list(name).iter().map(|path| self.reader.layers.folder().join(path)).collect()
    }
}

/// Whether a value may be an item of a list that takes tables, and perhaps scalars.
fn is_item(value: &Value, takes_scalars: bool) -> bool {
    match value.kind {
        ValueKind::Table(_) => true,
        ValueKind::String(_) => takes_scalars,
        _ => false,
    }
}
