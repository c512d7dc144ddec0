//! Masks values in JSON text without building a tree. It accepts incomplete JSON, and JSON behind other text.

use std::borrow::Cow;

use super::redact::{MASK, Redaction, normal};

/// The depth to which paths are followed. Keys are found at any depth.
const DEPTH_MAX: usize = 128;

/// The number of texts within texts that are searched.
const NESTING_MAX: u32 = 3;

/// Masks the values of the rules' keys. Everything else is unchanged, white space included.
pub(super) fn mask<'a>(text: &'a str, rules: &Redaction) -> Cow<'a, str> {
    nested(text, rules, NESTING_MAX)
}

fn nested<'a>(text: &'a str, rules: &Redaction, nesting: u32) -> Cow<'a, str> {
    let mut scan = Scan { text, rules, at: 0, copied: 0, out: String::new(), levels: Vec::new(), depth: 0 };
    scan.run(nesting);
    match scan.copied {
        0 => Cow::Borrowed(text),
        copied => {
            scan.out.push_str(&text[copied..]);
            Cow::Owned(scan.out)
        }
    }
}

struct Scan<'a> {
    text: &'a str,
    rules: &'a Redaction,
    at: usize,
    /// The bytes of the text that are in `out`, masked.
    copied: usize,
    out: String,
    /// For each open bracket, the last key in it.
    levels: Vec<Option<String>>,
    /// The number of open brackets, also of those beyond `DEPTH_MAX`.
    depth: usize,
}

impl Scan<'_> {
    fn run(&mut self, nesting: u32) {
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'"' => self.string(nesting),
                b'{' | b'[' => {
                    self.depth += 1;
                    if self.depth <= DEPTH_MAX {
                        self.levels.push(None);
                    }
                    self.at += 1;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.levels.truncate(self.depth);
                    self.at += 1;
                }
                _ => self.at += 1,
            }
        }
    }

    /// Handles a string: a key if a colon follows, otherwise a value.
    fn string(&mut self, nesting: u32) {
        let start = self.at;
        let (end, is_complete) = string_end(self.text, start);
        let after = self.skip_space(end);
        if is_complete && self.text.as_bytes().get(after) == Some(&b':') {
            self.at = after + 1;
            let key = unescaped(&self.text[start..end]);
            if self.is_masked(&key) {
                let value = self.skip_space(after + 1);
                let end = value_end(self.text, value);
                self.replace(value, end, &format!("\"{MASK}\""));
            }
            return;
        }
        self.at = end;
        // Only a string with an escape can contain a string of JSON.
        if !self.text[start + 1..end].contains('\\') {
            return;
        }
        let inner = match is_complete {
            true => serde_json::from_str::<String>(&self.text[start..end]).ok(),
            false => cut_string(&self.text[start..end]),
        };
        let mut masked = match inner {
            Some(inner) if !inner.contains(['{', '[']) => return,
            Some(inner) if nesting > 0 => match nested(&inner, self.rules, nesting - 1) {
                Cow::Borrowed(_) => return,
                Cow::Owned(masked) => serde_json::Value::from(masked).to_string(),
            },
            // What cannot be examined is not shown.
            _ => format!("\"{MASK}\""),
        };
        if !is_complete {
            masked.pop();
        }
        self.replace(start, end, &masked);
    }

    /// Notes the key, and returns whether its value is masked.
    fn is_masked(&mut self, key: &str) -> bool {
        if self.rules.has_key(key) {
            return true;
        }
        if !self.rules.has_paths() || self.depth > DEPTH_MAX {
            return false;
        }
        if let Some(last) = self.levels.last_mut() {
            *last = Some(normal(key));
        }
        let path: Vec<_> = self.levels.iter().flatten().cloned().collect();
        self.rules.has_path(&path)
    }

    fn replace(&mut self, start: usize, end: usize, with: &str) {
        self.out.push_str(&self.text[self.copied..start]);
        self.out.push_str(with);
        self.copied = end;
        self.at = end;
    }

    fn skip_space(&self, from: usize) -> usize {
        let space = self.text.as_bytes()[from..].iter().take_while(|byte| byte.is_ascii_whitespace());
        from + space.count()
    }
}

/// The end of the string that begins at `start`, and whether it has a closing quote.
fn string_end(text: &str, start: usize) -> (usize, bool) {
    let bytes = text.as_bytes();
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return (at + 1, true),
            // The escaped byte may be the first of a character; the others are no quotes.
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    (text.len(), false)
}

/// The end of the value that begins at `start`. An incomplete value ends with the text.
fn value_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    match bytes.get(start) {
        Some(b'"') => string_end(text, start).0,
        Some(b'{' | b'[') => {
            let (mut at, mut depth) = (start, 0_usize);
            while let Some(byte) = bytes.get(at) {
                match byte {
                    b'"' => {
                        at = string_end(text, at).0;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return at;
                }
            }
            text.len()
        }
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
            bytes[start..].iter().position(ends).map_or(text.len(), |length| start + length)
        }
    }
}

/// The content of a string in quotes; as it is if its escapes are wrong.
/// The text of a string that was cut, without the incomplete escape at its end.
fn cut_string(cut: &str) -> Option<String> {
    // A character outside of the basic plane has two escapes of six bytes.
    let mut shorter = (0..12).filter_map(|bytes| cut.get(..cut.len().checked_sub(bytes)?));
    shorter.find_map(|kept| serde_json::from_str(&format!("{kept}\"")).ok())
}

fn unescaped(quoted: &str) -> String {
    serde_json::from_str(quoted).unwrap_or_else(|_| quoted.trim_matches('"').to_owned())
}
