//! Reads one section: finds values, parses them, and collects problems.

use std::{cell::RefCell, path::Path, time::Duration};

use config::{Map, Value, ValueKind};

use super::{
    Origin, Problem,
    host::Host,
    keys::{self, Kind, Preset},
    layers::Layers,
    url,
};

/// A table of the merged layers.
pub(super) type Table = Map<String, Value>;

/// All sections of the layers, and the problems found.
pub(super) struct Reader<'a> {
    pub(super) layers: &'a Layers,
    host: &'a dyn Host,
    problems: RefCell<Vec<Problem>>,
    /// Keys with invalid values: further checks ignore their defaults.
    wrong: RefCell<Vec<String>>,
}

/// One section of the layers, such as `[listener.ws]`.
pub(super) struct Section<'a> {
    /// `listener.ws`, `route[1]`
    pub(super) path: String,
    shape: &'static keys::Section,
    table: Option<&'a Table>,
    /// Whether the section is not a table. That is reported, and no key is reported as missing then.
    is_misplaced: bool,
    reader: &'a Reader<'a>,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers, host: &'a dyn Host) -> Self {
        let problems = RefCell::new(layers.problems.clone());
        Self { layers, host, problems, wrong: RefCell::default() }
    }

    /// The problems found so far.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    pub(super) fn is_clean(&self) -> bool {
        self.problems.borrow().is_empty()
    }

    /// Whether a key that begins with `prefix` has an invalid value.
    pub(super) fn has_wrong(&self, prefix: &str) -> bool {
        self.wrong.borrow().iter().any(|key| key.starts_with(prefix))
    }

    /// Whether the settings have sections of this kind, valid or not.
    pub(super) fn mentions(&self, kind: &str) -> bool {
        let is_empty = |kind: &ValueKind| match kind {
            ValueKind::Table(table) => table.is_empty(),
            ValueKind::Array(items) => items.is_empty(),
            _ => false,
        };
        self.layers.root.get(kind).is_some_and(|value| !is_empty(&value.kind))
    }

    /// Reports a problem with something that is not a key of a section.
    pub(super) fn problem(&self, key: &str, value: Option<&Value>, text: String) {
        let (shown, origin) = match value {
            Some(value) if matches!(value.kind, ValueKind::Table(_)) => (None, self.origin(value)),
            // The value replaces tables, so any part of it may be secret.
            Some(value) => (Some(url::MASK.to_owned()), self.origin(value)),
            None => (None, self.layers.base.clone()),
        };
        self.note(Problem { key: key.to_owned(), value: shown, origin, text });
    }

    fn note(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    fn origin(&self, value: &Value) -> Origin {
        self.layers.origin(value)
    }

    /// Refuses top-level keys that are not sections.
    pub(super) fn check_sections(&self) {
        let names: Vec<_> = keys::SECTIONS.iter().map(|section| section.name).collect();
        for (name, value) in &self.layers.root {
            if !names.contains(&name.as_str()) {
                self.problem(name, Some(value), unknown("section", name, &names));
            }
        }
    }

    /// The section `[NAME]`; empty when the settings do not have it.
    pub(super) fn single(&'a self, name: &'static str) -> Section<'a> {
        let value = self.layers.root.get(name);
        self.section(name.to_owned(), keys::section(name), value)
    }

    /// All sections `[KIND.NAME]`, with `NAME`.
    pub(super) fn named(&'a self, kind: &'static str) -> Vec<(&'a str, Section<'a>)> {
        let shape = keys::section(kind);
        let Some(value) = self.layers.root.get(kind) else { return Vec::new() };
        let ValueKind::Table(table) = &value.kind else {
            self.problem(kind, Some(value), format!("takes tables: [{kind}.NAME]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (name, value) in table {
            let path = format!("{kind}.{name}");
            if let Some(wrong) = wrong_name(name) {
                self.problem(&path, Some(value), wrong.to_owned());
            }
            sections.push((name.as_str(), self.section(path, shape, Some(value))));
        }
        sections
    }

    /// All sections `[[KIND]]`.
    pub(super) fn listed(&'a self, kind: &'static str) -> Vec<Section<'a>> {
        let shape = keys::section(kind);
        let Some(value) = self.layers.root.get(kind) else { return Vec::new() };
        let ValueKind::Array(items) = &value.kind else {
            self.problem(kind, Some(value), format!("write [[{kind}]] with double brackets"));
            return Vec::new();
        };
        let number = |at: usize| format!("{kind}[{}]", at + 1);
        items.iter().enumerate().map(|(at, item)| self.section(number(at), shape, Some(item))).collect()
    }

    fn section(
        &'a self,
        path: String,
        shape: &'static keys::Section,
        value: Option<&'a Value>,
    ) -> Section<'a> {
        let table = match value.map(|value| &value.kind) {
            Some(ValueKind::Table(table)) => Some(table),
            Some(_) => {
                self.problem(&path, value, "is a section, not a key: it takes a table".to_owned());
                None
            }
            None => None,
        };
        let is_misplaced = table.is_none() && value.is_some();
        let section = Section { path, shape, table, is_misplaced, reader: self };
        if let Some(table) = table {
            section.check_keys("", table);
        }
        section
    }
}

