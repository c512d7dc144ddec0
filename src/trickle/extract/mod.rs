//! Extractors: what stands behind `~` in patterns.

use crate::event::Value;

/// The names of all extractors.
pub(crate) const KINDS: [&str; 2] = ["glob", "json"];

/// A compiled extractor.
#[derive(Debug)]
pub(crate) struct Extractor {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A prefix before `*`.
    Prefix(String),
    Json,
}

impl Extractor {
    /// Compiles `kind|format|`.
    ///
    /// # Errors
    /// In words for people.
    pub(crate) fn compile(kind: &str, format: &str) -> Result<Self, String> {
        match (kind, format.split_once('*')) {
            ("json", _) => Ok(Self { kind: Kind::Json }),
            ("glob", Some((prefix, ""))) => Ok(Self { kind: Kind::Prefix(prefix.to_owned()) }),
            ("glob", _) => Err("a glob ends in `*`".to_owned()),
            _ => Err(format!("there is no extractor `{kind}`")),
        }
    }

    /// What is extracted, if the value matches.
    pub(crate) fn extract(&self, value: &Value) -> Option<Value> {
        let text = value.as_str()?;
        match &self.kind {
            Kind::Prefix(prefix) => text.starts_with(prefix.as_str()).then(|| value.clone()),
            Kind::Json => serde_json::from_str(text).ok(),
        }
    }

    /// Whether the value matches.
    pub(crate) fn matches(&self, value: &Value) -> bool {
        self.extract(value).is_some()
    }
}
