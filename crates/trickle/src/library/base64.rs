//! The functions of `std::base64`.

use ::base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::{Arity::Exactly, Call, Function, Outcome, call::shown};
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure(
        "std::base64::encode",
        Exactly(1),
        encode,
        "a binary encoded as base64 text, with padding",
    ),
    Function::pure("std::base64::decode", Exactly(1), decode, "base64 text decoded to a binary"),
];

/// The standard alphabet of base64. Output has padding; input may omit it.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn encode(call: &Call<'_>) -> Outcome {
    let bytes = call.bytes(0)?;
    call.read(bytes.len())?;
    call.room(bytes.len().div_ceil(3).saturating_mul(4))?;
    Ok(Value::string(ENGINE.encode(bytes)))
}

fn decode(call: &Call<'_>) -> Outcome {
    let text = call.string(0)?;
    call.read(text.len())?;
    match ENGINE.decode(text) {
        Ok(bytes) => Ok(Value::Bytes(bytes.into())),
        Err(_) => Err(call.fail(format_args!("{} is not base64", shown(text)))),
    }
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::base64::encode", r#"[{"bytes":"snot"}]"#, r#""c25vdA==""#),
    ("std::base64::encode", r#"[{"bytes":""}]"#, r#""""#),
    ("std::base64::encode", r#"[{"bytes":[251,255,0]}]"#, r#""+/8A""#),
    ("std::base64::encode", r#"["snot"]"#, "error: std::base64::encode takes a binary, not a string"),
    ("std::base64::decode", r#"["c25vdA=="]"#, "binary [115,110,111,116]"),
    ("std::base64::decode", r#"["c25vdA"]"#, "binary [115,110,111,116]"),
    ("std::base64::decode", r#"[""]"#, "binary []"),
    ("std::base64::decode", r#"["-_8A"]"#, "error: std::base64::decode: `-_8A` is not base64"),
    ("std::base64::decode", "[1]", "error: std::base64::decode takes a string, not an integer"),
];
