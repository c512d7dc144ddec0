//! `kv`: pairs of key and value, `a:1 b:2`.
//!
//! The format names the signs between key and value, and between pairs: `%{key}=%{val}` is `a=1 b=2`, and
//! `%{key}=%{val};%{key}` is `a=1;b=2`. There may be several of each: `%{key}=%{val},%{key}:%{val};`. Without
//! a format keys end at a colon and pairs at a space.

use crate::event::{Record, Value};

/// Where keys and pairs end.
#[derive(Debug)]
pub(super) struct Kv {
    between: Vec<char>,
    behind: Vec<char>,
}

impl Kv {
    pub(super) fn compile(format: &str) -> Result<Self, String> {
        let mut kv = Self { between: Vec::new(), behind: Vec::new() };
        let mut rest = format;
        let mut last = "";
        while !rest.is_empty() {
            let (signs, token, behind) = split(rest)?;
            match (last, token) {
                ("%{key}", "%{val}") if signs.is_empty() => {
                    return Err("needs a sign between %{key} and %{val}".to_owned());
                }
                ("%{key}", "%{val}") => kv.between.extend(signs.chars()),
                ("" | "%{val}", "%{key}" | "") => kv.behind.extend(signs.chars()),
                _ => return Err("takes %{key} and %{val} in turns, as in %{key}=%{val}".to_owned()),
            }
            (last, rest) = (token, behind);
        }
        if last == "%{key}" && kv.between.is_empty() {
            return Err("needs a %{val} behind %{key}".to_owned());
        }
        if kv.between.is_empty() {
            kv.between.push(':');
        }
        if kv.behind.is_empty() {
            kv.behind.push(' ');
        }
        match kv.between.iter().find(|sign| kv.behind.contains(sign)) {
            Some(sign) => Err(format!("cannot have {sign:?} both within and between pairs")),
            None => Ok(kv),
        }
    }

    /// `{"a":"1"}`; none when there is no pair. What is no pair is left out.
    pub(super) fn extract(&self, text: &str) -> Option<Value> {
        let pairs = text.split(|sign| self.behind.contains(&sign)).filter_map(|pair| {
            let (key, value) = pair.split_once(|sign| self.between.contains(&sign))?;
            let one = !value.contains(|sign| self.between.contains(&sign));
            one.then(|| (key.into(), Value::string(value)))
        });
        let record: Record = pairs.collect();
        (!record.is_empty()).then(|| Value::Record(record.into()))
    }
}

/// The signs before the next `%{…}`, that, and the rest.
fn split(format: &str) -> Result<(&str, &str, &str), String> {
    let Some(at) = format.find("%{") else { return Ok((format, "", "")) };
    let (signs, rest) = format.split_at(at);
    for token in ["%{key}", "%{val}"] {
        if let Some(behind) = rest.strip_prefix(token) {
            return Ok((signs, token, behind));
        }
    }
    Err("knows %{key} and %{val} only".to_owned())
}
