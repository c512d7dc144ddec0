//! The function `std::string::format`.

use crate::library::{Call, Outcome};

/// Replaces each `{}` by the next argument: strings unchanged, all other values as JSON. `{{` and `\{` stand
/// for an opening brace, `}}` and `\}` for a closing one.
///
/// # Errors
/// When a brace is unpaired (the message has its index), or there are too few or too many arguments.
pub(super) fn format(call: &Call<'_>) -> Outcome {
    let template = call.string(0)?;
    call.read(template.len())?;
    let mut values = call.args.iter().skip(1);
    let mut out = call.text();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}', '\\']) {
        let (literal, special) = rest.split_at(at);
        out.push(literal)?;
        rest = &special[1..];
        if let Some(beyond) = rest.strip_prefix('}').filter(|_| special.starts_with('{')) {
            call.walk(1)?;
            let value = values.next().ok_or_else(|| call.fail("too few arguments for the {} in the text"))?;
            out.push_value(value)?;
            rest = beyond;
            continue;
        }
        let (brace, beyond) = literal_brace(special).ok_or_else(|| {
            let index = template[..template.len() - special.len()].chars().count();
            call.fail(format_args!("the brace at {index} is unpaired; for a literal brace write it twice"))
        })?;
        out.push(brace)?;
        rest = beyond;
    }
    out.push(rest)?;
    if values.len() > 0 {
        return Err(call.fail("too many arguments for the {} in the text"));
    }
    out.finish()
}

/// The literal text for an escape at the beginning of `special`, and the text after it; `None` if there is no
/// escape.
fn literal_brace(special: &str) -> Option<(&str, &str)> {
    let (sign, after) = special.split_at(1);
    // A backslash before any character other than a brace stands for itself.
    let twice = match sign {
        "\\" if !after.starts_with(['{', '}']) => return Some((sign, after)),
        "\\" => true,
        brace => after.starts_with(brace),
    };
    twice.then(|| after.split_at(1))
}

#[cfg(test)]
pub(super) const CASES: &[crate::library::tests::Case] = &[
    ("std::string::format", r#"["the {} is {}.","meaning",42]"#, r#""the meaning is 42.""#),
    ("std::string::format", r#"["{}{}{}",[1,"a"],null,"é"]"#, r#""[1,\"a\"]nullé""#),
    ("std::string::format", r#"["{{}} {{{}}}",1]"#, r#""{} {1}""#),
    ("std::string::format", r#"["\\{\\} a\\b \\"]"#, r#""{} a\\b \\""#),
    (
        "std::string::format",
        r#"["é{x"]"#,
        "error: std::string::format: the brace at 1 is unpaired; for a literal brace write it twice",
    ),
    (
        "std::string::format",
        r#"["é}"]"#,
        "error: std::string::format: the brace at 1 is unpaired; for a literal brace write it twice",
    ),
    (
        "std::string::format",
        r#"["{}"]"#,
        "error: std::string::format: too few arguments for the {} in the text",
    ),
    (
        "std::string::format",
        r#"["{}",1,2,3]"#,
        "error: std::string::format: too many arguments for the {} in the text",
    ),
    ("std::string::format", "[1]", "error: std::string::format takes a string, not an integer"),
    ("std::string::format", "[]", "error: std::string::format takes at least 1 argument, not 0"),
];