/// Why a text is not a valid name of a listener, upstream or pipeline; `None` when it is.
fn wrong_name(name: &str) -> Option<&'static str> {
    let letters = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_' | '-');
    if name.is_empty() || !name.chars().all(letters) {
        return Some("a name is made of a-z, 0-9, _ and -");
    }
    name.contains("__")
        .then_some("a name has no two underscores side by side: environment variables could not express it")
}

// === impl Section ===

impl<'a> Section<'a> {
    /// Refuses keys that are not in the table of keys.
    fn check_keys(&self, prefix: &str, table: &Table) {
        let names: Vec<_> = self.shape.keys.iter().map(|key| key.name).collect();
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
                        false => unknown("key", &full, &names),
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

    /// The value of a key in file or environment.
    pub(super) fn said(&self, name: &str) -> Option<&'a Value> {
        let (path, last) = name.rsplit_once('.').map_or((None, name), |(path, last)| (Some(path), last));
        let mut table = self.table?;
        if let Some(path) = path {
            match &table.get(path)?.kind {
                ValueKind::Table(inner) => table = inner,
                _ => return None,
            }
        }
        table.get(last)
    }

    /// The value of a key, parsed by `parse`; reports its error. `None` when there is no value or it is
    /// invalid.
    pub(super) fn read<T>(&self, name: &str, parse: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        let key = self.shape.key(name);
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
    pub(super) fn problem(&self, name: &str, text: impl Into<String>) {
        let key = self.shape.key(name);
        let (value, origin) = match (self.said(name), key.preset.value()) {
            (Some(value), _) => (Some(shown(value, key.kind)), self.reader.origin(value)),
            (None, Some(preset)) => (Some(shown(&preset, key.kind)), Origin::Default),
            (None, None) => (None, self.section_origin()),
        };
        let key = format!("{}.{name}", self.path);
        self.reader.note(Problem { key, value, origin, text: text.into() });
    }

    /// Reports that the value of a key does not fit those of `others`. An invalid value conflicts with
    /// nothing.
    pub(super) fn conflict(&self, name: &str, others: &[&str], text: impl Into<String>) {
        if !self.is_wrong(name) && !others.iter().any(|other| self.is_wrong(other)) {
            self.problem(name, text);
        }
    }

    /// Whether the value of a key is invalid.
    pub(super) fn is_wrong(&self, name: &str) -> bool {
        let key = format!("{}.{name}", self.path);
        self.reader.wrong.borrow().contains(&key)
    }

    /// Reports a problem with one entry of a table, without showing the entry.
    pub(super) fn entry_problem(&self, name: &str, entry: &str, value: &Value, text: String) {
        let key = format!("{}.{name}.{entry}", self.path);
        let origin = self.reader.origin(value);
        self.reader.note(Problem { key, value: Some(url::MASK.to_owned()), origin, text });
    }

    /// Reports a problem with the section as a whole.
    pub(super) fn section_problem(&self, text: String) {
        if self.is_misplaced {
            return;
        }
        let origin = self.section_origin();
        self.reader.note(Problem { key: self.path.clone(), value: None, origin, text });
    }

    fn missing(&self, name: &str) {
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
    pub(super) fn host(&self) -> &'a dyn Host {
        self.reader.host
    }

    /// Whether the settings come from a file, not from the command line or the built-in demo.
    pub(super) fn is_of_file(&self) -> bool {
        matches!(self.reader.layers.base, Origin::File(_))
    }

    /// The folder at which relative paths in the settings start.
    pub(super) fn folder(&self) -> &Path {
        self.reader.layers.folder()
    }

    pub(super) fn duration(&self, name: &str) -> Duration {
        let kind = self.shape.key(name).kind;
        self.read(name, |value| duration(value, kind)).unwrap_or_default()
    }

    /// A duration; `None` for "never".
    pub(super) fn timeout(&self, name: &str) -> Option<Duration> {
        let kind = self.shape.key(name).kind;
        self.read(name, |value| timeout(value, kind)).flatten()
    }

    pub(super) fn size(&self, name: &str) -> usize {
        let kind = self.shape.key(name).kind;
        self.read(name, |value| size(value, kind)).unwrap_or_default()
    }

    pub(super) fn count(&self, name: &str) -> u64 {
        let kind = self.shape.key(name).kind;
        self.read(name, |value| count(value, kind)).unwrap_or_default()
    }

    /// The kind of values that the key takes.
    pub(super) fn kind(&self, name: &str) -> Kind {
        self.shape.key(name).kind
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        let kind = self.kind(name);
        self.read(name, |value| flag(value, kind)).unwrap_or_default()
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.read(name, |value| text(value).map(str::to_owned))
    }

    /// The value of a key that takes one of several choices.
    pub(super) fn choice(&self, name: &str) -> Option<String> {
        let kind = self.shape.key(name).kind;
        self.read(name, |value| match kind {
            Kind::Choice(choices) if text(value).is_ok_and(|text| choices.contains(&text)) => {
                text(value).map(str::to_owned)
            }
            _ => Err(format!("takes {kind}")),
        })
    }

    /// Whether the key's value is `choice`; for a key with two choices.
    pub(super) fn chooses(&self, name: &str, choice: &str) -> bool {
        self.choice(name).as_deref() == Some(choice)
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.read(name, list).unwrap_or_default()
    }
}

pub(super) fn text(value: &Value) -> Result<&str, String> {
    match &value.kind {
        ValueKind::String(text) => Ok(text),
        _ => Err("takes a text in quotes".to_owned()),
    }
}

/// An array of texts, or comma-separated texts from the environment.
pub(super) fn list(value: &Value) -> Result<Vec<String>, String> {
    let wrong = || "takes a list of texts".to_owned();
    match &value.kind {
        ValueKind::Array(items) => {
            items.iter().map(|item| text(item).map(str::to_owned).map_err(|_| wrong())).collect()
        }
        ValueKind::String(text) if value.origin().is_some() => Ok(commas(text)),
        _ => Err(wrong()),
    }
}

/// All values, or all errors joined by semicolons.
pub(super) fn all<T>(results: impl Iterator<Item = Result<T, String>>) -> Result<Vec<T>, String> {
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors.join("; ")) }
}

