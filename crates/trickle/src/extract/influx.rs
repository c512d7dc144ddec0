//! The extractor `influx`: the InfluxDB line protocol, such as
//! `weather,city=Graz temperature=21.5,rain=f 1465839830100400200`.

use std::str::FromStr;

use super::{float, integer};
use towline_event::{Record, Value};

/// Parses a line to `{"measurement":…,"tags":{…},"fields":{…},"timestamp":…}`. The default timestamp is
/// `ingest_ns`, when the event was received. White space around the line is ignored. A comment does not
/// match.
pub(super) fn extract(line: &str, ingest_ns: u64) -> Option<Value> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let mut reader = Reader { rest: line };
    let measurement = reader.word(&[',', ' '])?;
    let mut tags = Record::new();
    while reader.eat(',') {
        let key = reader.word(&['=', ' ', ','])?;
        reader.eat('=').then_some(())?;
        let value = reader.word(&[',', ' '])?;
        tags.insert(key.into(), Value::string(value));
    }
    reader.eat(' ').then_some(())?;
    let fields = reader.fields()?;
    let timestamp = if reader.eat(' ') { u64::from_str(reader.rest).ok()? } else { ingest_ns };
    Some(Value::record([
        ("measurement", Value::string(measurement)),
        ("tags", Value::Record(tags.into())),
        ("fields", Value::Record(fields.into())),
        ("timestamp", Value::from(timestamp)),
    ]))
}

struct Reader<'l> {
    rest: &'l str,
}

impl Reader<'_> {
    fn eat(&mut self, sign: char) -> bool {
        let found = self.rest.strip_prefix(sign);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    /// Reads a word up to one of the characters in `ends`; `None` if there is none. A backslash escapes one
    /// of them or another backslash; before any other character it stands for itself.
    fn word(&mut self, ends: &[char]) -> Option<String> {
        let mut word = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => match letters.next()?.1 {
                    escaped if escaped == '\\' || ends.contains(&escaped) => word.push(escaped),
                    other => word.extend(['\\', other]),
                },
                letter if ends.contains(&letter) => {
                    self.rest = &self.rest[at..];
                    return Some(word);
                }
                letter => word.push(letter),
            }
        }
        None
    }

    /// Reads all fields, up to the end of the line or the space before the timestamp; `None` if they are
    /// malformed.
    fn fields(&mut self) -> Option<Record> {
        let mut fields = Record::new();
        loop {
            let key = self.word(&['='])?;
            self.eat('=').then_some(())?;
            fields.insert(key.into(), self.field()?);
            if !self.eat(',') {
                break;
            }
        }
        (self.rest.is_empty() || self.rest.starts_with(' ')).then_some(fields)
    }

    /// Reads a float, an integer with the suffix `i`, a boolean, or a quoted string.
    fn field(&mut self) -> Option<Value> {
        if self.eat('"') {
            let text = self.word(&['"'])?;
            self.eat('"');
            return Some(Value::string(text));
        }
        let end = self.rest.find([',', ' ']).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        match text {
            "t" | "T" | "true" | "True" | "TRUE" => Some(Value::Bool(true)),
            "f" | "F" | "false" | "False" | "FALSE" => Some(Value::Bool(false)),
            _ => match text.strip_suffix('i') {
                Some(whole) => integer(whole).or_else(|| u64::from_str(whole).ok().map(Value::from)),
                None => text
                    .starts_with(|sign: char| sign.is_ascii_digit() || "+-.".contains(sign))
                    .then(|| float(text))?,
            },
        }
    }
}
