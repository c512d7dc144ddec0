//! Prints values as TOML, with secrets masked.

use config::{Value, ValueKind};

use crate::{
    authority::{MASK, mask},
    settings::keys::Kind,
};

/// A value as TOML with secrets masked, for texts and reports.
pub(crate) fn shown(value: &Value, kind: Kind) -> String {
    match &value.kind {
        ValueKind::Table(table) if table.is_empty() => "{}".to_owned(),
        _ if kind.is_secret_table() => quoted(MASK),
        ValueKind::String(text) if matches!(kind, Kind::Url | Kind::Urls | Kind::Endpoints(_)) => {
            quoted(&mask(text))
        }
        ValueKind::String(text) => quoted(text),
        ValueKind::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| shown(item, kind)).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Table(table) => {
            let pair =
                |(key, value): (&String, &Value)| format!("{} = {}", bare_or_quoted(key), shown(value, kind));
            let pairs: Vec<_> = table.iter().map(pair).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

/// A key of a table as TOML.
pub(crate) fn bare_or_quoted(name: &str) -> String {
    let bare = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

/// A text as a TOML basic string. JSON's escapes are valid TOML, which requires one more.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::layers::toml;

    proptest! {
        #[test]
        fn what_is_quoted_is_that_text_to_toml(text in r"[\x00-\x9f\PC]{0,20}") {
            let table = toml(&format!("a = {}", quoted(&text))).unwrap();
            prop_assert_eq!(&table["a"].kind, &ValueKind::String(text));
        }
    }
}
