//! `grok`: regular expressions built from named patterns, `grok|%{IPORHOST:client} %{WORD:method}|`.
//!
//! `%{NAME}` matches a pattern, `%{NAME:field}` also stores the match in a field, `%{NAME:field:int}` and
//! `:float` store it as a number. Named groups, `(?P<field>…)`, are fields too.

use regex::Regex;

use super::{
    FormatError, float,
    grok_logs::LOGS,
    grok_patterns::PATTERNS,
    integer,
    regexes::{self, Budget, EXPRESSION_MAX},
};
use towline_event::{Record, Value};

/// Maximum nesting of patterns, against patterns that contain themselves. The built-in ones nest half as
/// deep.
const DEPTH_MAX: usize = 16;

/// A compiled format.
#[derive(Debug)]
pub(super) struct Grok {
    regex: Regex,
    fields: Vec<Field>,
}

/// A field and the group that captures it.
#[derive(Debug)]
struct Field {
    group: String,
    name: String,
    kind: FieldType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldType {
    Text,
    Int,
    Float,
}

impl Grok {
    pub(super) fn compile(format: &str, budget: &mut Budget) -> Result<Self, FormatError> {
        let mut fields = Vec::new();
        let mut expression = String::new();
        expand(format, 0, &mut expression, &mut fields)?;
        let regex = regexes::regex(&expression, budget).map_err(FormatError::without_place)?;
        let ours: Vec<&str> = fields.iter().map(|field| field.group.as_str()).collect();
        let own = regex.capture_names().flatten().filter(|name| !ours.contains(name));
        let own: Vec<Field> = own
            .map(|name| Field { group: name.to_owned(), name: name.to_owned(), kind: FieldType::Text })
            .collect();
        fields.extend(own);
        Ok(Self { regex, fields })
    }

    /// The captured fields; `None` if the text does not match, or if a numeric field is not a number.
    pub(super) fn extract(&self, text: &str) -> Option<Value> {
        let captures = self.regex.captures(text)?;
        let mut record = Record::new();
        for field in &self.fields {
            let Some(found) = captures.name(&field.group) else { continue };
            let value = match field.kind {
                FieldType::Text => Value::string(found.as_str()),
                FieldType::Int => integer(found.as_str())?,
                FieldType::Float => float(found.as_str())?,
            };
            record.insert(field.name.as_str().into(), value);
        }
        Some(Value::Record(record.into()))
    }
}

/// Appends the regular expression of a format.
fn expand(format: &str, depth: usize, out: &mut String, fields: &mut Vec<Field>) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err("has patterns that contain each other".to_owned());
    }
    let mut rest = format;
    while let Some((before, after)) = rest.split_once("%{") {
        let (inside, after) = after.split_once('}').ok_or("has a %{ without its }")?;
        out.push_str(before);
        pattern(inside, depth, out, fields)?;
        rest = after;
        if out.len() > EXPRESSION_MAX {
            return Err(format!("expands to more than {} KiB", EXPRESSION_MAX >> 10));
        }
    }
    out.push_str(rest);
    Ok(())
}

/// Appends the regular expression of a reference: `NAME`, `NAME:field` or `NAME:field:int`.
fn pattern(inside: &str, depth: usize, out: &mut String, fields: &mut Vec<Field>) -> Result<(), String> {
    let mut parts = inside.splitn(3, ':');
    let name = parts.next().unwrap_or_default();
    let Some((_, source)) = patterns().find(|(known, _)| *known == name) else {
        return Err(unknown(name));
    };
    let Some(field) = parts.next() else {
        out.push_str("(?:");
        expand(source, depth + 1, out, fields)?;
        out.push(')');
        return Ok(());
    };
    let kind = match parts.next() {
        None | Some("string") => FieldType::Text,
        Some("int" | "integer") => FieldType::Int,
        Some("float") => FieldType::Float,
        Some(other) => return Err(format!("knows the types int, float and string, not {other:?}")),
    };
    // Field names are arbitrary, but group names are not, so groups are numbered.
    let group = format!("grok_{}", fields.len());
    out.push_str(&format!("(?P<{group}>"));
    fields.push(Field { group, name: field.to_owned(), kind });
    expand(source, depth + 1, out, fields)?;
    out.push(')');
    Ok(())
}

/// All named patterns.
pub(super) fn patterns() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    PATTERNS.iter().chain(LOGS)
}

fn unknown(name: &str) -> String {
    let near = patterns().map(|(known, _)| (strsim::damerau_levenshtein(name, known), *known)).min();
    match near {
        Some((distance, known)) if distance <= 2 => {
            format!("has no pattern %{{{name}}}; did you mean %{{{known}}}?")
        }
        _ => format!("has no pattern %{{{name}}}"),
    }
}
