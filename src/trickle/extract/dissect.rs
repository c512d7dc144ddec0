//! `dissect`: fields between fixed texts, `dissect|%{ip} [%{when}] %{method} %{path}|`.
//!
//! | field | means |
//! |---|---|
//! | `%{name}` | up to the text behind it |
//! | `%{name:int}`, `:float`, `:string` | the same as that type; what is none does not match |
//! | `%{name->}` | the text behind it may stand there more than once |
//! | `%{+name}` | more of `name`, joined by the text that stands behind its first part |
//! | `%{?name}`, `%{&name}` | the first is a key, and the second the value under that key |
//! | `%{}`, `%{?}` | left out |
//! | `%{_}`, `%{_(x)}` | spaces, or `x`, once or more; at the end also none |

use super::{float, integer};
use crate::event::{Record, Value};

/// A compiled format: texts and fields in turns.
#[derive(Debug)]
pub(super) struct Dissect(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Field(Field),
    /// Any number of these.
    Padding(String),
}

#[derive(Debug)]
struct Field {
    name: String,
    role: Role,
    kind: Kind,
    /// The text behind it may stand there more than once.
    greedy: bool,
    /// For what adds: the text behind the first part.
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
enum Kind {
    Text,
    Int,
    Float,
}

impl Dissect {
    pub(super) fn compile(format: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = format;
        while !rest.is_empty() {
            let (text, behind) = rest.split_at(rest.find("%{").unwrap_or(rest.len()));
            if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
            let Some(field) = behind.strip_prefix("%{") else { break };
            let (field, behind) = field.split_once('}').ok_or("has a %{ without its }")?;
            let mut part = part(field)?;
            if let Part::Field(Field { name, role: Role::More, joint, .. }) = &mut part {
                *joint = text_behind(&parts, name);
            }
            if matches!((parts.last(), &part), (Some(Part::Field(_)), Part::Field(_))) {
                return Err("has two fields with nothing between them: where would the first end?".to_owned());
            }
            parts.push(part);
            rest = behind;
        }
        let dissect = Self(parts);
        dissect.check()
    }

    /// What adds has something to add to, what is under a key has its key.
    fn check(self) -> Result<Self, String> {
        let fields = || {
            self.0.iter().filter_map(|part| if let Part::Field(field) = part { Some(field) } else { None })
        };
        for (at, field) in fields().enumerate() {
            let before = || fields().take(at).filter(|known| known.name == field.name);
            match field.role {
                Role::More if !before().any(|known| matches!(known.role, Role::Plain | Role::More)) => {
                    return Err(format!("has %{{+{0}}} without a %{{{0}}} before it", field.name));
                }
                Role::ValueOfKey if !before().any(|known| known.role == Role::Key) => {
                    return Err(format!("has %{{&{0}}} without a %{{?{0}}} before it", field.name));
                }
                Role::Plain if before().any(|known| known.role == Role::Plain) => {
                    return Err(format!("has %{{{0}}} twice; more of it is %{{+{0}}}", field.name));
                }
                _ => {}
            }
        }
        Ok(self)
    }

    pub(super) fn extract(&self, text: &str) -> Option<Value> {
        let mut record = Record::new();
        let mut keys: Vec<(&str, String)> = Vec::new();
        let mut rest = text;
        let mut parts = self.0.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Part::Padding(padding) => {
                    let behind = rest.trim_start_matches(padding.as_str());
                    if behind.len() == rest.len() && parts.peek().is_some() {
                        return None;
                    }
                    rest = behind;
                }
                Part::Field(field) => {
                    let end = match parts.peek() {
                        None => rest.len(),
                        Some(Part::Text(behind)) => rest.find(behind.as_str())?,
                        Some(Part::Padding(padding)) => rest.find(padding.as_str()).unwrap_or(rest.len()),
                        Some(Part::Field(_)) => return None,
                    };
                    let (found, behind) = rest.split_at(end);
                    rest = behind;
                    if field.greedy
                        && let Some(Part::Text(text)) = parts.peek()
                    {
                        // One of them is left for the text itself.
                        while let Some(more) = rest.strip_prefix(text.as_str())
                            && more.starts_with(text.as_str())
                        {
                            rest = more;
                        }
                    }
                    field.put(found, &mut record, &mut keys)?;
                }
            }
        }
        rest.is_empty().then(|| Value::Record(record.into()))
    }
}

impl Field {
    fn put<'f>(&'f self, found: &str, record: &mut Record, keys: &mut Vec<(&'f str, String)>) -> Option<()> {
        let value = match self.kind {
            Kind::Text => Value::string(found),
            Kind::Int => integer(found)?,
            Kind::Float => float(found)?,
        };
        match self.role {
            Role::Plain => _ = record.insert(self.name.as_str().into(), value),
            Role::More => {
                let whole = record.get(self.name.as_str())?.as_str()?;
                let whole = format!("{whole}{}{found}", self.joint);
                record.insert(self.name.as_str().into(), Value::string(whole));
            }
            Role::Key => keys.push((&self.name, found.to_owned())),
            Role::ValueOfKey => {
                let (_, key) = keys.iter().rev().find(|(name, _)| *name == self.name)?;
                record.insert(key.as_str().into(), value);
            }
            Role::Skipped => {}
        }
        Some(())
    }
}

/// The text behind the first field of that name.
fn text_behind(parts: &[Part], name: &str) -> String {
    let first = parts.iter().position(|part| matches!(part, Part::Field(field) if field.name == name));
    match first.and_then(|at| parts.get(at + 1)) {
        Some(Part::Text(text) | Part::Padding(text)) => text.clone(),
        _ => String::new(),
    }
}

/// What stands between `%{` and `}`.
fn part(field: &str) -> Result<Part, String> {
    if field == "_" {
        return Ok(Part::Padding(" ".to_owned()));
    }
    if let Some(padding) = field.strip_prefix("_(").and_then(|rest| rest.strip_suffix(')')) {
        return match padding.is_empty() {
            true => Err("has a %{_()} of nothing".to_owned()),
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
        None | Some((_, "string")) => (name.split(':').next().unwrap_or(name), Kind::Text),
        Some((name, "int" | "integer")) => (name, Kind::Int),
        Some((name, "float")) => (name, Kind::Float),
        Some((_, other)) => return Err(format!("knows the types int, float and string, not {other:?}")),
    };
    if name.is_empty() && role != Role::Skipped {
        return Err(format!("has a %{{{field}}} without a name"));
    }
    if kind != Kind::Text && role == Role::More {
        return Err("can only add text to text: %{+…} takes no type".to_owned());
    }
    Ok(Part::Field(Field { name: name.to_owned(), role, kind, greedy, joint: String::new() }))
}
