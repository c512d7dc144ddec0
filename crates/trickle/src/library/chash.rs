//! The functions of `tremor::chash`: consistent hashing, for spreading keys over slots.

use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher13;

use super::{Arity::Exactly, Call, Function, Outcome, call::Text};
use crate::value::number::whole;
use towline_event::Value;

/// The hash keys of `jump` in Tremor, so that both assign the same slots: "tremor", padded to eight bytes at
/// the end and at the beginning.
const KEYS: (u64, u64) = (8_390_880_576_440_238_080, 128_034_676_764_530);

pub(super) static FUNCTIONS: &[Function] = &[
    Function::pure(
        "tremor::chash::jump",
        Exactly(2),
        jump,
        "the slot of a string, given the number of slots",
    ),
    Function::pure(
        "tremor::chash::jump_with_keys",
        Exactly(4),
        jump_with_keys,
        "the same, with two integers that seed the hash as the first arguments",
    ),
    Function::pure(
        "tremor::chash::sorted_serialize",
        Exactly(1),
        sorted_serialize,
        "a value as JSON text with sorted keys",
    ),
];

fn jump(call: &Call<'_>) -> Outcome {
    slot(call, KEYS, 0)
}

fn jump_with_keys(call: &Call<'_>) -> Outcome {
    // Negative integers are reinterpreted as unsigned 64-bit integers.
    let keys = (call.integer(0)? as u64, call.integer(1)? as u64);
    slot(call, keys, 2)
}

/// The slot of the string at argument `first`. The argument after it is the number of slots.
fn slot(call: &Call<'_>, (k1, k2): (u64, u64), first: usize) -> Outcome {
    let text = call.string(first)?;
    call.read(text.len())?;
    let count = call.integer(first + 1)?;
    let Some(slots) = u32::try_from(count).ok().filter(|slots| *slots > 0) else {
        return Err(call.not(first + 1, "an integer from 1 to 4294967295", &count));
    };
    let mut hasher = SipHasher13::new_with_keys(k1, k2);
    text.hash(&mut hasher);
    whole(slot_of(hasher.finish(), slots).into()).ok_or_else(|| call.fail("no slot"))
}

/// The jump consistent hash by J. Lamping and E. Veach, <https://arxiv.org/abs/1406.2294>. The loop runs a
/// few dozen times at most, for any number of slots.
fn slot_of(mut key: u64, slots: u32) -> i64 {
    let (mut slot, mut next) = (0, 0_i64);
    while next < i64::from(slots) {
        slot = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let step = (1_u64 << 31) as f64 / ((key >> 33) + 1) as f64;
        next = ((slot + 1) as f64 * step) as i64;
    }
    slot
}

fn sorted_serialize(call: &Call<'_>) -> Outcome {
    let mut text = call.text();
    push_sorted(call, call.any(0), &mut text)?;
    text.finish()
}

fn push_sorted(call: &Call<'_>, value: &Value, text: &mut Text<'_, '_>) -> Result<(), String> {
    match value {
        Value::Array(items) => {
            call.walk(items.len())?;
            text.push("[")?;
            for (at, item) in items.iter().enumerate() {
                text.push(if at == 0 { "" } else { "," })?;
                push_sorted(call, item, text)?;
            }
            text.push("]")
        }
        Value::Record(record) => {
            call.build(record.len())?;
            let mut pairs: Vec<_> = record.iter().collect();
            pairs.sort_unstable_by_key(|(key, _)| *key);
            text.push("{")?;
            for (at, (key, value)) in pairs.into_iter().enumerate() {
                text.push(if at == 0 { "" } else { "," })?;
                text.push_json(&Value::String(key.clone()), false)?;
                text.push(":")?;
                push_sorted(call, value, text)?;
            }
            text.push("}")
        }
        scalar => text.push_json(scalar, false),
    }
}

#[cfg(test)]
pub(super) const CASES: &[super::tests::Case] = &[
    ("tremor::chash::jump", r#"["key2", 5]"#, "1"),
    ("tremor::chash::jump", r#"["key", 1]"#, "0"),
    (
        "tremor::chash::jump",
        r#"["key", 0]"#,
        "error: tremor::chash::jump takes an integer from 1 to 4294967295 as its second argument, not 0",
    ),
    (
        "tremor::chash::jump",
        r#"["key", -1]"#,
        "error: tremor::chash::jump takes an integer from 1 to 4294967295 as its second argument, not -1",
    ),
    (
        "tremor::chash::jump",
        "[1, 2]",
        "error: tremor::chash::jump takes a string as its first argument, not an integer",
    ),
    ("tremor::chash::jump", "[]", "error: tremor::chash::jump takes 2 arguments, not 0"),
    ("tremor::chash::jump_with_keys", r#"[1, -1, "key", 1]"#, "0"),
    ("tremor::chash::jump_with_keys", r#"[1, 2, "key1", 1000]"#, "284"),
    ("tremor::chash::jump_with_keys", "[]", "error: tremor::chash::jump_with_keys takes 4 arguments, not 0"),
    (
        "tremor::chash::sorted_serialize",
        r#"[{"1":[2,1],"0":{"5":0,"3":4}}]"#,
        r#""{\"0\":{\"3\":4,\"5\":0},\"1\":[2,1]}""#,
    ),
    ("tremor::chash::sorted_serialize", r#"["a\"b"]"#, r#""\"a\\\"b\"""#),
    ("tremor::chash::sorted_serialize", "[[]]", r#""[]""#),
    ("tremor::chash::sorted_serialize", "[{}]", r#""{}""#),
    (
        "tremor::chash::sorted_serialize",
        "[]",
        "error: tremor::chash::sorted_serialize takes 1 argument, not 0",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Test vectors of "A Fast, Minimal Memory, Consistent Hash Algorithm" (Lamping, Veach), which several
    /// implementations share.
    #[test]
    fn slots_match_other_implementations() {
        for (key, slots, slot) in [
            (0, 1, 0),
            (42, 57, 43),
            (256, 1024, 520),
            (0xdead_10cc, 666, 361),
            (128, 100_000_000, 38_172_097),
            (u64::MAX, 128, 92),
            (10_863_919_174_838_991, 11, 6),
            (2_016_238_256_797_177_309, 11, 3),
            (2, 100_001, 80_343),
        ] {
            assert_eq!(slot_of(key, slots), slot, "{key} {slots}");
        }
    }

    #[test]
    fn a_new_slot_moves_keys_only_to_itself() {
        for key in 0..2_000_u64 {
            let key = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let (before, after) = (slot_of(key, 10), slot_of(key, 11));
            assert!(after == before || after == 10, "{key}: {before} {after}");
        }
    }

    /// The keys are the eight bytes `tremor\0\0` and `\0\0tremor`.
    #[test]
    fn the_keys_are_those_of_tremor() {
        assert_eq!(KEYS, (u64::from_be_bytes(*b"tremor\0\0"), u64::from_be_bytes(*b"\0\0tremor")));
    }
}
