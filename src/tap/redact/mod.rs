//! What a tap masks in payloads: values of keys, and texts that match a pattern.
//!
//! ```text
//! text ─► json: values of keys and of names; strings without their escapes ─► text within the text ─► …
//!      ├► fields, markup, phrases: values of keys outside of JSON                      ├─► edits ─► masked text
//!      ├► texts behind the escapes of URLs and of XML                                  │
//!      └► logins and patterns                                                         ┘
//! ```
//!
//! Each rule finds ranges of the original text. They are applied once, at the end, so what is not masked keeps its spelling.
//!
//! # Security
//! Names and patterns of credentials are built in and cannot be switched off. Patterns see strings of JSON as their
//! reader sees them, without escapes. A payload is searched with some bytes behind the part that is shown, so that a
//! secret at its end is found, and none of these bytes is shown.

mod edits;
mod fields;
mod json;
mod markup;
mod pairs;
mod phrases;
mod unescape;

use std::{
    borrow::Cow,
    collections::HashSet,
    sync::{LazyLock, OnceLock},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use regex::{Regex, RegexSet};

use self::{
    edits::{Applied, Edits, End},
    json::TextKind,
    unescape::Unescaped,
};

/// What stands for a masked value.
pub const MASK: &str = "***";

/// Ends of keys whose values are always masked, in the form of [`normal`], such as that of `dbPassword`.
const SECRET_KEYS: &[&str] = &[
    "password",
    "passwd",
    "passcode",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "authorization",
    "cookie",
    "credential",
    "credentials",
    "jwt",
];

/// A part of keys whose values are always masked, such as `password_confirmation`.
const SECRET_PART: &str = "password";

/// Texts that are always masked: credentials of HTTP, tokens in the form of RFC 7519, and user and password of a URL.
/// With a group, the group is masked.
const SECRET_PATTERNS: &[&str] = &[
    r"(?i)\bbearer\s+[a-z0-9+/._~-]{8,}=*",
    r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}",
    r#"://([^/\s?#"<>]+)@"#,
];

/// The maximum number of rules of the settings.
pub const RULES_MAX: usize = 256;

/// The number of texts within texts that are searched. Deeper ones are masked as a whole.
const NESTING_MAX: u32 = 3;

/// User and password in the form of HTTP, if the rest is their base64. Otherwise it is English.
static BASIC: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)\bbasic\s+([a-z0-9+/]{4,})={0,2}").ok());

/// User and password whose end is not known.
static UNSEEN_END: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?i)(?:\bbasic\s+([a-z0-9+/]+={0,2})|://([^/\s?#"<>]+))\z"#).ok());

/// The rules by which payloads are masked.
#[derive(Debug, Clone)]
pub struct Redaction {
    /// The keys of the settings.
    keys: HashSet<String>,
    paths: Vec<Box<[String]>>,
    patterns: Vec<Regex>,
    /// All patterns, to find those that match in one pass; `None` if they are too large together.
    any_pattern: OnceLock<Option<RegexSet>>,
}

/// A payload after masking.
#[derive(Debug, PartialEq, Eq)]
pub struct Masked<'a> {
    /// The payload.
    pub bytes: Cow<'a, [u8]>,
    /// Whether anything was masked.
    pub is_changed: bool,
    /// Whether the end of the payload is missing.
    pub is_cut: bool,
}

/// A rule that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A key without a name, or a path with an empty part.
    #[error(
        "takes names of keys, such as \"email\", and paths from the top of the message, such as \"user.email\""
    )]
    Key,
    /// A pattern that is not a regular expression.
    #[error("is not a regular expression: {0}")]
    Pattern(String),
    /// A pattern that matches an empty text.
    #[error("matches an empty text, so it would mask everything")]
    Empty,
    /// Too many rules.
    #[error("takes at most {RULES_MAX} rules")]
    Many,
}

// === impl Redaction ===

impl Redaction {
    /// The rules that always apply.
    pub fn built_in() -> Self {
        Self {
            keys: HashSet::new(),
            paths: Vec::new(),
            patterns: SECRET_PATTERNS.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect(),
            any_pattern: OnceLock::new(),
        }
    }

    /// Adds a key, or a path of keys with dots between them. A key counts at any depth, a path from the top of the message;
    /// lists on the way do not count.
    ///
    /// # Errors
    /// When a part is empty, or there are too many rules.
    pub fn with_key(&mut self, key: &str) -> Result<(), RuleError> {
        let parts: Vec<_> = key.split('.').map(normal).collect();
        if parts.iter().any(String::is_empty) {
            return Err(RuleError::Key);
        }
        match parts.as_slice() {
            [single] => drop(self.keys.insert(single.clone())),
            _ => self.paths.push(parts.into()),
        }
        self.check_count()
    }

