//! A total order over all values: `null`, booleans, numbers, strings, binaries, arrays, records.
//!
//! Numbers are compared exactly, because sorting requires a total order and may panic without one. Comparing
//! integers with floats as floats would not be transitive: several large integers convert to the same float.

use std::cmp::Ordering;

use crate::value::number::Number;
use towline_event::{Record, Value, compare_int_to_float};

/// Compares two values. The recursion is as deep as the values nest.
pub(super) fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => arrays(a, b),
        (Value::Record(a), Value::Record(b)) => records(a, b),
        (Value::Big(a), Value::Big(b)) => a.cmp(b),
        _ => match (Number::of(left), Number::of(right)) {
            (Some(a), Some(b)) => numbers(a, b),
            _ => big(left, right)
                .or_else(|| big(right, left).map(Ordering::reverse))
                .unwrap_or_else(|| rank(left).cmp(&rank(right))),
        },
    }
}

/// Compares two numbers if at least one of them is a [`Value::Big`]; otherwise `None`.
fn big(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, Number::of(right)?) {
        (Value::Big(big), Number::Int(number)) => Some(big.cmp_int(number)),
        (Value::Big(big), Number::Float(number)) => Some(big.cmp_float(number)),
        _ => None,
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) | Value::Uint(_) | Value::Float(_) | Value::Big(_) => 2,
        Value::String(_) => 3,
        Value::Bytes(_) => 4,
        Value::Array(_) => 5,
        Value::Record(_) => 6,
    }
}

/// Compares two numbers by value.
pub(super) fn numbers(left: Number, right: Number) -> Ordering {
    match (left, right) {
        (Number::Int(a), Number::Int(b)) => a.cmp(&b),
        // 0.0 and -0.0 are equal.
        (Number::Float(a), Number::Float(b)) => (a + 0.0).total_cmp(&(b + 0.0)),
        (Number::Int(a), Number::Float(b)) => compare_int_to_float(a, b),
        (Number::Float(a), Number::Int(b)) => compare_int_to_float(b, a).reverse(),
    }
}

fn arrays(left: &[Value], right: &[Value]) -> Ordering {
    if std::ptr::eq(left, right) {
        return Ordering::Equal;
    }
    let first = left.iter().zip(right).map(|(a, b)| compare(a, b)).find(|order| order.is_ne());
    first.unwrap_or_else(|| left.len().cmp(&right.len()))
}

/// Compares the pairs of two records sorted by key, so that the order of insertion does not matter.
fn records(left: &Record, right: &Record) -> Ordering {
    if std::ptr::eq(left, right) {
        return Ordering::Equal;
    }
    let (left, right) = (sorted(left), sorted(right));
    let pairs = left.iter().zip(&right);
    let first = pairs.map(|(a, b)| a.0.cmp(b.0).then_with(|| compare(a.1, b.1))).find(|order| order.is_ne());
    first.unwrap_or_else(|| left.len().cmp(&right.len()))
}

fn sorted(record: &Record) -> Vec<(&str, &Value)> {
    let mut pairs: Vec<(&str, &Value)> = record.iter().map(|(key, value)| (&**key, value)).collect();
    pairs.sort_unstable_by_key(|(key, _)| *key);
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_a_total_order() {
        let ascending = r#"[null,false,true,-1e400,-9223372036854775809,-9223372036854775808,-1.5,-1,0,0.5,1,9007199254740992.0,
            9007199254740993,18446744073709551615,18446744073709551616,18446744073709551617,1e300,1e400,"","a","b",[],[1],[1,2],[2],{},{"a":1},{"a":2},{"b":0}]"#;
        let Ok(Value::Array(values)) = Value::from_json(ascending) else { panic!("no array") };
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn numbers_are_compared_exactly() {
        let (int, float) = (Number::Int, Number::Float);
        assert_eq!(numbers(float(-0.0), int(0)), Ordering::Equal);
        assert_eq!(numbers(float(-0.0), float(0.0)), Ordering::Equal);
        assert_eq!(numbers(int(1), float(1.0)), Ordering::Equal);
        assert_eq!(numbers(int(-1), float(-1.5)), Ordering::Greater);
        assert_eq!(numbers(int(i128::from(u64::MAX)), float(18_446_744_073_709_551_616.0)), Ordering::Less);
        assert_eq!(numbers(float(f64::MIN), int(i128::from(i64::MIN))), Ordering::Less);
        assert_eq!(numbers(int(0), float(f64::INFINITY)), Ordering::Less);
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let ab: Value = Value::from_json(r#"{"a":1,"b":2}"#).unwrap();
        let ba: Value = Value::from_json(r#"{"b":2,"a":1}"#).unwrap();
        assert_eq!(compare(&ab, &ba), Ordering::Equal);
    }
}
