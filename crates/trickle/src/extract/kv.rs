//! The extractor `kv`: key-value pairs, such as `a:1 b:2`.
//!
//! The format has the separator within a pair and the separator between pairs: `%{key}=%{val}` matches
//! `a=1 b=2`, and `%{key}=>%{val}, ` matches `a=>1, b=>2`. There may be several of each:
//! `%{key}=%{val},%{key}:%{val};`. Without a format, keys end at a colon and pairs at a space.

use super::escapes::escapes;
use towline_event::{Record, Value};

const KEY: &str = "%{key}";
const VAL: &str = "%{val}";

/// Maximum number of separators of both sorts together, because the text is scanned once for each of them.
const SEPARATORS_MAX: usize = 32;

/// The separators within and between pairs. No separator contains another. If two overlap in a text, the one
/// listed first counts.
#[derive(Debug)]
pub(super) struct Kv {
    within_pair: Vec<String>,
    between_pairs: Vec<String>,
}

impl Kv {
    pub(super) fn compile(format: &str) -> Result<Self, String> {
        let mut kv = Self { within_pair: Vec::new(), between_pairs: Vec::new() };
        let mut rest = format;
        while !rest.is_empty() {
            rest = match rest.strip_prefix(KEY) {
                Some(after_key) => {
                    let (separator, rest) = after_key.split_once(VAL).ok_or("needs a %{val} after %{key}")?;
                    add(&mut kv.within_pair, separator)?;
                    rest
                }
                None => {
                    let (separator, pair) = rest.split_at(rest.find(KEY).unwrap_or(rest.len()));
                    known(separator)?;
                    add(&mut kv.between_pairs, separator)?;
                    pair
                }
            };
            if kv.within_pair.len() + kv.between_pairs.len() > SEPARATORS_MAX {
                return Err(format!("has more than {SEPARATORS_MAX} separators"));
            }
        }
        for (list, default) in [(&mut kv.within_pair, ":"), (&mut kv.between_pairs, " ")] {
            if list.is_empty() {
                list.push(default.to_owned());
            }
            list.sort();
        }
        kv.check()
    }

    /// Checks that the separators are unambiguous.
    fn check(self) -> Result<Self, String> {
        let all = || self.within_pair.iter().chain(&self.between_pairs);
        for (at, one) in all().enumerate() {
            let within =
                |(other_at, other): &(usize, &String)| *other_at != at && other.contains(one.as_str());
            match all().enumerate().find(within) {
                Some((_, other)) if other == one => {
                    return Err(format!("cannot have {one:?} both within and between pairs"));
                }
                Some((_, other)) => {
                    return Err(format!(
                        "cannot have the separators {one:?} and {other:?}: one contains the other"
                    ));
                }
                None => {}
            }
        }
        Ok(self)
    }

    /// The pairs as a record, such as `{"a":"1"}`; `None` if there is no pair. Pieces that are not pairs are
    /// skipped.
    pub(super) fn extract(&self, text: &str) -> Option<Value> {
        let mut record = Record::new();
        split(text, &self.between_pairs, &mut |pair| {
            let (mut parts, mut count) = ([""; 2], 0);
            split(pair, &self.within_pair, &mut |part| {
                if let Some(place) = parts.get_mut(count) {
                    *place = part;
                }
                count += 1;
            });
            if count == 2 {
                record.insert(parts[0].into(), Value::string(parts[1]));
            }
        });
        (!record.is_empty()).then(|| Value::Record(record.into()))
    }
}

/// Adds a separator, unless it is empty or listed already.
fn add(list: &mut Vec<String>, separator: &str) -> Result<(), String> {
    let separator = escapes(separator)?;
    if !separator.is_empty() && !list.contains(&separator) {
        list.push(separator);
    }
    Ok(())
}

/// Refuses a separator that contains something like a field name, which is likely a mistake.
fn known(separator: &str) -> Result<(), String> {
    if separator.contains(VAL) {
        return Err("takes %{key} and %{val} alternately, as in %{key}=%{val}".to_owned());
    }
    let names = separator.split("%{").skip(1).filter_map(|rest| rest.split_once('}'));
    match names.into_iter().any(|(name, _)| name.chars().all(|sign| sign.is_alphanumeric() || sign == '_')) {
        true => Err("knows %{key} and %{val} only".to_owned()),
        false => Ok(()),
    }
}

/// Calls `piece` with every piece of a text between separators. Each separator splits the pieces that the
/// earlier ones left.
///
/// The split builds no list, so it needs no memory. A piece shorter than the separator is not searched, so
/// the time for each separator is at most linear in the text.
fn split<'t>(text: &'t str, separators: &[String], piece: &mut dyn FnMut(&'t str)) {
    match separators.split_first() {
        None => piece(text),
        Some((first, rest)) if first.len() > text.len() => split(text, rest, piece),
        Some((first, rest)) => text.split(first.as_str()).for_each(|part| split(part, rest, piece)),
    }
}
