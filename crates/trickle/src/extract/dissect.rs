//! The extractor `dissect`: fields between literal texts, `dissect|%{ip} [%{when}] %{method} %{path}|`.
//!
//! | field | means |
//! |---|---|
//! | `%{name}` | the text up to the next literal |
//! | `%{name:int}`, `:float`, `:string` | the same, converted to that type; no match if it cannot be converted |
//! | `%{name->}` | the literal after it may be repeated |
//! | `%{+name}` | appended to `name`, after a space or the last padding before it |
//! | `%{?name}`, `%{&name}` | the first matches a key, the second the value under that key |
//! | `%{}`, `%{?}` | skipped |
//! | `%{_}`, `%{_(x)}` | padding: any number of spaces, or of `x` |
//!
//! In literals, `\n`, `\r` and `\t` are escapes as in strings.

use std::collections::{HashMap, HashSet};

use super::{escapes::escapes, float, integer};
use towline_event::{Record, Value};

/// Maximum number of different paddings in a format, because each of them may require a search of the text.
const PADDINGS_MAX: usize = 16;

/// A compiled format: literals, fields and paddings.
#[derive(Debug)]
pub(super) struct Dissect(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Field(Field),
    /// Any number of repetitions of this text.
    Padding(String),
}

#[derive(Debug)]
struct Field {
    name: String,
    role: Role,
    kind: FieldType,
    /// Whether the literal after the field may be repeated.
    greedy: bool,
    /// The text between the parts of an appended field.
    joint: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Plain,
    More,
    Key,
    ValueOfKey,
    Skipped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldType {
    Text,
    Int,
    Float,
}

// === compiling ===

impl Dissect {
    pub(super) fn compile(format: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut joint = " ".to_owned();
        let mut rest = format;
        while !rest.is_empty() {
            let (text, after) = rest.split_at(rest.find("%{").unwrap_or(rest.len()));
            if !text.is_empty() {
                parts.push(Part::Text(escapes(text)?));
            }
            let Some(field) = after.strip_prefix("%{") else { break };
            let closed = field.split_once('}').filter(|(field, _)| !field.contains("%{"));
            let (field, after) = closed.ok_or("has a %{ without its }")?;
            let mut part = part(field)?;
            match &mut part {
                Part::Padding(padding) if after.starts_with(padding.as_str()) => {
                    return Err(format!("has {padding:?} after the padding that consumes all of them"));
                }
                Part::Padding(padding) => joint.clone_from(padding),
                Part::Field(field) if field.role == Role::More => field.joint.clone_from(&joint),
                _ => {}
            }
            if matches!((parts.last(), &part), (Some(Part::Field(_)), Part::Field(_))) {
                return Err(
                    "has two fields with nothing between them, so the end of the first is unknown".to_owned()
                );
            }
            parts.push(part);
            rest = after;
        }
        let dissect = Self(parts);
        dissect.check()
    }

    /// Checks that every `%{&name}` has its `%{?name}`, that no name is used twice, and that there are not
    /// too many paddings.
    fn check(self) -> Result<Self, String> {
        let (mut plain, mut keys, mut paddings) = (HashSet::new(), HashSet::new(), HashSet::new());
        for part in &self.0 {
            match part {
                Part::Text(_) => {}
                Part::Padding(padding) => _ = paddings.insert(padding),
                Part::Field(Field { name, role: Role::Key, .. }) => _ = keys.insert(name),
                Part::Field(Field { name, role: Role::ValueOfKey, .. }) if !keys.contains(name) => {
                    return Err(format!("has %{{&{name}}} without a %{{?{name}}} before it"));
                }
                Part::Field(Field { name, role: Role::Plain, .. }) if !plain.insert(name) => {
                    return Err(format!("has %{{{name}}} twice; to append to it, write %{{+{name}}}"));
                }
                Part::Field(_) => {}
            }
        }
        match paddings.len() > PADDINGS_MAX {
            true => Err(format!("has more than {PADDINGS_MAX} different paddings")),
            false => Ok(self),
        }
    }
}

/// Parses the text between `%{` and `}` of a field.
fn part(field: &str) -> Result<Part, String> {
    if field == "_" {
        return Ok(Part::Padding(" ".to_owned()));
    }
    if let Some(padding) = field.strip_prefix("_(").and_then(|rest| rest.strip_suffix(')')) {
        return match padding.is_empty() {
            true => Err("has an empty padding %{_()}".to_owned()),
            false => Ok(Part::Padding(padding.to_owned())),
        };
    }
    let (field, greedy) = match field.strip_suffix("->") {
        Some(field) => (field, true),
        None => (field, false),
    };
    let (role, name) = match field.chars().next() {
        Some('+') => (Role::More, &field[1..]),
        Some('&') => (Role::ValueOfKey, &field[1..]),
        Some('?') if field.len() > 1 => (Role::Key, &field[1..]),
        Some('?') | None => (Role::Skipped, ""),
        Some(_) => (Role::Plain, field),
    };
    let (name, kind) = match name.split_once(':') {
        None | Some((_, "string")) => (name.split(':').next().unwrap_or(name), FieldType::Text),
        Some((name, "int" | "integer")) => (name, FieldType::Int),
        Some((name, "float")) => (name, FieldType::Float),
        Some((_, other)) => return Err(format!("knows the types int, float and string, not {other:?}")),
    };
    if name.is_empty() && role != Role::Skipped {
        return Err(format!("has a %{{{field}}} without a name"));
    }
    if kind != FieldType::Text && role == Role::More {
        return Err("can append text only: %{+…} takes no type".to_owned());
    }
    Ok(Part::Field(Field { name: name.to_owned(), role, kind, greedy, joint: String::new() }))
}

// === matching ===

impl Dissect {
    pub(super) fn extract(&self, text: &str) -> Option<Value> {
        let mut found = Found::default();
        let mut rest = text;
        let mut missing = HashSet::new();
        for (at, part) in self.0.iter().enumerate() {
            match part {
                Part::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Part::Padding(padding) => rest = rest.trim_start_matches(padding.as_str()),
                Part::Field(field) => {
                    let (value, after) = rest.split_at(self.end(at, rest, &mut missing)?);
                    rest = match self.0.get(at + 1) {
                        Some(Part::Text(text)) if field.greedy => last_of(text, after),
                        _ => after,
                    };
                    found.put(field, value)?;
                }
            }
        }
        rest.is_empty().then(|| found.into_value())
    }

