//! What a tap masks in payloads: values of keys, and texts that match a pattern.
//!
//! # Security
//! Names and patterns of credentials are built in and cannot be switched off. A payload is masked before it is cut, so
//! that a secret at the end is found.

use std::{borrow::Cow, collections::HashSet, sync::LazyLock};

use base64::{Engine, engine::general_purpose::STANDARD};
use regex::{Captures, Regex};

use super::mask_json;

/// What stands for a masked value.
pub const MASK: &str = "***";

/// Keys whose values are always masked, in the form of [`normal`].
const SECRET_KEYS: &[&str] = &[
    "password",
    "passwd",
    "passcode",
    "passphrase",
    "pwd",
    "secret",
    "clientsecret",
    "token",
    "accesstoken",
    "refreshtoken",
    "idtoken",
    "authtoken",
    "sessiontoken",
    "bearertoken",
    "connectiontoken",
    "apikey",
    "apisecret",
    "authorization",
    "proxyauthorization",
    "cookie",
    "setcookie",
    "credential",
    "credentials",
    "privatekey",
    "jwt",
];

/// Keys whose values have several words.
const HEADERS: &[&str] = &["authorization", "proxyauthorization", "cookie", "setcookie"];

/// Texts that are always masked: credentials of HTTP, tokens in the form of RFC 7519, and user and password of a URL.
const SECRET_PATTERNS: &[&str] = &[
    r"(?i)\bbearer\s+[a-z0-9+/._~-]{8,}=*",
    r"\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}",
    r"://[^/\s:@?#]{1,256}:[^/\s@?#]{1,256}@",
];

/// The maximum number of rules of the settings.
pub const RULES_MAX: usize = 256;

/// User and password in the form of HTTP, if the rest is their base64. Otherwise it is English.
static BASIC: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)\bbasic\s+([a-z0-9+/]{4,})={0,2}").ok());

/// A key outside of JSON, with what separates it from its value, such as `password=` or `Authorization: `.
static FIELD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"([A-Za-z][A-Za-z0-9_-]{1,63})["']?\s*[:=]\s*"#).ok());

/// The rules by which payloads are masked.
#[derive(Debug, Clone)]
pub struct Redaction {
    keys: HashSet<String>,
    paths: Vec<Box<[String]>>,
    patterns: Vec<Regex>,
}

