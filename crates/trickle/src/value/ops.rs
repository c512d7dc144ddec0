//! Evaluation of operators.
//!
//! Integers range from -2^63 to 2^64 - 1, as in JSON. Arithmetic that leaves this range is an error, and so
//! is a float that is not finite. No operator therefore yields a value that JSON cannot represent.

use std::{borrow::Cow, cmp::Ordering, sync::Arc};

use super::{
    cost::Steps,
    describe::{article, noun, overflow},
    number::{self, Number},
};
use crate::{
    ast::{BinaryOp, UnaryOp},
    diagnostic::Fault,
    source::Span,
};
use towline_event::{BigNumber, Value, compare_int_to_float};

type Outcome = Result<Value, Box<Fault>>;

/// Applies an operator to one value.
pub(crate) fn unary(op: UnaryOp, span: Span, operand: &Value) -> Outcome {
    match (op, operand, Number::of(operand)) {
        (UnaryOp::Plus, Value::Big(_), _) => Ok(operand.clone()),
        (UnaryOp::Minus | UnaryOp::BitNot, Value::Big(big), _) => Err(Fault::new(span, overflow(big))),
        (UnaryOp::Not | UnaryOp::BitNot, Value::Bool(truth), _) => Ok(Value::Bool(!truth)),
        (UnaryOp::BitNot, Value::Int(bits @ ..0), _) => Ok(Value::Int(!bits)),
        // A non-negative integer is treated as an unsigned 64-bit integer.
        (UnaryOp::BitNot, Value::Int(bits), _) => Ok(Value::from(!(*bits as u64))),
        (UnaryOp::BitNot, Value::Uint(bits), _) => Ok(Value::from(!bits)),
        (UnaryOp::Plus, _, Some(_)) => Ok(operand.clone()),
        (UnaryOp::Minus, _, Some(Number::Int(number))) => whole(-number, span),
        (UnaryOp::Minus, _, Some(Number::Float(number))) => Ok(Value::Float(-number)),
        _ => {
            let message = format!("`{}` is not defined for {}", op.symbol(), noun(operand));
            Err(Fault::new(span, message))
        }
    }
}

/// Applies an operator to two values, except `and`, `or` and `xor`, which the evaluator handles because they
/// may skip their right operand.
pub(crate) fn binary(
    op: BinaryOp,
    span: Span,
    left: Cow<'_, Value>,
    right: &Value,
    steps: &Steps,
) -> Outcome {
    match op {
        BinaryOp::Add
        | BinaryOp::Sub
        | BinaryOp::Mul
        | BinaryOp::Div
        | BinaryOp::Mod
        | BinaryOp::BitAnd
        | BinaryOp::BitXor
        | BinaryOp::Shl
        | BinaryOp::Shr
        | BinaryOp::ShrUnsigned
            if let Some(big) = big_of(&left, right) =>
        {
            Err(Fault::new(span, overflow(big)))
        }
        BinaryOp::Eq => Ok(Value::Bool(equal(&left, right))),
        BinaryOp::NotEq => Ok(Value::Bool(!equal(&left, right))),
        BinaryOp::Gte | BinaryOp::Gt | BinaryOp::Lte | BinaryOp::Lt => {
            let order = compare(&left, right).ok_or_else(|| undefined(op, span, &left, right))?;
            Ok(Value::Bool(holds(op, order)))
        }
        BinaryOp::Add => add(span, left, right, steps),
        BinaryOp::BitAnd | BinaryOp::BitXor => bitwise(op, span, &left, right),
        BinaryOp::Shl | BinaryOp::Shr | BinaryOp::ShrUnsigned => shift(op, span, &left, right),
        _ => match (Number::of(&left), Number::of(right)) {
            (Some(a), Some(b)) => arithmetic(op, span, a, b),
            _ => Err(undefined(op, span, &left, right)),
        },
    }
}

/// The value as a boolean. Fails for other types; `what` is the construct in the error:
/// `` `where` takes a boolean ``.
pub(crate) fn truth_of(value: &Value, span: Span, what: &str) -> Result<bool, Box<Fault>> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        other => Err(Fault::new(span, format!("`{what}` takes a boolean, not {}", article(other)))),
    }
}

/// Whether the operator can compare the two values.
pub(crate) fn comparable(op: BinaryOp, left: &Value, right: &Value) -> bool {
    matches!(op, BinaryOp::Eq | BinaryOp::NotEq) || compare(left, right).is_some()
}

fn undefined(op: BinaryOp, span: Span, left: &Value, right: &Value) -> Box<Fault> {
    let fault =
        Fault::new(span, format!("`{}` is not defined for {} and {}", op.symbol(), noun(left), noun(right)));
    match (op, left, right) {
        (BinaryOp::Add, Value::String(_), _) | (BinaryOp::Add, _, Value::String(_)) => {
            fault.help("in a string, #{…} takes any value: \"sum: #{event.sum}\"")
        }
        _ => fault,
    }
}

/// Whether two values are equal. Bytes equal a string with the same bytes.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Bytes(_), Value::String(_)) | (Value::String(_), Value::Bytes(_)) => {
            octets(left) == octets(right)
        }
        _ => left == right,
    }
}

/// The bytes of a binary or a string; `None` for other values.
fn octets(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::String(text) => Some(text.as_bytes()),
        _ => None,
    }
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bytes(_), _) | (_, Value::Bytes(_)) => Some(octets(left)?.cmp(octets(right)?)),
        (Value::Big(a), Value::Big(b)) => Some(a.cmp(b)),
        (Value::Big(a), b) => compare_big(a, b),
        (a, Value::Big(b)) => compare_big(b, a).map(Ordering::reverse),
        _ => match (Number::of(left)?, Number::of(right)?) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b),
            (Number::Int(a), Number::Float(b)) => Some(compare_int_to_float(a, b)),
            (Number::Float(a), Number::Int(b)) => Some(compare_int_to_float(b, a).reverse()),
        },
    }
}

