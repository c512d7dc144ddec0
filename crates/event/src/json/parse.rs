//! Parses JSON text to values.
//!
//! serde_json parses an integer that fits 64 bits exactly, and any other number to the nearest float. When
//! that float may be an integer beyond 64 bits, or a number is out of range, the text is parsed a second
//! time, with such numbers replaced and their digits kept aside. Nearly all texts have no such numbers and
//! are parsed once.

use std::{cell::RefCell, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed},
};

use super::scanner::JsonScanner;
use crate::{BigNumber, Record, Value};

/// The smallest absolute value that may be an integer beyond 64 bits: 2^63.
const BIG: f64 = 9_223_372_036_854_775_808.0;
/// Mantissa and exponent of the placeholder for such a number. Zeros between them pad it to the length of the
/// number it replaces, so that error columns stay correct.
const PLACEHOLDER: (&str, &str) = ("9e", "307");
const PLACEHOLDER_VALUE: f64 = 9e307;

/// Parses a document.
///
/// # Errors
/// The parser's error, with line and column, when `text` is not one JSON document or nests deeper than 127
/// levels.
pub(crate) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    read(text, Small).or_else(|_| {
        let (text, numbers) = replace_big(text);
        read(&text, Exact(&RefCell::new(numbers.into_iter())))
    })
}

/// Checks a document as strictly as [`parse()`] does, without building a value.
///
/// # Errors
/// The same errors as [`parse()`].
pub(crate) fn check(text: &str) -> Result<(), serde_json::Error> {
    match serde_json::from_str::<Skimmed>(text) {
        Ok(_) => Ok(()),
        Err(_) => serde_json::from_str::<Skimmed>(&replace_big(text).0).map(|_| ()),
    }
}

fn read<'de, S: DeserializeSeed<'de>>(text: &'de str, seed: S) -> Result<S::Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Replaces each number whose digits must be kept. Returns the new text and, for each replacement number in
/// it, in order, the original; `None` where the text itself has that number.
fn replace_big(text: &str) -> (String, Vec<Option<BigNumber>>) {
    let (mut out, mut numbers) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        let (before, token) = rest.split_at(at);
        out.push_str(before);
        let len = if token.starts_with('"') { string_len(token) } else { number_len(token) };
        let (token, after) = token.split_at(len);
        match token.parse::<f64>() {
            Ok(number) if is_number(token) => put_number(token, number, &mut out, &mut numbers),
            _ => out.push_str(token),
        }
        rest = after;
    }
    out.push_str(rest);
    (out, numbers)
}

fn put_number(token: &str, number: f64, out: &mut String, numbers: &mut Vec<Option<BigNumber>>) {
    let is_integer = !token.contains(['.', 'e', 'E']);
    let fits = token.parse::<u64>().is_ok() || token.parse::<i64>().is_ok();
    if number.is_infinite() || is_integer && !fits && number.abs() >= BIG {
        let (head, tail) = PLACEHOLDER;
        let zeros = token.len().saturating_sub(head.len() + tail.len());
        out.push_str(head);
        out.extend(std::iter::repeat_n('0', zeros));
        out.push_str(tail);
        return numbers.push(Some(BigNumber::new(token)));
    }
    if number == PLACEHOLDER_VALUE {
        numbers.push(None);
    }
    out.push_str(token);
}

/// The length of the string at the beginning of a text, quotes included.
fn string_len(text: &str) -> usize {
    let mut scanner = JsonScanner::lenient(text.as_bytes());
    scanner.value().map_or(text.len(), |()| scanner.position())
}

fn number_len(text: &str) -> usize {
    text.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(text.len())
}

/// Whether a text that consists of such characters is a number.
fn is_number(text: &str) -> bool {
    let mut scanner = JsonScanner::strict(text.as_bytes());
    scanner.value().and_then(|()| scanner.end()).is_some()
}

/// Visitor methods that build a [`Value`] from a JSON scalar. The calling crate depends on `serde`
/// and has `Value` in scope. A float that may be an integer beyond 64 bits is an error, so that the caller
/// reads the text again with exact numbers.
#[macro_export]
macro_rules! visit_scalars {
    () => {
        $crate::visit_scalars!(but_floats);

        fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
            $crate::small_float(number)
        }
    };
    (but_floats) => {
        fn visit_unit<E>(self) -> Result<Value, E> {
            Ok(Value::Null)
        }

        fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
            Ok(Value::Bool(flag))
        }

        fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
            Ok(Value::Int(number))
        }

        fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
            Ok(Value::from(number))
        }

        fn visit_str<E>(self, text: &str) -> Result<Value, E> {
            Ok(Value::string(text))
        }
    };
}