/// A payload after masking.
#[derive(Debug, PartialEq, Eq)]
pub struct Masked<'a> {
    /// The payload.
    pub bytes: Cow<'a, [u8]>,
    /// Whether anything was masked.
    pub is_changed: bool,
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
            keys: SECRET_KEYS.iter().map(|key| (*key).to_owned()).collect(),
            paths: Vec::new(),
            patterns: SECRET_PATTERNS.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect(),
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
        self.check_count()
    }

    fn check_count(&self) -> Result<(), RuleError> {
        let built_in = SECRET_KEYS.len() + SECRET_PATTERNS.len();
        let rules = self.keys.len() + self.paths.len() + self.patterns.len() - built_in;
        if rules > RULES_MAX { Err(RuleError::Many) } else { Ok(()) }
    }

    /// Masks a payload. `None` if it must not be shown: it is not text, and contains a credential. `is_whole` is
    /// whether these are all bytes of the message.
    pub fn mask<'a>(&self, bytes: &'a [u8], is_whole: bool) -> Option<Masked<'a>> {
        match std::str::from_utf8(bytes) {
            // The bytes of a binary format can be those of a text. A frame of STOMP ends with NUL.
            Ok(text) if has_controls(text.trim_end_matches(['\0', '\n'])) && self.is_suspicious(bytes) => {
                None
            }
            Ok(text) => Some(self.mask_as_bytes(text)),
            // The last character was cut.
            Err(error) if error.error_len().is_none() && !is_whole => {
                let text = std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?;
                Some(self.mask_as_bytes(text))
            }
            Err(_) if self.is_suspicious(bytes) => None,
            Err(_) => Some(Masked { bytes: Cow::Borrowed(bytes), is_changed: false }),
        }
    }

    fn mask_as_bytes<'a>(&self, text: &'a str) -> Masked<'a> {
        match self.mask_text(text) {
            Cow::Borrowed(text) => Masked { bytes: Cow::Borrowed(text.as_bytes()), is_changed: false },
            Cow::Owned(text) => Masked { bytes: Cow::Owned(text.into_bytes()), is_changed: true },
        }
    }

    /// Masks a text. Returns it unchanged if it contains nothing to mask.
    pub fn mask_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = mask_json::mask(text, self);
        if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_err() {
            text = self.mask_fields(text);
        }
        if let Some(basic) = &*BASIC
            && let Cow::Owned(masked) = mask_logins(basic, &text)
        {
            text = Cow::Owned(masked);
        }
        for pattern in &self.patterns {
            if let Cow::Owned(masked) = pattern.replace_all(&text, MASK) {
                text = Cow::Owned(masked);
            }
        }
        text
    }

    /// Masks keys with values outside of JSON.
    fn mask_fields<'a>(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        let Some(field) = &*FIELD else { return text };
        let (mut out, mut copied, mut at) = (String::new(), 0, 0);
        while let Some(found) = field.captures_at(&text, at) {
            at = found.get(0).map_or(text.len(), |all| all.end());
            if !self.has_key(&found[1]) {
                continue;
            }
            let value = &text[at..];
            let length = value_length(&normal(&found[1]), value);
            let quote = if value.starts_with('"') { "\"" } else { "" };
            if value[..length].trim_matches('"') != MASK {
                out.extend([&text[copied..at], quote, MASK, quote]);
                copied = at + length;
            }
            at += length;
        }
        if copied == 0 {
            return text;
        }
        out.push_str(&text[copied..]);
        Cow::Owned(out)
    }

    /// Whether the values of this key are masked wherever it is.
    pub(super) fn has_key(&self, key: &str) -> bool {
        // Longer than any rule.
        key.len() <= 256 && self.keys.contains(&normal(key))
    }

    /// Whether the values at this path are masked.
    pub(super) fn has_path(&self, path: &[String]) -> bool {
        self.paths.iter().any(|rule| **rule == *path)
    }

    /// Whether any path is masked.
    pub(super) fn has_paths(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Whether bytes that are not text may contain a credential: a login of MQTT, or the name of a secret key.
    fn is_suspicious(&self, bytes: &[u8]) -> bool {
        if is_mqtt_login(bytes) {
            return true;
        }
        let text = String::from_utf8_lossy(bytes);
        let letters = normal(&text);
        self.keys.iter().any(|key| letters.contains(key.as_str()))
            || self.patterns.iter().any(|pattern| pattern.is_match(&text))
    }
}

/// Whether a text has control characters that are no white space.
fn has_controls(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
}

/// Masks user and password in the form of HTTP.
fn mask_logins<'a>(basic: &Regex, text: &'a str) -> Cow<'a, str> {
    let is_login = |base64: &str| {
        // The end may be cut.
        let whole = &base64[..base64.len() / 4 * 4];
        STANDARD.decode(whole).is_ok_and(|bytes| bytes.contains(&b':'))
    };
    if !basic.captures_iter(text).any(|found| is_login(&found[1])) {
        return Cow::Borrowed(text);
    }
    let masked = basic.replace_all(text, |found: &Captures<'_>| match is_login(&found[1]) {
        true => MASK.to_owned(),
        false => found[0].to_owned(),
    });
    Cow::Owned(masked.into_owned())
}

