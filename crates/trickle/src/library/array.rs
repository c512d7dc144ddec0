//! The functions of `std::array`.

use super::{Arity::Exactly, Call, Function, Outcome, order};
use crate::value::describe::article;
use towline_event::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure("std::array::len", Exactly(1), len, "the number of elements of an array"),
    Function::pure("std::array::is_empty", Exactly(1), is_empty, "whether an array has no elements"),
    Function::pure("std::array::contains", Exactly(2), contains, "whether an array contains a value"),
    Function::pure("std::array::push", Exactly(2), push, "the array with a value appended"),
    Function::pure(
        "std::array::zip",
        Exactly(2),
        zip,
        "the pairs of elements of two arrays of the same length",
    ),
    Function::pure(
        "std::array::unzip",
        Exactly(1),
        unzip,
        "two arrays, of the first and of the second elements of an array of pairs",
    ),
    Function::pure("std::array::flatten", Exactly(1), flatten, "the array with all nested arrays flattened"),
    Function::pure("std::array::coalesce", Exactly(1), coalesce, "the array without its null elements"),
    Function::pure("std::array::join", Exactly(2), join, "the elements joined to a string with a separator"),
    Function::pure("std::array::sort", Exactly(1), sort, "the elements in ascending order"),
    Function::pure("std::array::reverse", Exactly(1), reverse, "the elements in reverse order"),
    Function::pure(
        "std::array::concatenate",
        Exactly(2),
        concatenate,
        "the elements of two arrays in one array",
    ),
];

fn len(call: &Call<'_>) -> Outcome {
    Ok(Value::from(call.array(0)?.len() as u64))
}

fn is_empty(call: &Call<'_>) -> Outcome {
    Ok(Value::Bool(call.array(0)?.is_empty()))
}

fn contains(call: &Call<'_>) -> Outcome {
    let items = call.array(0)?;
    call.walk(items.len())?;
    Ok(Value::Bool(items.contains(call.any(1))))
}

fn push(call: &Call<'_>) -> Outcome {
    let items = call.array(0)?;
    call.build(items.len() + 1)?;
    Ok(Value::array(items.iter().chain([call.any(1)]).cloned().collect()))
}

fn zip(call: &Call<'_>) -> Outcome {
    let (left, right) = (call.array(0)?, call.array(1)?);
    if left.len() != right.len() {
        let (left, right) = (left.len(), right.len());
        return Err(call.fail(format_args!("the arrays have different lengths, {left} and {right}")));
    }
    // Each pair is an array of two elements inside the array of pairs.
    call.build(left.len().saturating_mul(3))?;
    let pairs = left.iter().zip(right).map(|(a, b)| Value::array(vec![a.clone(), b.clone()]));
    Ok(Value::array(pairs.collect()))
}

fn unzip(call: &Call<'_>) -> Outcome {
    let pairs = call.array(0)?;
    call.build(pairs.len().saturating_mul(2))?;
    let (mut left, mut right) = (Vec::with_capacity(pairs.len()), Vec::with_capacity(pairs.len()));
    for pair in pairs {
        let (first, second) = pair_of(call, pair)?;
        left.push(first.clone());
        right.push(second.clone());
    }
    Ok(Value::array(vec![Value::array(left), Value::array(right)]))
}

/// The two elements of a pair; an error if `pair` is not an array of two elements.
pub(super) fn pair_of<'v>(call: &Call<'_>, pair: &'v Value) -> Result<(&'v Value, &'v Value), String> {
    let Value::Array(items) = pair else {
        return Err(call.not(0, "an array of pairs", &format_args!("one with {}", article(pair))));
    };
    match &items[..] {
        [first, second] => Ok((first, second)),
        other => {
            let found = format!("one with an array of length {}", other.len());
            Err(call.not(0, "an array of pairs", &found))
        }
    }
}

/// Flattens nested arrays at any depth. A value that is not an array becomes an array with one element.
fn flatten(call: &Call<'_>) -> Outcome {
    let mut flat = Vec::new();
    let mut open = vec![std::slice::from_ref(call.any(0)).iter()];
    while let Some(items) = open.last_mut() {
        call.walk(1)?;
        match items.next() {
            None => drop(open.pop()),
            Some(Value::Array(inner)) => open.push(inner.iter()),
            Some(item) => {
                call.room((flat.len() + 1).saturating_mul(size_of::<Value>()))?;
                flat.push(item.clone());
            }
        }
    }
    Ok(Value::array(flat))
}

fn coalesce(call: &Call<'_>) -> Outcome {
    let items = call.array(0)?;
    call.build(items.len())?;
    Ok(Value::array(items.iter().filter(|item| !matches!(item, Value::Null)).cloned().collect()))
}

fn join(call: &Call<'_>) -> Outcome {
    let (items, separator) = (call.array(0)?, call.string(1)?);
    call.walk(items.len())?;
    let mut text = call.text();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(separator)?;
        }
        text.push_value(item)?;
    }
    text.finish()
}

