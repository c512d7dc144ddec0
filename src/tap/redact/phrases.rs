//! Finds secrets that follow a word without a separator: options of commands (`--password x`), quoted words
//! (`PASSWORD 'x'`), logins of line protocols (`PASS x`), lists in other quotes (`['token', 'x']`), and fields of
//! multipart forms.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;

use super::{Redaction, fields::quoted_length, pairs::is_secret_name};

/// An option of a command and its value: `--password x`.
static OPTION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?:^|[ \t\r\n"'`])--?([A-Za-z][A-Za-z0-9_.-]{0,63})[ \t]+([^ \t\r\n"'`]+)"#).ok()
});

/// A part of a form and its content, which goes to the delimiter.
static PART: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let header =
        r#"(?is)content-disposition:[^\r\n]*?[ ;]name="?([^";\r\n]{1,64})"?[^\r\n]*(?:\r?\n[^\r\n]+)*"#;
    Regex::new(&format!(r"{header}\r?\n\r?\n(.*?)(?:\r?\n--|\z)")).ok()
});

/// A name before a quoted value: `password 'x'`, `('password', 'x')` and `['password', 'x']`. A group is the name, and the
/// end is the quote.
static BEFORE_QUOTE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let name = "([A-Za-z0-9_.-]{1,64})";
    let space = r"[ \t\r\n]";
    Regex::new(&format!(r#"(?:[(\[]{space}*["'`]{name}["'`]{space}*,{space}*|{name}{space}+)["'`]"#)).ok()
});

/// The login of a line protocol, such as IRC. The group is the credential.
static LOGIN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let login = r"(?m)^(?:[@:][^ \t\r\n]+ +)*(?:PASS|AUTH|AUTHENTICATE|OPER) +";
    Regex::new(&format!(r"{login}(:[^\r\n]+|[^ \t\r\n{{\[][^ \t\r\n]*(?: +[^ \t\r\n]+)?)[ \r]*$")).ok()
});

/// Finds what is masked in a text or in a string.
pub(super) fn find(text: &str, rules: &Redaction, mut mask: impl FnMut(Range<usize>)) {
    let option = OPTION.as_ref().filter(|_| text.contains('-'));
    let part = PART.as_ref().filter(|_| text.contains("isposition:"));
    for found in [option, part].into_iter().flatten().flat_map(|pattern| pattern.captures_iter(text)) {
        if let (Some(name), Some(value)) = (found.get(1), found.get(2))
            && is_secret_name(name.as_str(), rules)
        {
            mask(value.range());
        }
    }
    let before_quote = BEFORE_QUOTE.as_ref().filter(|_| text.contains(['"', '\'', '`']));
    for found in before_quote.into_iter().flat_map(|pattern| pattern.captures_iter(text)) {
        if let (Some(whole), Some(name)) = (found.get(0), found.get(1).or_else(|| found.get(2)))
            && is_secret_name(name.as_str(), rules)
            && let Some(quote) = whole.as_str().chars().next_back()
        {
            mask(whole.end()..whole.end() + quoted_length(&text[whole.end()..], quote));
        }
    }
}

/// Finds the logins of line protocols. Their words are ordinary ones within strings.
pub(super) fn logins(text: &str, mask: impl FnMut(Range<usize>)) {
    let logins = LOGIN.iter().flat_map(|login| login.captures_iter(text));
    logins.filter_map(|found| found.get(1)).map(|credential| credential.range()).for_each(mask);
}

/// Whether all patterns are valid.
#[cfg(test)]
pub(super) fn is_ready() -> bool {
    [&OPTION, &PART, &BEFORE_QUOTE, &LOGIN].iter().all(|pattern| pattern.is_some())
}