/// The length of the value that a text outside of JSON begins with. The value of a header ends with its line.
fn value_length(key: &str, text: &str) -> usize {
    let end = |ends: fn(char) -> bool| text.find(ends).unwrap_or(text.len());
    match text.strip_prefix('"') {
        Some(rest) => {
            let mut is_escaped = false;
            let closing = rest.find(|letter| {
                let closes = letter == '"' && !is_escaped;
                is_escaped = letter == '\\' && !is_escaped;
                closes
            });
            closing.map_or(text.len(), |length| length + 2)
        }
        None if HEADERS.contains(&key) => end(|letter| matches!(letter, '\r' | '\n')),
        None => end(|letter| letter.is_whitespace() || matches!(letter, ',' | ';' | '&' | '}' | ']')),
    }
}

/// A key as it is compared: in lower case, without separators. `accessToken`, `access_token` and `Access-Token` are the
/// same key.
pub(super) fn normal(key: &str) -> String {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    static BUILT_IN: LazyLock<Redaction> = LazyLock::new(Redaction::built_in);

    fn masked(text: &str) -> String {
        BUILT_IN.mask_text(text).into_owned()
    }

    #[test]
    fn values_of_secret_keys_are_masked() {
        for (text, expected) in [
            (r#"{"password": "a\"b", "x": 1}"#, r#"{"password": "***", "x": 1}"#),
            (r#"{"a":[{"accessToken":["x",{"y":2}],"b":3}]}"#, r#"{"a":[{"accessToken":"***","b":3}]}"#),
            (r#"{"Access-Token":12,"b":null}"#, r#"{"Access-Token":"***","b":null}"#),
            // JSON in a text in JSON
            (r#"{"p":"{\"token\":\"x\"}"}"#, r#"{"p":"{\"token\":\"***\"}"}"#),
            // incomplete, and behind other text
            (r#"42["login",{"password":"hunt"#, r#"42["login",{"password":"***""#),
            (r#"say "hi" and {"password":{"x":"#, r#"say "hi" and {"password":"***""#),
            ("CONNECT\nlogin:me\npasscode:hunter2\n\n", "CONNECT\nlogin:me\npasscode:***\n\n"),
            ("GET /\r\nCookie: a=b; c=d\r\nX: y", "GET /\r\nCookie: ***\r\nX: y"),
            ("user=a&password=hunter2&x=1", "user=a&password=***&x=1"),
            (r#"5" tall, "password": "hunter2""#, r#"5" tall, "password": "***""#),
        ] {
            assert_eq!(masked(text), expected);
        }
    }

    #[test]
    fn credentials_are_masked_wherever_they_are() {
        for secret in [
            "Bearer abcdefgh12345678",
            "basic bWU6aHVudGVyMg==",
            "Basic bWU6aHVudGVyMg",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl",
            "eyJhbGciOiJIUzI1NiJ9.eyJzd",
        ] {
            assert!(!masked(&format!("log in with {secret} now")).contains(secret), "{secret}");
            assert!(!masked(&format!("[\"{secret}\"]")).contains(secret), "{secret}");
        }
        assert_eq!(masked("at ws://me:hunter2@host/"), "at ws***host/");
    }

    #[test]
    fn other_texts_are_unchanged() {
        for text in [
            "hello",
            "",
            "Basic Understanding of basic principles",
            "{\"a\": [1, \"password\"]}",
            "tokens: 3",
            "{\"max_tokens\":5}",
            "\"",
            "{",
            "]}",
        ] {
            assert!(matches!(BUILT_IN.mask_text(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn rules_of_the_settings_are_added() {
        let mut redaction = Redaction::built_in();
        ["email", "user.name"].into_iter().for_each(|key| redaction.with_key(key).unwrap());
        redaction.with_pattern(r"\b\d{16}\b").unwrap();
        let text =
            r#"{"user":{"name":"Ann","id":1},"name":"x","to":[{"Email":"a@b"}],"card":"4111111111111111"}"#;
        assert_eq!(
            redaction.mask_text(text),
            r#"{"user":{"name":"***","id":1},"name":"x","to":[{"Email":"***"}],"card":"***"}"#
        );
        let list = r#"[{"user":[{"name":"Ann"}]},{"name":"x"}]"#;
        assert_eq!(redaction.mask_text(list), r#"[{"user":[{"name":"***"}]},{"name":"x"}]"#);
    }

    #[test]
    fn rules_that_are_wrong_are_refused() {
        let mut redaction = Redaction::built_in();
        assert_eq!(redaction.with_key("a..b"), Err(RuleError::Key));
        assert_eq!(redaction.with_key(""), Err(RuleError::Key));
        assert_eq!(redaction.with_pattern("a*"), Err(RuleError::Empty));
        assert!(matches!(redaction.with_pattern("("), Err(RuleError::Pattern(_))));
        let added = (0..=RULES_MAX).map(|number| redaction.with_key(&format!("key{number}")));
        assert_eq!(added.filter(Result::is_err).count(), 1);
    }

    #[test]
    fn what_a_cut_or_an_escape_hides_is_masked() {
        let rules = Redaction::built_in();
        let cut = r#"{"data":"{\"token\":\"S3CRET\",\"blob\":\"aaaa"#;
        for text in [
            cut,
            &cut[..cut.len() - 7],
            r#"{"data":"{\"token\":\"S3CRET\"\"#,
            r#"{"data":"{\"token\":\"S3CRET\"\u00"#,
            r#"{"data":"\u007b\"token\":\"S3CRET\"}"}"#,
            r#"{"data":"\ud800{\"token\":\"S3CRET\"}"}"#,
        ] {
            let masked = rules.mask_text(text);
            assert!(!masked.contains("S3CRET") && masked.contains("***"), "{text}: {masked}");
        }
        let harmless = r#"{"data":"{\"a\":\"line\\n\"}","b":"x\n","c":"caf\u00e9"#;
        assert_eq!(rules.mask_text(harmless), harmless);
    }

    #[test]
    fn binary_that_is_valid_utf_8_is_withheld_with_a_credential() {
        let rules = Redaction::built_in();
        assert_eq!(rules.mask(b"\x02password\0\x08\0\0\0hunter2\0", true), None);
        assert!(rules.mask(b"CONNECT\npasscode:x\n\n\0", true).is_some_and(|masked| masked.is_changed));
        assert!(rules.mask(b"\x02name\0\x08\0\0\0hunter2\0", true).is_some());
    }

    #[test]
    fn binary_with_a_credential_is_withheld() {
        let redaction = Redaction::built_in();
        assert_eq!(redaction.mask(b"\x10\x1a\x00\x04MQTT\x04\xc2\x00\xff", true), None);
        assert_eq!(redaction.mask(b"\x81\xa8password\xa7hunter2\xff", true), None);
        assert!(!redaction.mask(b"\xff\x00\x01", true).unwrap().is_changed);
        // A character that was cut is not binary.
        assert_eq!(redaction.mask("h\u{e4}".as_bytes().get(..2).unwrap(), false).unwrap().bytes, &b"h"[..]);
    }

    proptest! {
        #[test]
        fn a_secret_in_any_document_is_masked(
            before in "[a-z0-9 \\{\\[\":,]{0,20}",
            secret in "[A-Z]{12}",
            quoted in any::<bool>(),
        ) {
            let value = if quoted { format!("\"{secret}\"") } else { secret.clone() };
            let text = format!("{before}{{\"api_key\":{value},\"x\":1}}");
            prop_assert!(!masked(&text).contains(&secret), "{}", masked(&text));
        }

        #[test]
        fn masking_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = BUILT_IN.mask(&bytes, false);
            let _ = masked(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn masked_json_is_json(value in "[a-zA-Z\"\\\\{\\[ ]{0,10}", key in "(password|x|p)") {
            let text = serde_json::json!({ key: { "inner": value, "token": [value] } }).to_string();
            prop_assert!(serde_json::from_str::<serde_json::Value>(&masked(&text)).is_ok());
        }
    }
}