fn sort(call: &Call<'_>) -> Outcome {
    let items = call.array(0)?;
    let rounds = items.len().checked_ilog2().unwrap_or(0) as usize + 1;
    call.walk(items.len().saturating_mul(rounds))?;
    call.build(items.len())?;
    let mut sorted = items.to_vec();
    sorted.sort_by(order::compare);
    Ok(Value::array(sorted))
}

fn reverse(call: &Call<'_>) -> Outcome {
    let items = call.array(0)?;
    call.build(items.len())?;
    Ok(Value::array(items.iter().rev().cloned().collect()))
}

fn concatenate(call: &Call<'_>) -> Outcome {
    let (left, right) = (call.array(0)?, call.array(1)?);
    call.build(left.len().saturating_add(right.len()))?;
    Ok(Value::array([left, right].concat()))
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("std::array::len", "[[]]", "0"),
    ("std::array::len", "[[1,[2,3]]]", "2"),
    ("std::array::len", "[1]", "error: std::array::len takes an array, not an integer"),
    ("std::array::len", "[]", "error: std::array::len takes 1 argument, not 0"),
    ("std::array::is_empty", "[[]]", "true"),
    ("std::array::is_empty", "[[null]]", "false"),
    ("std::array::is_empty", "[null]", "error: std::array::is_empty takes an array, not null"),
    ("std::array::contains", r#"[["a",{"b":1}],{"b":1.0}]"#, "true"),
    ("std::array::contains", "[[],null]", "false"),
    (
        "std::array::contains",
        r#"["abc","a"]"#,
        "error: std::array::contains takes an array as its first argument, not a string",
    ),
    ("std::array::push", "[[],[]]", "[[]]"),
    ("std::array::push", r#"[[1],"é"]"#, r#"[1,"é"]"#),
    (
        "std::array::push",
        r#"[{},1]"#,
        "error: std::array::push takes an array as its first argument, not a record",
    ),
    ("std::array::push", "[[]]", "error: std::array::push takes 2 arguments, not 1"),
    ("std::array::zip", r#"[[1,2],["a","b"]]"#, r#"[[1,"a"],[2,"b"]]"#),
    ("std::array::zip", "[[],[]]", "[]"),
    ("std::array::zip", "[[1],[]]", "error: std::array::zip: the arrays have different lengths, 1 and 0"),
    (
        "std::array::zip",
        "[[1],1]",
        "error: std::array::zip takes an array as its second argument, not an integer",
    ),
    ("std::array::unzip", r#"[[[1,"a"],[2,"b"]]]"#, r#"[[1,2],["a","b"]]"#),
    ("std::array::unzip", "[[]]", "[[],[]]"),
    (
        "std::array::unzip",
        "[[[1,2],[3]]]",
        "error: std::array::unzip takes an array of pairs, not one with an array of length 1",
    ),
    (
        "std::array::unzip",
        "[[true]]",
        "error: std::array::unzip takes an array of pairs, not one with a boolean",
    ),
    ("std::array::flatten", "[[1,[2,[3,[]]],[4]]]", "[1,2,3,4]"),
    ("std::array::flatten", "[[[[[]]]]]", "[]"),
    ("std::array::flatten", r#"[{"a":[1]}]"#, r#"[{"a":[1]}]"#),
    ("std::array::flatten", "[]", "error: std::array::flatten takes 1 argument, not 0"),
    ("std::array::coalesce", "[[1,null,2,null]]", "[1,2]"),
    ("std::array::coalesce", "[[null,[null]]]", "[[null]]"),
    ("std::array::coalesce", "[null]", "error: std::array::coalesce takes an array, not null"),
    ("std::array::join", r#"[["this","is","a","cake"]," "]"#, r#""this is a cake""#),
    ("std::array::join", r#"[[1,2.5,null,["a"]],", "]"#, r#""1, 2.5, null, [\"a\"]""#),
    ("std::array::join", r#"[[],"-"]"#, r#""""#),
    (
        "std::array::join",
        "[[1],2]",
        "error: std::array::join takes a string as its second argument, not an integer",
    ),
    ("std::array::sort", "[[3,2,3.5,1,-4]]", "[-4,1,2,3,3.5]"),
    ("std::array::sort", r#"[["b",1,null,"a",[0],true]]"#, r#"[null,true,1,"a","b",[0]]"#),
    ("std::array::sort", "[[]]", "[]"),
    ("std::array::sort", r#"["cab"]"#, "error: std::array::sort takes an array, not a string"),
    ("std::array::reverse", "[[1,[2,3]]]", "[[2,3],1]"),
    ("std::array::reverse", "[[]]", "[]"),
    ("std::array::reverse", r#"["abc"]"#, "error: std::array::reverse takes an array, not a string"),
    ("std::array::concatenate", "[[1],[2,1]]", "[1,2,1]"),
    ("std::array::concatenate", "[[],[]]", "[]"),
    (
        "std::array::concatenate",
        "[[],{}]",
        "error: std::array::concatenate takes an array as its second argument, not a record",
    ),
];
