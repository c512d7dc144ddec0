//! Texts behind escapes: those of JSON, of JavaScript and of similar languages, those of URLs and forms, and those of XML.

use std::borrow::Cow;

/// The length to which the end of an entity is looked for, in bytes.
const ENTITY_MAX: usize = 9;

/// A text without its escapes. Each position in it has an origin in the text with escapes.
#[derive(Debug)]
pub(super) struct Unescaped<'a> {
    pub(super) text: Cow<'a, str>,
    /// The places behind each escape: in the text without escapes, and in the one with escapes.
    places: Vec<(usize, usize)>,
}

// === impl Unescaped ===

impl<'a> Unescaped<'a> {
    /// Resolves the escapes of JSON and JavaScript once. Keeps everything else unchanged, so it never fails.
    pub(super) fn new(escaped: &'a str) -> Self {
        Self::resolved(escaped, b'\\', escape)
    }

    /// Resolves the escapes of URLs and forms, as far as they are ASCII.
    pub(super) fn percent(escaped: &'a str) -> Self {
        Self::resolved(escaped, b'%', |text| Some((ascii(digits(text.get(..2)?)?)?, 2)))
    }

    /// Resolves the escapes of XML.
    pub(super) fn entities(escaped: &'a str) -> Self {
        Self::resolved(escaped, b'&', entity)
    }

    /// Resolves the escapes that begin with a sign. `escape` has the character of one, and its length without the sign.
    fn resolved(escaped: &'a str, sign: u8, escape: fn(&str) -> Option<(char, usize)>) -> Self {
        let (mut out, mut places, mut copied, mut at) = (String::new(), Vec::new(), 0, 0);
        while let Some(found) = memchr::memchr(sign, &escaped.as_bytes()[at..]) {
            let start = at + found;
            let Some((letter, length)) = escape(&escaped[start + 1..]) else {
                at = start + 1;
                continue;
            };
            out.push_str(&escaped[copied..start]);
            out.push(letter);
            (copied, at) = (start + 1 + length, start + 1 + length);
            places.push((out.len(), copied));
        }
        if copied == 0 {
            return Self { text: Cow::Borrowed(escaped), places };
        }
        out.push_str(&escaped[copied..]);
        Self { text: Cow::Owned(out), places }
    }

    /// Whether the text had escapes.
    pub(super) fn is_changed(&self) -> bool {
        !self.places.is_empty()
    }

    /// The place in the text with escapes for one between two characters of this text.
    pub(super) fn origin(&self, at: usize) -> usize {
        let before = self.places.partition_point(|(place, _)| *place <= at);
        match before.checked_sub(1).and_then(|last| self.places.get(last)) {
            Some((place, origin)) => origin + (at - place),
            None => at,
        }
    }
}

/// The character of the escape whose backslash precedes the text, and its length without the backslash.
fn escape(text: &str) -> Option<(char, usize)> {
    let letter = match text.bytes().next()? {
        quoted @ (b'"' | b'\'' | b'`' | b'\\' | b'/') => char::from(quoted),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'x' => return Some((char::from(u8::try_from(digits(text.get(1..3)?)?).ok()?), 3)),
        b'u' => return unicode(text),
        _ => return None,
    };
    Some((letter, 1))
}

/// The character of an entity of XML whose `&` precedes the text, and its length without that.
fn entity(text: &str) -> Option<(char, usize)> {
    let (name, _) = text.get(..text.len().min(ENTITY_MAX)).unwrap_or_default().split_once(';')?;
    let letter = match name {
        "quot" => '"',
        "apos" => '\'',
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        _ => match name.strip_prefix('#')? {
            hex if hex.starts_with(['x', 'X']) => ascii(digits(&hex[1..])?)?,
            decimal => ascii(decimal.parse().ok()?)?,
        },
    };
    Some((letter, name.len() + 1))
}

fn ascii(code: u32) -> Option<char> {
    char::from_u32(code).filter(char::is_ascii)
}

/// The character of `u` and four digits. A character outside of the basic plane has two escapes.
fn unicode(text: &str) -> Option<(char, usize)> {
    let first = digits(text.get(1..5)?)?;
    if let Some(letter) = char::from_u32(first) {
        return Some((letter, 5));
    }
    let second = text.get(5..11).and_then(|next| digits(next.strip_prefix("\\u")?));
    let pair = second.filter(|second| first < 0xdc00 && (0xdc00..0xe000).contains(second));
    let joined =
        pair.and_then(|second| char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)));
    Some(joined.map_or((char::REPLACEMENT_CHARACTER, 5), |letter| (letter, 11)))
}

fn digits(text: &str) -> Option<u32> {
    let are_digits = text.bytes().all(|digit| digit.is_ascii_hexdigit());
    are_digits.then(|| u32::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_are_resolved_and_the_rest_is_kept() {
        for (escaped, expected) in [
            (r"ws:\/\/h", "ws://h"),
            (r#"\"a\"\\n"#, r#""a"\n"#),
            (r"\u0070\u00e9\x41", "p\u{e9}A"),
            (r"\ud83d\ude00\ud800x\udc00", "\u{1f600}\u{fffd}x\u{fffd}"),
            (r"C:\dir \alpha \u12 \xg1 \", r"C:\dir \alpha \u12 \xg1 \"),
        ] {
            let unescaped = Unescaped::new(escaped);
            assert_eq!(unescaped.text, expected);
            assert_eq!(unescaped.is_changed(), escaped != expected);
        }
    }

    #[test]
    fn a_position_has_an_origin() {
        let text = Unescaped::new(r"a\u0062c\/d");
        assert_eq!(text.text, "abc/d");
        assert_eq!((0..=5).map(|at| text.origin(at)).collect::<Vec<_>>(), [0, 1, 7, 8, 10, 11]);
    }

    #[test]
    fn escapes_of_urls_and_of_xml_are_resolved() {
        assert_eq!(Unescaped::percent("a%3Db%3d%zz%C3%A4%2").text, "a=b=%zz%C3%A4%2");
        assert_eq!(Unescaped::entities("&quot;&#34;&#x22;&lt;&amp;&x;&").text, "\"\"\"<&&x;&");
        let entities = Unescaped::entities("a&quot;b&#233;\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}");
        assert_eq!(entities.text, "a\"b&#233;\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}");
        assert_eq!((entities.origin(1), entities.origin(2)), (1, 7));
    }

    proptest! {
        #[test]
        fn json_is_unescaped_as_by_its_parser(text in "\\PC{0,20}") {
            let quoted = serde_json::to_string(&text).unwrap();
            let unescaped = Unescaped::new(&quoted[1..quoted.len() - 1]);
            prop_assert_eq!(&*unescaped.text, &text);
            prop_assert_eq!(unescaped.origin(text.len()), quoted.len() - 2);
        }
    }
}
