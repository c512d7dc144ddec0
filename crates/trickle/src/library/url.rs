//! The functions of `std::url`.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Arity::Exactly, Call, Function, Outcome, call::shown};
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure(
        "std::url::encode",
        Exactly(1),
        encode,
        "a text with all characters except ASCII letters and digits percent-encoded",
    ),
    Function::pure("std::url::decode", Exactly(1), decode, "percent-encoded text decoded"),
];

fn encode(call: &Call<'_>) -> Outcome {
    let text = call.string(0)?;
    call.read(text.len())?;
    let kept = text.bytes().filter(u8::is_ascii_alphanumeric).count();
    call.room(kept + (text.len() - kept).saturating_mul("%20".len()))?;
    Ok(Value::string(utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()))
}

/// Decodes percent-encoding. A percent sign without two hex digits stays unchanged, and so does a plus sign.
fn decode(call: &Call<'_>) -> Outcome {
    let text = call.string(0)?;
    call.read(text.len())?;
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) => Ok(Value::string(&*decoded)),
        Err(_) => Err(call.fail(format_args!("{} is not percent-encoded UTF-8", shown(text)))),
    }
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::url::encode", r#"["beep:snot/foobar"]"#, r#""beep%3Asnot%2Ffoobar""#),
    ("std::url::encode", r#"["é -_.~"]"#, r#""%C3%A9%20%2D%5F%2E%7E""#),
    ("std::url::encode", r#"[""]"#, r#""""#),
    ("std::url::encode", "[1]", "error: std::url::encode takes a string, not an integer"),
    ("std::url::decode", r#"["%22snot%20badger%22"]"#, r#""\"snot badger\"""#),
    ("std::url::decode", r#"["a+b%c3%A9"]"#, r#""a+bé""#),
    ("std::url::decode", r#"["100%"]"#, r#""100%""#),
    ("std::url::decode", r#"["%ff"]"#, "error: std::url::decode: `%ff` is not percent-encoded UTF-8"),
    ("std::url::decode", "[null]", "error: std::url::decode takes a string, not null"),
];
