//! Names beside their values: `{"name":"password","value":"x"}` and `["authorization","Bearer x"]`.

use std::ops::Range;

use super::{Redaction, normal};

/// Keys whose value is a name, in the form of [`normal`].
const NAME_KEYS: &[&str] =
    &["name", "key", "k", "header", "field", "id", "label", "param", "parameter", "attribute", "path"];

/// Keys whose value belongs to the name.
const VALUE_KEYS: &[&str] = &["value", "values", "val", "v", "content", "data", "text"];

/// Maximum length of a name, in bytes. Longer texts are sentences.
const NAME_MAX: usize = 64;

/// What is between two brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    Object,
    List,
}

/// The names and values between two brackets, as far as they have been seen.
#[derive(Debug)]
pub(super) struct Pairs {
    inside: Inside,
    /// What the current value is.
    role: Role,
    /// Whether the object has the name of a secret.
    is_secret: bool,
    /// The value of an object that began before its name: where it begins, and where it ends.
    value: Option<(usize, Option<usize>)>,
    /// The number of commas in a list.
    index: usize,
    /// The place in a list whose value belongs to the name of a secret.
    secret_at: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Name,
    Value,
    Other,
}

// === impl Pairs ===

impl Pairs {
    pub(super) fn new(inside: Inside) -> Self {
        Self { inside, role: Role::Other, is_secret: false, value: None, index: 0, secret_at: None }
    }

    /// Notes a key, whose value begins at `start`. Returns whether that is masked.
    pub(super) fn key(&mut self, key: &str, start: usize) -> bool {
        let key = normal(key);
        self.role = match &*key {
            key if NAME_KEYS.contains(&key) => Role::Name,
            key if VALUE_KEYS.contains(&key) => Role::Value,
            _ => Role::Other,
        };
        if self.role == Role::Value && !self.is_secret {
            self.value = Some((start, None));
        }
        self.role == Role::Value && self.is_secret
    }

    /// Whether [`Pairs::string`] uses the string that follows.
    pub(super) fn wants_string(&self) -> bool {
        match self.inside {
            Inside::Object => self.role == Role::Name,
            Inside::List => self.index.is_multiple_of(2) || self.secret_at == Some(self.index),
        }
    }

    /// Notes a string that is a value. Returns what is masked because of it.
    pub(super) fn string(
        &mut self,
        text: &str,
        range: Range<usize>,
        rules: &Redaction,
    ) -> Option<Range<usize>> {
        if self.inside == Inside::List && self.secret_at == Some(self.index) {
            return Some(range);
        }
        let is_name = text.len() <= NAME_MAX && !text.contains(char::is_whitespace) && rules.has_key(text);
        match self.inside {
            Inside::List => {
                self.secret_at = is_name.then_some(self.index + 1);
                None
            }
            Inside::Object if is_name => {
                self.is_secret = true;
                let (start, end) = self.value?;
                Some(start..end?)
            }
            Inside::Object => None,
        }
    }

    /// Notes a comma. `end` is where the value before it ends.
    pub(super) fn comma(&mut self, end: usize) {
        self.index += 1;
        if let (Role::Value, Some((_, known @ None))) = (self.role, &mut self.value) {
            *known = Some(end);
        }
        self.role = Role::Other;
    }
}
