//! `influx`: the line protocol, `weather,city=Graz temperature=21.5,rain=f 1465839830100400200`.

use super::{float, integer};
use crate::event::{Record, Value};

/// `{"measurement":…,"tags":{…},"fields":{…},"timestamp":…}`; a line without a time has no `timestamp`.
pub(super) fn extract(line: &str) -> Option<Value> {
    let mut reader = Reader { rest: line.trim_end_matches(['\r', '\n']) };
    let measurement = reader.word(&[',', ' '])?;
    let mut tags = Record::new();
    while reader.eat(',') {
        let key = reader.word(&['='])?;
        reader.eat('=').then_some(())?;
        let value = reader.word(&[',', ' '])?;
        tags.insert(key.into(), Value::string(value));
    }
    reader.eat(' ').then_some(())?;
    let mut fields = Record::new();
    loop {
        let key = reader.word(&['='])?;
        reader.eat('=').then_some(())?;
        fields.insert(key.into(), reader.field()?);
        if !reader.eat(',') {
            break;
        }
    }
    let mut record = Record::new();
    record.insert("measurement".into(), Value::string(measurement));
    record.insert("tags".into(), Value::Record(tags.into()));
    record.insert("fields".into(), Value::Record(fields.into()));
    if reader.eat(' ') {
        record.insert("timestamp".into(), integer(reader.rest)?);
        reader.rest = "";
    }
    reader.rest.is_empty().then(|| Value::Record(record.into()))
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

    /// A name up to one of the signs, which a backslash makes part of it; never empty.
    fn word(&mut self, ends: &[char]) -> Option<String> {
        let mut word = String::new();
        let mut letters = self.rest.char_indices();
        let mut end = self.rest.len();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => match letters.next() {
                    Some((_, escaped @ (',' | ' ' | '=' | '\\'))) => word.push(escaped),
                    Some((_, other)) => word.extend(['\\', other]),
                    None => word.push('\\'),
                },
                letter if ends.contains(&letter) => {
                    end = at;
                    break;
                }
                letter => word.push(letter),
            }
        }
        self.rest = &self.rest[end..];
        (!word.is_empty()).then_some(word)
    }

    /// A number, a whole one with an `i` behind it, a boolean, or a string in quotes.
    fn field(&mut self) -> Option<Value> {
        if self.eat('"') {
            return self.quoted();
        }
        let end = self.rest.find([',', ' ']).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        match text {
            "t" | "T" | "true" | "True" | "TRUE" => Some(Value::Bool(true)),
            "f" | "F" | "false" | "False" | "FALSE" => Some(Value::Bool(false)),
            _ => match text.strip_suffix('i') {
                Some(whole) => integer(whole),
                None => text
                    .starts_with(|sign: char| sign.is_ascii_digit() || "+-.".contains(sign))
                    .then(|| float(text))?,
            },
        }
    }

    fn quoted(&mut self) -> Option<Value> {
        let mut text = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Some(Value::string(text));
                }
                '\\' => match letters.next()? {
                    (_, escaped @ ('"' | '\\')) => text.push(escaped),
                    (_, other) => text.extend(['\\', other]),
                },
                letter => text.push(letter),
            }
        }
        None
    }
}
