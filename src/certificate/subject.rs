//! Distinguished names as text (RFC 4514).

use std::fmt::Write;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The names of attributes (RFC 4514 section 3, RFC 4519), by object identifier. Others are printed by identifier.
const KNOWN: [(&str, &str); 12] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.12", "title"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// A distinguished name as text: the most specific part first, such as `CN=device 7,O=Example,C=DE`.
///
/// # Security
/// Separators in values are escaped, so that a value such as `a,O=Example` does not pass for two parts.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let parts: Vec<_> = name.iter_rdn().collect();
    let parts = parts.iter().rev().map(|part| {
        let attributes: Vec<_> = part.iter().map(attribute).collect();
        attributes.join("+")
    });
    parts.collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let identifier = attribute.attr_type().to_id_string();
    let known = KNOWN.iter().find(|(known, _)| *known == identifier).map(|(_, name)| *name);
    let value = match attribute.as_str() {
        Ok(value) => escaped(value),
        // RFC 4514 section 2.4: values that are not text are in hexadecimal form.
        Err(_) => attribute.as_slice().iter().fold("#".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
    };
    format!("{}={value}", known.unwrap_or(&identifier))
}

/// A value with its special characters escaped (RFC 4514 section 2.4). Control characters are in hexadecimal form.
fn escaped(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (at, letter) in value.chars().enumerate() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => text.extend(['\\', letter]),
            '#' if at == 0 => text.push_str("\\#"),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            letter if letter.is_control() => {
                let mut bytes = [0; 4];
                for byte in letter.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(text, "\\{byte:02x}");
                }
            }
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_values_are_escaped() {
        for (value, expected) in [
            ("device 7", "device 7"),
            ("a,O=Example", "a\\,O\\=Example"),
            ("a+b", "a\\+b"),
            (" a ", "\\ a\\ "),
            ("#a#", "\\#a#"),
            ("a\r\nb", "a\\0d\\0ab"),
            ("a\u{85}", "a\\c2\\85"),
            ("Ünal \"x\" <y>;\\", "Ünal \\\"x\\\" \\<y\\>\\;\\\\"),
            ("", ""),
            (" ", "\\ "),
        ] {
            assert_eq!(escaped(value), expected, "{value:?}");
        }
    }
}