fn compare_big(big: &BigNumber, other: &Value) -> Option<Ordering> {
    Some(match Number::of(other)? {
        Number::Int(number) => big.cmp_int(number),
        Number::Float(number) => big.cmp_float(number),
    })
}

/// The first of the two values that is a number beyond 64 bits; `None` if neither is.
fn big_of<'v>(left: &'v Value, right: &'v Value) -> Option<&'v BigNumber> {
    let is_number = |value: &Value| matches!(value, Value::Big(_)) || Number::of(value).is_some();
    match (left, right) {
        (Value::Big(big), other) | (other, Value::Big(big)) if is_number(other) => Some(big),
        _ => None,
    }
}

fn holds(op: BinaryOp, order: Ordering) -> bool {
    match op {
        BinaryOp::Gte => order.is_ge(),
        BinaryOp::Gt => order.is_gt(),
        BinaryOp::Lte => order.is_le(),
        _ => order.is_lt(),
    }
}

fn add(span: Span, left: Cow<'_, Value>, right: &Value, steps: &Steps) -> Outcome {
    if let (Some(a), Some(b)) = (Number::of(&left), Number::of(right)) {
        return arithmetic(BinaryOp::Add, span, a, b);
    }
    let sum = match (left.into_owned(), right) {
        (Value::String(a), Value::String(b)) => {
            steps.room(a.len() + b.len(), span)?;
            Value::string([&*a, &**b].concat())
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            steps.room(a.len() + b.len(), span)?;
            Value::Bytes([&a[..], &b[..]].concat().into())
        }
        (Value::Array(mut a), Value::Array(b)) => {
            steps.room((a.len() + b.len()) * size_of::<Value>(), span)?;
            Arc::make_mut(&mut a).extend(b.iter().cloned());
            Value::Array(a)
        }
        (Value::Record(mut a), Value::Record(b)) => {
            steps.room((a.len() + b.len()) * size_of::<Value>(), span)?;
            Arc::make_mut(&mut a).extend(b.iter().map(|(key, value)| (key.clone(), value.clone())));
            Value::Record(a)
        }
        (left, right) => return Err(undefined(BinaryOp::Add, span, &left, right)),
    };
    Ok(sum)
}

fn arithmetic(op: BinaryOp, span: Span, left: Number, right: Number) -> Outcome {
    match (op, left, right) {
        (BinaryOp::Div, a, b) if b.float() == 0.0 => {
            Err(Fault::new(span, format!("division of {} by zero", a.show())))
        }
        (BinaryOp::Div, a, b) => float(a.float() / b.float(), span),
        (BinaryOp::Mod, _, Number::Int(0)) => Err(Fault::new(span, "remainder of a division by zero")),
        (BinaryOp::Mod, Number::Int(a), Number::Int(b)) => whole(a % b, span),
        (BinaryOp::Mod, ..) => Err(Fault::new(span, "`%` takes integers")),
        (BinaryOp::Add, Number::Int(a), Number::Int(b)) => whole(a + b, span),
        (BinaryOp::Sub, Number::Int(a), Number::Int(b)) => whole(a - b, span),
        // The product of two numbers above 2^63 may overflow 128 bits.
        (_, Number::Int(a), Number::Int(b)) => whole(a.checked_mul(b).unwrap_or(i128::MAX), span),
        (BinaryOp::Add, a, b) => float(a.float() + b.float(), span),
        (BinaryOp::Sub, a, b) => float(a.float() - b.float(), span),
        (_, a, b) => float(a.float() * b.float(), span),
    }
}

fn whole(number: i128, span: Span) -> Outcome {
    number::whole(number).ok_or_else(|| Fault::new(span, "integer overflow: the result does not fit 64 bits"))
}

fn float(number: f64, span: Span) -> Outcome {
    if number.is_finite() { Ok(Value::Float(number)) } else { Err(Fault::new(span, "float overflow")) }
}

fn bitwise(op: BinaryOp, span: Span, left: &Value, right: &Value) -> Outcome {
    let and = op == BinaryOp::BitAnd;
    match (left, right, Number::of(left), Number::of(right)) {
        (Value::Bool(a), Value::Bool(b), ..) => Ok(Value::Bool(if and { a & b } else { a ^ b })),
        (_, _, Some(Number::Int(a)), Some(Number::Int(b))) => whole(if and { a & b } else { a ^ b }, span),
        _ => Err(undefined(op, span, left, right)),
    }
}

/// Shifts an integer by 0 to 63 bits. `>>` keeps the sign, `>>>` does not. A non-negative integer is treated
/// as an unsigned 64-bit integer.
fn shift(op: BinaryOp, span: Span, left: &Value, right: &Value) -> Outcome {
    let (bits, signed) = match left {
        Value::Int(bits) => (*bits as u64, *bits < 0),
        Value::Uint(bits) => (*bits, false),
        _ => return Err(undefined(op, span, left, right)),
    };
    let Value::Int(by) = right else { return Err(undefined(op, span, left, right)) };
    let by = u32::try_from(*by)
        .ok()
        .filter(|by| *by < u64::BITS)
        .ok_or_else(|| Fault::new(span, format!("a shift must be by 0 to 63 bits, not by {by}")))?;
    Ok(match op {
        BinaryOp::Shl if signed => Value::Int((bits << by) as i64),
        BinaryOp::Shl => Value::from(bits << by),
        BinaryOp::Shr if signed => Value::Int(bits as i64 >> by),
        _ => Value::from(bits >> by),
    })
}
