//! The lines of a settings file at which keys are.

use toml::de::{DeTable, DeValue};

/// The line, from 1, of each of these keys, such as `upstream.echo.endpoints[2].weight`. A key that the text does not
/// have has the line of its section or of the item of the list. `None`: the text has neither.
pub(crate) fn lines<'a>(keys: impl Iterator<Item = &'a str>, text: &str) -> Vec<Option<usize>> {
    match DeTable::parse(text) {
        Ok(root) => keys.map(|key| line(root.get_ref(), key, text)).collect(),
        Err(_) => keys.map(|_| None).collect(),
    }
}

fn line(root: &DeTable<'_>, key: &str, text: &str) -> Option<usize> {
    let (mut table, mut start) = (root, None);
    for part in key.split('.') {
        let (name, number) = part.split_once('[').unwrap_or((part, ""));
        let Some((found, mut value)) = table.iter().find(|(found, _)| found.get_ref() == name) else { break };
        start = Some(found.span().start);
        let number = number.strip_suffix(']').and_then(|number| number.parse::<usize>().ok());
        if let (DeValue::Array(items), Some(number)) = (value.get_ref(), number) {
            let Some(item) = number.checked_sub(1).and_then(|at| items.get(at)) else { break };
            (start, value) = (Some(item.span().start), item);
        }
        let DeValue::Table(inner) = value.get_ref() else { break };
        table = inner;
    }
    Some(text.get(..start?)?.matches('\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_line_or_that_of_what_it_belongs_to() {
        let text = "[upstream.a]\nurl = \"ws://h\"\nrestart = { min = 1,\n  max = 2 }\nlist = [\n  1,\n  2,\n]\n\n\
                    [[route]]\npath = \"/\"\n[[route]]\n\npath = 7\n";
        for (key, line) in [
            ("upstream", Some(1)),
            ("upstream.a.url", Some(2)),
            ("upstream.a.restart.max", Some(4)),
            ("upstream.a.list[2]", Some(7)),
            ("upstream.a.list[9]", Some(5)),
            ("upstream.a.missing", Some(1)),
            ("route[2].path", Some(14)),
            ("route[2].missing.more", Some(12)),
            ("listener.ws", None),
        ] {
            assert_eq!(lines([key].into_iter(), text), [line], "{key}");
        }
        assert_eq!(lines(["a"].into_iter(), "[a"), [None], "no TOML");
    }

    proptest::proptest! {
        #[test]
        fn no_key_makes_it_panic(key in r"[a\[\].0-9é]{0,12}", text in r#"([a-c]|=|\[|\]|\{|\}|"x"|1|,|\n|\.|é){0,24}"#) {
            let _ = lines([key.as_str()].into_iter(), &text);
        }
    }
}
