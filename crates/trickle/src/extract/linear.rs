//! Tests that extractors run in linear time for any format and text. With quadratic time, they would take
//! minutes.

use std::time::Instant;

use super::tests::found;

/// A piece of the text is not searched for a longer separator.
#[test]
fn kv_with_many_separators() {
    let long = "-".repeat(1 << 16);
    let others: String = ('a'..='n').map(|sign| format!(";{long}{sign}%{{key}}=%{{val}}")).collect();
    let format = format!("%{{key}}=%{{val}} %{{key}}=%{{val}}{others}");
    let start = Instant::now();
    assert_eq!(found("kv", &format, &"x=1 ".repeat(1 << 18)), r#"{"x":"1"}"#);
    assert!(start.elapsed().as_secs() < 10);
}

/// Fields of many parts are not copied repeatedly, and a missing literal is searched only once.
#[test]
fn dissect_with_many_parts() {
    let long = "x".repeat(4 << 20);
    let start = Instant::now();
    let sum = format!("%{{a}}{}", " %{+a}".repeat(40_000));
    assert!(found("dissect", &sum, &(long.clone() + &" y".repeat(40_000))).len() > long.len());
    let padded = format!("%{{a}}{}", ",%{}%{_(-)}".repeat(40_000));
    assert_eq!(found("dissect", &padded, &(",".repeat(40_000) + &long)), r#"{"a":""}"#);
    assert!(start.elapsed().as_secs() < 10);
}