/// `true` or `false`, or these words from the environment.
pub(super) fn flag(value: &Value, kind: Kind) -> Result<bool, String> {
    match &value.kind {
        ValueKind::Boolean(flag) => Ok(*flag),
        ValueKind::String(word) if value.origin().is_some() => {
            word.parse().map_err(|_| format!("takes {kind}"))
        }
        _ => Err(format!("takes {kind}")),
    }
}

/// The parts of a comma-separated text. An empty text has none.
pub(super) fn commas(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn duration(value: &Value, kind: Kind) -> Result<Duration, String> {
    let takes = || format!("takes {kind}");
    let text = text(value).map_err(|_| takes())?;
    if !text.ends_with(|letter: char| letter.is_alphabetic()) {
        return Err(takes());
    }
    let duration = humantime::parse_duration(text).map_err(|_| takes())?;
    match kind {
        Kind::Duration(min, max) if duration < min || duration > max => Err(takes()),
        _ => Ok(duration),
    }
}

fn timeout(value: &Value, kind: Kind) -> Result<Option<Duration>, String> {
    if text(value) == Ok("never") {
        return Ok(None);
    }
    let (Kind::Duration(min, max) | Kind::Timeout(min, max)) = kind else { return Ok(None) };
    duration(value, Kind::Duration(min, max)).map(Some).map_err(|_| format!("takes {kind}"))
}

fn size(value: &Value, kind: Kind) -> Result<usize, String> {
    let takes = || format!("takes {kind}");
    let text = text(value).map_err(|_| takes())?;
    if !text.ends_with(|letter: char| letter.is_alphabetic()) {
        return Err(takes());
    }
    let bytes: bytesize::ByteSize = text.parse().map_err(|_| takes())?;
    match kind {
        Kind::Size(min, max) if bytes.as_u64() < min || bytes.as_u64() > max => Err(takes()),
        _ => usize::try_from(bytes.as_u64()).map_err(|_| takes()),
    }
}

fn count(value: &Value, kind: Kind) -> Result<u64, String> {
    let takes = || format!("takes {kind}");
    let number = match &value.kind {
        ValueKind::I64(number) => u64::try_from(*number).map_err(|_| takes())?,
        ValueKind::U64(number) => *number,
        ValueKind::String(digits) if value.origin().is_some() => digits.parse().map_err(|_| takes())?,
        _ => return Err(takes()),
    };
    match kind {
        Kind::Count(min, max) if number < min || number > max => Err(takes()),
        Kind::OneOf(numbers) if !numbers.contains(&number) => Err(takes()),
        _ => Ok(number),
    }
}

/// `unknown key; did you mean "bind"?`, or the list of existing names.
fn unknown(what: &str, name: &str, names: &[&str]) -> String {
    match near(name, names) {
        Some(known) => format!("unknown {what}; did you mean {known:?}?"),
        None => format!("unknown {what}; there are {}", names.join(", ")),
    }
}

/// The most similar name, if `name` is likely a misspelling of it.
pub(super) fn near<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let nearest = names.iter().map(|known| (strsim::damerau_levenshtein(name, known), *known)).min();
    nearest.filter(|(distance, known)| *distance <= 2.max(known.len() / 4)).map(|(_, known)| known)
}

