//! Names next to their values: `{"name":"password","value":"x"}` and `["authorization","Bearer x"]`.

use std::ops::Range;

use super::{Redaction, normal};

/// Keys whose value is a name, in the form of [`normal`].
const NAME_KEYS: &[&str] =
    &["name", "key", "k", "header", "field", "id", "label", "param", "parameter", "attribute", "path"];

/// Keys whose value belongs to the name.
const VALUE_KEYS: &[&str] = &["value", "values", "val", "v", "content", "data", "text"];

/// Maximum length of a name, in bytes. Longer texts are sentences.
const NAME_MAX: usize = 64;

/// The number of words that a name may have, such as `api key`.
const NAME_WORDS_MAX: usize = 2;

/// Whether the value of this key is a name.
pub(super) fn is_name_key(key: &str) -> bool {
    NAME_KEYS.contains(&&*normal(key))
}

/// Whether the value of this key belongs to a name.
pub(super) fn is_value_key(key: &str) -> bool {
    VALUE_KEYS.contains(&&*normal(key))
}

/// Whether a text is the name of a secret, and not a sentence about it.
pub(super) fn is_secret_name(text: &str, rules: &Redaction) -> bool {
    text.len() <= NAME_MAX && text.split_whitespace().count() <= NAME_WORDS_MAX && rules.has_key(text)
}

/// The kind of the content between two brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    Object,
    List,
}

/// The names and values between two brackets that have been found so far.
#[derive(Debug)]
pub(super) struct Pairs {
    inside: Inside,
    /// The role of the current value.
    role: Role,
    /// Whether the object has the name of a secret, or the last text of the list is one.
    is_secret: bool,
    /// The values of an object that began before its name: where each begins, and where it ends.
    values: Vec<(usize, Option<usize>)>,
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
        Self { inside, role: Role::Other, is_secret: false, values: Vec::new() }
    }

    /// Records a key, whose value begins at `start`. Returns whether the value is masked.
    pub(super) fn key(&mut self, key: &str, start: usize) -> bool {
        let key = normal(key);
        self.role = match &*key {
            key if NAME_KEYS.contains(&key) => Role::Name,
            key if VALUE_KEYS.contains(&key) => Role::Value,
            _ => Role::Other,
        };
        if self.role == Role::Value && !self.is_secret {
            self.values.push((start, None));
        }
        self.role == Role::Value && self.is_secret
    }

    /// Whether [`Pairs::string`] uses the string that follows.
    pub(super) fn wants_string(&self) -> bool {
        self.inside == Inside::List || self.role == Role::Name
    }

    /// Records a string that is a value. Returns the ranges that are masked because of it.
    pub(super) fn string(&mut self, text: &str, range: Range<usize>, rules: &Redaction) -> Vec<Range<usize>> {
        if self.takes_value() {
            return vec![range];
        }
        let is_name = is_secret_name(text, rules);
        self.is_secret |= is_name;
        match self.inside {
            Inside::Object if is_name => {
                let known = std::mem::take(&mut self.values).into_iter();
                known.filter_map(|(start, end)| Some(start..end?)).collect()
            }
            Inside::List | Inside::Object => Vec::new(),
        }
    }

    /// Whether the next value of a list belongs to the name of a secret before it.
    pub(super) fn has_name(&self) -> bool {
        self.inside == Inside::List && self.is_secret
    }

    /// Takes the value of a list that belongs to the name of a secret. Returns whether there is such a name.
    pub(super) fn takes_value(&mut self) -> bool {
        self.inside == Inside::List && std::mem::take(&mut self.is_secret)
    }

    /// Records a comma. `end` is the end of the value before it.
    pub(super) fn comma(&mut self, end: usize) {
        if let (Role::Value, Some((_, known @ None))) = (self.role, self.values.last_mut()) {
            *known = Some(end);
        }
        self.role = Role::Other;
    }

    /// The values whose name may follow.
    pub(super) fn unnamed(&self) -> impl Iterator<Item = (usize, Option<usize>)> {
        self.values.iter().copied()
    }
}
