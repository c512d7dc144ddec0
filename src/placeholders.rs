//! Texts with placeholders such as `${code}`.

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<T> {
    /// Literal text.
    Text(String),
    /// The value that replaces a placeholder.
    Placeholder(T),
}

/// Splits a text at its placeholders. `$${` produces a literal `${`; any other `$` is literal. `named` looks up the
/// name in a placeholder.
///
/// # Errors
/// `open` when a placeholder does not end, and the errors of `named`.
pub fn parse<T, E>(text: &str, open: E, named: impl Fn(&str) -> Result<T, E>) -> Result<Box<[Part<T>]>, E> {
    let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            plain.extend([before, "${"]);
            rest = &from[2..];
            continue;
        }
        let Some((name, tail)) = from[2..].split_once('}') else { return Err(open) };
        plain.push_str(before);
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain)));
        }
        parts.push(Part::Placeholder(named(name)?));
        rest = tail;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts.into())
}