/// A float value, if it is certainly not an integer beyond 64 bits.
///
/// # Errors
/// When the float is at least 2^63 in absolute value.
pub fn small_float<E: de::Error>(number: f64) -> Result<Value, E> {
    match number.abs() < BIG {
        true => Ok(Value::Float(number)),
        false => Err(E::custom("a number that may be beyond 64 bits")),
    }
}

macro_rules! visit_parts {
    ($self:ident) => {
        fn visit_string<E>(self, text: String) -> Result<Value, E> {
            Ok(Value::string(text))
        }

        fn visit_seq<A: de::SeqAccess<'de>>($self, mut seq: A) -> Result<Value, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element_seed($self)? {
                items.push(item);
            }
            Ok(Value::array(items))
        }

        fn visit_map<A: de::MapAccess<'de>>($self, mut map: A) -> Result<Value, A::Error> {
            let mut record = Record::new();
            while let Some(key) = map.next_key::<String>()? {
                record.insert(key.into(), map.next_value_seed($self)?);
            }
            Ok(Value::Record(Arc::new(record)))
        }
    };
}

/// Deserializes a value, and fails if a number may be an integer beyond 64 bits.
#[derive(Clone, Copy)]
pub struct Small;

impl<'de> DeserializeSeed<'de> for Small {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Small {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    crate::visit_scalars!();
    visit_parts!(self);
}

/// Deserializes a value from the result of [`replace_big`], and puts the original numbers back.
#[derive(Clone, Copy)]
struct Exact<'n>(&'n RefCell<std::vec::IntoIter<Option<BigNumber>>>);

impl<'de> DeserializeSeed<'de> for Exact<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Exact<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Small.expecting(f)
    }

    crate::visit_scalars!(but_floats);
    visit_parts!(self);

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        if number == PLACEHOLDER_VALUE
            && let Some(Some(big)) = self.0.borrow_mut().next()
        {
            return Ok(Value::Big(big));
        }
        Ok(Value::Float(number))
    }
}

/// Parses a document as strictly as [`Value`] does, and discards it.
struct Skimmed;

impl<'de> Deserialize<'de> for Skimmed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> de::Visitor<'de> for Skimmed {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Small.expecting(f)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewritten(text: &str) -> String {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).to_json()
    }

    #[test]
    fn integers_beyond_64_bits_keep_their_digits() {
        for number in [
            "18446744073709551616",
            "-9223372036854775809",
            "92233720368547758423",
            "123456789012345678901234567890",
            "1e400",
            "-1.50E+400",
            "18446744073709551615",
            "-9223372036854775808",
        ] {
            for text in
                [number.to_owned(), format!("[{number},{number}]"), format!("{{\"a\":{number},\"b\":1}}")]
            {
                assert_eq!(rewritten(&text), text);
            }
        }
    }

    #[test]
    fn other_numbers_are_unchanged() {
        let text = r#"["1e400 \"18446744073709551616",9e307,1e30,18446744073709551616,90e306,-9e307,1e-400,-0.0,0.1]"#;
        let expected = r#"["1e400 \"18446744073709551616",9e+307,1e+30,18446744073709551616,9e+307,-9e+307,0.0,-0.0,0.1]"#;
        assert_eq!(rewritten(text), expected);
    }

    #[test]
    fn invalid_json_is_refused_at_its_column() {
        for text in
            ["01e400", "1.e400", "+1e400", "1e400 1", "[1e400,]", "-", "1e", "\"\\ud800\"", "[1e400,.5e400]"]
        {
            assert!(check(text).is_err() && parse(text).is_err(), "{text}");
        }
        let error = parse("[18446744073709551616, nul]").unwrap_err().to_string();
        assert_eq!(error, "expected ident at line 1 column 27");
        assert!(check(&format!("{}1e400{}", "[".repeat(200), "]".repeat(200))).is_err());
    }

    proptest! {
        #[test]
        fn check_and_parse_accept_the_same_texts(
            text in r#"[\[\]{}",:0-9eE.\\u +-]{0,40}|(\[|)(-|)[0-9]{1,25}(\.[0-9]{1,3}|)([eE][+-]?[0-9]{1,4}|)(,9e307\]|)"#
        ) {
            prop_assert_eq!(check(&text).is_ok(), parse(&text).is_ok());
        }

        #[test]
        fn every_integer_keeps_its_digits(numbers in prop::collection::vec(r"-?[1-9][0-9]{0,40}|9e\+307", 1..8)) {
            let text = format!("[{}]", numbers.join(","));
            prop_assert_eq!(rewritten(&text), text);
        }
    }
}