    /// Adds a regular expression.
    ///
    /// # Errors
    /// When it is not valid or matches an empty text, or there are too many rules.
    pub fn with_pattern(&mut self, pattern: &str) -> Result<(), RuleError> {
        let pattern = Regex::new(pattern).map_err(|error| RuleError::Pattern(error.to_string()))?;
        if pattern.is_match("") {
            return Err(RuleError::Empty);
        }
        self.patterns.push(pattern);
        self.any_pattern = OnceLock::new();
        self.check_count()
    }

    fn check_count(&self) -> Result<(), RuleError> {
        let rules = self.keys.len() + self.paths.len() + self.patterns.len() - SECRET_PATTERNS.len();
        if rules > RULES_MAX { Err(RuleError::Many) } else { Ok(()) }
    }

    /// Masks the first `max` bytes of a payload. `None` if it must not be shown: it is not text, and contains a
    /// credential. `is_whole` is whether `bytes` are all bytes of the message.
    pub fn mask<'a>(&self, bytes: &'a [u8], is_whole: bool, max: usize) -> Option<Masked<'a>> {
        let (text, is_text_whole) = match std::str::from_utf8(bytes) {
            // The bytes of a binary format can be those of a text. A frame of STOMP ends with NUL.
            Ok(text) if has_controls(text.trim_end_matches(['\0', '\n'])) && self.is_suspicious(bytes) => {
                return None;
            }
            Ok(text) => (text, is_whole),
            // The last character was cut.
            Err(error) if error.error_len().is_none() && !is_whole => {
                (std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?, false)
            }
            Err(_) if self.is_suspicious(bytes) => return None,
            Err(_) => {
                let shown = &bytes[..bytes.len().min(max)];
                let is_cut = !is_whole || shown.len() < bytes.len();
                return Some(Masked { bytes: Cow::Borrowed(shown), is_changed: false, is_cut });
            }
        };
        let end = if is_text_whole { End::Seen } else { End::Unseen };
        let Applied { text, is_changed, is_cut } = self.edits(text, end).apply(text, max);
        let bytes = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Some(Masked { bytes, is_changed, is_cut: is_cut || !is_text_whole })
    }

    /// Masks a text. Returns it unchanged if it contains nothing to mask.
    pub fn mask_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.edits(text, End::Seen).apply(text, usize::MAX).text
    }

    fn edits(&self, text: &str, end: End) -> Edits {
        let mut edits = Edits::new(end);
        self.find(text, NESTING_MAX, &mut edits);
        edits
    }

    /// Finds what is masked in a text.
    fn find(&self, text: &str, nesting: u32, edits: &mut Edits) {
        let kind = TextKind::of(text);
        json::find(text, kind, self, nesting, edits);
        self.find_plain(text, kind, (0, edits.end()), edits);
        if kind == TextKind::Json {
            return;
        }
        if nesting == NESTING_MAX {
            phrases::logins(text, |range| edits.mask(range));
        }
        self.find_encoded(text, nesting, (0, edits.end()), edits);
        if !text.contains('\\') {
            return;
        }
        // The escapes are in strings that are not delimited as in JSON.
        let unescaped = Unescaped::new(text);
        match nesting.checked_sub(1) {
            _ if !unescaped.is_changed() => {}
            Some(nesting) => {
                let mut inner = Edits::new(edits.end());
                self.find(&unescaped.text, nesting, &mut inner);
                edits.add_unescaped(inner, &unescaped, 0);
            }
            // What cannot be examined is not shown.
            None => edits.mask(0..text.len()),
        }
    }

    /// Finds what is masked in a text behind the escapes of URLs and of XML. `offset` is its place in the text of the edits.
    fn find_encoded(&self, text: &str, nesting: u32, (offset, end): (usize, End), edits: &mut Edits) {
        let decoded = [Unescaped::percent(text), Unescaped::entities(text)];
        for decoded in decoded.into_iter().filter(Unescaped::is_changed) {
            let mut inner = Edits::new(end);
            match nesting.checked_sub(1) {
                Some(nesting) => self.find(&decoded.text, nesting, &mut inner),
                None => self.find_plain(&decoded.text, TextKind::Other, (0, end), &mut inner),
            }
            edits.add_decoded(inner, &decoded, offset);
        }
    }

    /// Finds what is masked in a text, apart from JSON in it. `offset` is its place in the text of the edits.
    fn find_plain(&self, text: &str, kind: TextKind, (offset, end): (usize, End), edits: &mut Edits) {
        let mut mask = |range: std::ops::Range<usize>| edits.mask(offset + range.start..offset + range.end);
        if kind == TextKind::Other {
            fields::find(text, end, self, &mut mask);
            markup::find(text, self, &mut mask);
            phrases::find(text, self, &mut mask);
        }
        if end == End::Unseen
            && let Some(found) = UNSEEN_END.as_ref().and_then(|unseen| unseen.captures(text))
            && let Some(masked) = found.get(1).or_else(|| found.get(2))
        {
            mask(masked.range());
        }
        for found in BASIC.iter().flat_map(|basic| basic.captures_iter(text)) {
            if let (Some(whole), Some(base64)) = (found.get(0), found.get(1))
                && is_login(base64.as_str())
            {
                mask(whole.range());
            }
        }
        for pattern in self.matching(text) {
            for found in pattern.captures_iter(text) {
                let is_built_in = SECRET_PATTERNS.contains(&pattern.as_str());
                let group = found.get(1).filter(|_| is_built_in);
                if let Some(masked) = group.or_else(|| found.get(0)) {
                    mask(masked.range());
                }
            }
        }
    }

    /// The patterns that match a text.
    fn matching(&self, text: &str) -> impl Iterator<Item = &Regex> {
        let any =
            self.any_pattern.get_or_init(|| RegexSet::new(self.patterns.iter().map(Regex::as_str)).ok());
        let found = any.as_ref().map(|any| any.matches(text));
        let patterns = self.patterns.iter().enumerate();
        patterns.filter_map(move |(at, pattern)| {
            found.as_ref().is_none_or(|found| found.matched(at)).then_some(pattern)
        })
    }

    /// Whether a pattern matches a text.
    fn has_match(&self, text: &str) -> bool {
        self.matching(text).any(|pattern| pattern.find(text).is_some_and(|found| !found.is_empty()))
    }

    /// Whether the values of this key are masked wherever it is.
    fn has_key(&self, key: &str) -> bool {
        let key = normal(key);
        SECRET_KEYS.iter().any(|end| key.ends_with(end))
            || key.contains(SECRET_PART)
            || self.keys.contains(&key)
    }

    /// Whether this is the plural of a key whose values are masked. Its values are masked if they are texts, lists or objects:
    /// a number counts something.
    fn has_plural(&self, key: &str) -> bool {
        key.strip_suffix(['s', 'S']).is_some_and(|key| self.has_key(key))
    }

    /// Whether the values at this path are masked.
    fn has_path(&self, path: &[String]) -> bool {
        self.paths.iter().any(|rule| **rule == *path)
    }

    /// Whether any path is masked.
    fn has_paths(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Whether bytes that are not text may contain a credential: a login of MQTT, the name of a secret key, or what would
    /// be masked in a text.
    fn is_suspicious(&self, bytes: &[u8]) -> bool {
        if is_mqtt_login(bytes) {
            return true;
        }
        // Letters of UTF-16 have zeros between them.
        let text = String::from_utf8_lossy(bytes).replace('\0', "");
        let letters = normal(&text);
        SECRET_KEYS.iter().any(|key| letters.contains(key))
            || self.keys.iter().any(|key| letters.contains(key.as_str()))
            || !self.edits(&text, End::Seen).is_empty()
    }
}

/// Whether a text has control characters that are no white space.
fn has_controls(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
}

/// Whether the base64 of HTTP's basic authentication is one of user and password.
fn is_login(base64: &str) -> bool {
    // The end may be cut.
    let whole = &base64[..base64.len() / 4 * 4];
    STANDARD.decode(whole).is_ok_and(|bytes| bytes.contains(&b':'))
}

/// A key as it is compared: in lower case, without separators. `accessToken`, `access_token` and `Access-Token` are the
/// same key.
fn normal(key: &str) -> String {
    let letters = key.chars().filter(|letter| !matches!(letter, '-' | '_' | ' '));
    letters.flat_map(char::to_lowercase).collect()
}

/// Whether the bytes begin with a CONNECT packet of MQTT, which may contain a password.
fn is_mqtt_login(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x10)
        && (bytes[..bytes.len().min(16)].windows(4).any(|name| name == b"MQTT")
            || bytes[..bytes.len().min(16)].windows(6).any(|name| name == b"MQIsdp"))
}

#[cfg(test)]
mod tests;