    /// The offset in `rest` at which a field ends; `at` is the index of the field in the pattern. A field ends where
    /// the next literal or padding begins. If that padding is missing in the text, the field ends where the part
    /// after the padding begins. `None` if the text does not match.
    ///
    /// `missing` has the literals that the rest of the text does not contain, so that they are searched only
    /// once.
    fn end<'p>(&'p self, at: usize, rest: &str, missing: &mut HashSet<&'p str>) -> Option<usize> {
        match self.0.get(at + 1) {
            None => Some(rest.len()),
            Some(Part::Text(text)) => rest.find(text.as_str()),
            Some(Part::Field(_)) => None,
            Some(Part::Padding(padding)) => {
                let padding = padding.as_str();
                let place = if missing.contains(padding) { None } else { rest.find(padding) };
                if place.is_some() {
                    return place;
                }
                missing.insert(padding);
                match self.0.get(at + 2) {
                    None => Some(rest.len()),
                    Some(Part::Text(text)) => rest.find(text.as_str()),
                    Some(_) => None,
                }
            }
        }
    }
}

/// Skips repeated literals; returns the rest from the last of them.
fn last_of<'r>(text: &str, mut rest: &'r str) -> &'r str {
    while let Some(more) = rest.strip_prefix(text)
        && more.starts_with(text)
    {
        rest = more;
    }
    rest
}

/// The fields found so far.
#[derive(Default)]
struct Found<'f> {
    record: Record,
    keys: HashMap<&'f str, String>,
    /// Appended fields, which may grow. The record has placeholders for them, to keep the order.
    growing: HashMap<&'f str, String>,
}

impl<'f> Found<'f> {
    fn put(&mut self, field: &'f Field, found: &str) -> Option<()> {
        let name = field.name.as_str();
        let value = match field.kind {
            FieldType::Text => Value::string(found),
            FieldType::Int => integer(found)?,
            FieldType::Float => float(found)?,
        };
        match field.role {
            Role::Plain => self.set(name, value),
            Role::More => self.add(field, found)?,
            Role::Key => _ = self.keys.insert(name, found.to_owned()),
            Role::ValueOfKey => {
                let key = self.keys.remove(name).filter(|key| !key.is_empty())?;
                self.set(&key, value);
            }
            Role::Skipped => {}
        }
        Some(())
    }

    fn set(&mut self, name: &str, value: Value) {
        self.growing.remove(name);
        self.record.insert(name.into(), value);
    }

    fn add(&mut self, field: &'f Field, found: &str) -> Option<()> {
        let name = field.name.as_str();
        if let Some(text) = self.growing.get_mut(name) {
            text.extend([field.joint.as_str(), found]);
            return Some(());
        }
        let text = match self.record.get(name) {
            Some(first) => [first.as_str()?, &field.joint, found].concat(),
            None => found.to_owned(),
        };
        self.record.insert(name.into(), Value::Null);
        self.growing.insert(name, text);
        Some(())
    }

    fn into_value(mut self) -> Value {
        for (name, text) in self.growing {
            self.record.insert(name.into(), Value::string(text));
        }
        Value::Record(self.record.into())
    }
}
