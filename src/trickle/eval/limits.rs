//! How much one event may cost, and how large a value may become.

use crate::event::Value;

/// Steps of one event: operators, cases, statements, nodes. A step takes well below a microsecond, so
/// an event holds its worker for less than a second, and no honest program comes near.
pub(crate) const STEPS_MAX: u32 = 1_000_000;

/// Messages that one event may become on its way: streams that fan out multiply.
pub(crate) const MESSAGES_MAX: usize = 4_096;

/// How deep a value that a program builds may nest: as deep as the JSON parser of the codecs reads.
/// Without a bound `let state = [state]` would grow until dropping it overflows the stack.
pub(crate) const DEPTH_MAX: u32 = 127;

/// How large a value that a program builds may be, counted as its JSON might be long: a shared part
/// counts as often as it is written. 16 times the largest message of the default settings.
pub(crate) const SIZE_MAX: usize = 16 << 20;

/// What a value without text counts.
const SIZE_OF_ITEM: usize = 8;

/// Why a value may not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooMuch {
    #[error("the value nests deeper than {DEPTH_MAX} levels")]
    Deep,
    #[error("the value is larger than {} MiB", SIZE_MAX >> 20)]
    Large,
}

/// The size of a value, if it is within bounds when put `depth` levels deep.
pub(crate) fn measure(value: &Value, depth: usize) -> Result<usize, TooMuch> {
    let mut size = 0;
    add(value, u32::try_from(depth).unwrap_or(u32::MAX), &mut size)?;
    Ok(size)
}

fn add(value: &Value, depth: u32, size: &mut usize) -> Result<(), TooMuch> {
    *size += SIZE_OF_ITEM;
    match value {
        Value::String(text) => *size += text.len(),
        Value::Bytes(bytes) => *size += bytes.len(),
        Value::Array(_) | Value::Record(_) if depth >= DEPTH_MAX => return Err(TooMuch::Deep),
        Value::Array(items) => {
            for item in items.iter() {
                add(item, depth + 1, size)?;
            }
        }
        Value::Record(record) => {
            for (key, item) in record.iter() {
                *size += key.len();
                add(item, depth + 1, size)?;
            }
        }
        _ => {}
    }
    if *size > SIZE_MAX { Err(TooMuch::Large) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_and_shared_values_are_found_out() {
        let mut deep = Value::Null;
        let mut wide = Value::string("0123456789");
        for level in 0..130 {
            assert_eq!(measure(&deep, 0).is_ok(), level <= DEPTH_MAX, "{level}");
            deep = Value::array(vec![deep]);
        }
        for _ in 0..60 {
            wide = Value::array(vec![wide.clone(), wide]);
        }
        assert_eq!(measure(&deep, 0), Err(TooMuch::Deep));
        assert_eq!(measure(&wide, 0), Err(TooMuch::Large));
        assert_eq!(measure(&Value::array(vec![]), 127), Err(TooMuch::Deep));
        assert_eq!(TooMuch::Large.to_string(), "the value is larger than 16 MiB");
    }
}