/// A value as TOML for texts and reports, with secrets masked.
pub(super) fn shown(value: &Value, kind: Kind) -> String {
    match &value.kind {
        ValueKind::Table(table) if table.is_empty() => "{}".to_owned(),
        _ if matches!(kind, Kind::Headers) => quoted(url::MASK),
        ValueKind::String(text) if matches!(kind, Kind::Url | Kind::Urls) => quoted(&url::mask(text)),
        ValueKind::String(text) => quoted(text),
        ValueKind::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shown(item, kind)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Table(table) => {
            let pairs: Vec<_> =
                table.iter().map(|(key, value)| format!("{key} = {}", shown(value, kind))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

/// A TOML basic string. JSON's escapes are valid TOML, which has one more.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use config::{File, FileFormat, Source};
    use proptest::prelude::*;

    use super::*;

    const DAY: Kind = Kind::Duration(Duration::from_millis(1), Duration::from_secs(86_400));
    const ANY_SIZE: Kind = Kind::Size(0, u64::MAX);

    #[test]
    fn times_and_sizes_have_units() {
        let time = |text: &str| duration(&Value::from(text), DAY).ok();
        for (text, millis) in
            [("1ms", 1), ("1.5s", 1500), ("30s", 30_000), ("1m 30s", 90_000), ("1day", 86_400_000)]
        {
            assert_eq!(time(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "0", "5", "s", "-1s", "1 fortnight", "0ms", "1us", "2days", "99999999999999999999s"]
        {
            assert_eq!(time(text), None, "{text}");
        }
        let bytes = |text: &str| size(&Value::from(text), ANY_SIZE).ok();
        for (text, count) in
            [("1B", 1), ("64KiB", 65_536), ("64 kB", 64_000), ("1MiB", 1 << 20), ("0.5KiB", 512)]
        {
            assert_eq!(bytes(text), Some(count), "{text}");
        }
        for text in ["", "64", "KiB", "-1KiB", "1 KiBs", "1e3"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_that_text_to_toml(text in r"[\x00-\x9f\PC]{0,20}") {
            let table = File::from_str(&format!("a = {}", quoted(&text)), FileFormat::Toml).collect().unwrap();
            prop_assert_eq!(&table["a"].kind, &ValueKind::String(text));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in r"[0-9.e+ -]{0,22}(ms|s|day|years|KiB|EiB|B|[a-zß]{0,3})") {
            let _ = duration(&Value::from(text.as_str()), DAY);
            let _ = size(&Value::from(text.as_str()), ANY_SIZE);
        }

        #[test]
        fn what_a_time_prints_as_it_is_read_as(millis in 1_u64..86_400_000) {
            let time = Duration::from_millis(millis);
            let text = humantime::format_duration(time).to_string();
            prop_assert_eq!(duration(&Value::from(text), DAY), Ok(time));
        }
    }
}
