//! The functions of `std::type`.

use super::{Arity::Exactly, Call, Function, Outcome};
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("std::type::as_string", Exactly(1), as_string, "the name of a value's type"),
    Function::pure("std::type::is_null", Exactly(1), is_null, "whether a value is null"),
    Function::pure("std::type::is_bool", Exactly(1), is_bool, "whether a value is a boolean"),
    Function::pure("std::type::is_integer", Exactly(1), is_integer, "whether a value is an integer"),
    Function::pure("std::type::is_float", Exactly(1), is_float, "whether a value is a float"),
    Function::pure("std::type::is_number", Exactly(1), is_number, "whether a value is an integer or a float"),
    Function::pure("std::type::is_string", Exactly(1), is_string, "whether a value is a string"),
    Function::pure("std::type::is_array", Exactly(1), is_array, "whether a value is an array"),
    Function::pure("std::type::is_record", Exactly(1), is_record, "whether a value is a record"),
    Function::pure("std::type::is_binary", Exactly(1), is_binary, "whether a value is a binary"),
];

/// The name of a value's type: `null`, `bool`, `integer`, `float`, `string`, `bytes`, `array` or `record`, as
/// in Tremor. Error messages call `bytes` a binary.
fn as_string(call: &Call<'_>) -> Outcome {
    let name = match call.any(0) {
        Value::Bytes(_) => "bytes",
        other => other.type_name(),
    };
    Ok(Value::string(name))
}

fn is_null(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(matches!(call.any(0), Value::Null)))
}

fn is_bool(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(matches!(call.any(0), Value::Bool(_))))
}

fn is_integer(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(call.any(0).type_name() == "integer"))
}

fn is_float(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(call.any(0).type_name() == "float"))
}

fn is_number(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(matches!(call.any(0).type_name(), "integer" | "float")))
}

fn is_string(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(matches!(call.any(0), Value::String(_))))
}

fn is_array(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(matches!(call.any(0), Value::Array(_))))
}

fn is_record(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(matches!(call.any(0), Value::Record(_))))
}

fn is_binary(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(matches!(call.any(0), Value::Bytes(_))))
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::type::as_string", "[null]", r#""null""#),
    ("std::type::as_string", "[false]", r#""bool""#),
    ("std::type::as_string", "[18446744073709551615]", r#""integer""#),
    ("std::type::as_string", "[1.0]", r#""float""#),
    ("std::type::as_string", r#"[""]"#, r#""string""#),
    ("std::type::as_string", "[[]]", r#""array""#),
    ("std::type::as_string", "[{}]", r#""record""#),
    ("std::type::as_string", r#"[{"bytes":""}]"#, r#""bytes""#),
    ("std::type::as_string", "[]", "error: std::type::as_string takes 1 argument, not 0"),
    ("std::type::is_null", "[null]", "true"),
    ("std::type::is_null", "[0]", "false"),
    ("std::type::is_null", "[]", "error: std::type::is_null takes 1 argument, not 0"),
    ("std::type::is_bool", "[false]", "true"),
    ("std::type::is_bool", "[null]", "false"),
    ("std::type::is_bool", "[]", "error: std::type::is_bool takes 1 argument, not 0"),
    ("std::type::is_integer", "[-1]", "true"),
    ("std::type::is_integer", "[18446744073709551615]", "true"),
    ("std::type::is_integer", "[18446744073709551616]", "true"),
    ("std::type::is_integer", "[1.0]", "false"),
    ("std::type::is_integer", "[]", "error: std::type::is_integer takes 1 argument, not 0"),
    ("std::type::is_float", "[1.0]", "true"),
    ("std::type::is_float", "[1e400]", "true"),
    ("std::type::is_float", "[1]", "false"),
    ("std::type::is_float", "[]", "error: std::type::is_float takes 1 argument, not 0"),
    ("std::type::is_number", "[1]", "true"),
    ("std::type::is_number", "[1.5]", "true"),
    ("std::type::is_number", "[-18446744073709551616]", "true"),
    ("std::type::is_number", r#"["1"]"#, "false"),
    ("std::type::is_number", "[]", "error: std::type::is_number takes 1 argument, not 0"),
    ("std::type::is_string", r#"[""]"#, "true"),
    ("std::type::is_string", r#"[{"bytes":""}]"#, "false"),
    ("std::type::is_string", "[]", "error: std::type::is_string takes 1 argument, not 0"),
    ("std::type::is_array", "[[]]", "true"),
    ("std::type::is_array", "[{}]", "false"),
    ("std::type::is_array", "[]", "error: std::type::is_array takes 1 argument, not 0"),
    ("std::type::is_record", "[{}]", "true"),
    ("std::type::is_record", "[[]]", "false"),
    ("std::type::is_record", "[]", "error: std::type::is_record takes 1 argument, not 0"),
    ("std::type::is_binary", r#"[{"bytes":""}]"#, "true"),
    ("std::type::is_binary", r#"[""]"#, "false"),
    ("std::type::is_binary", "[]", "error: std::type::is_binary takes 1 argument, not 0"),
];
