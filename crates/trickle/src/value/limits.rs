//! Limits on the cost of an event and on the size of a value.

use towline_event::Value;

/// Maximum number of steps of one event. Operators, cases, statements, nodes and calls take steps, and so
/// does building values, by size. A step takes well below a microsecond, so an event occupies a worker thread
/// for less than a second. Ordinary programs use far fewer.
pub(crate) const STEPS_MAX: u32 = 1_000_000;

/// Maximum number of tail calls of a function, as in the reference system.
const RECURSION_MAX: u32 = 1_024;

/// Maximum number of messages that one event may produce inside a program, because nested streams multiply
/// messages.
pub(crate) const MESSAGES_MAX: usize = 4_096;

/// Maximum nesting of a value that a program builds, the same as for the JSON parser of the codecs. Without
/// this limit, `let state = [state]` would grow until dropping it overflows the stack.
pub(crate) const DEPTH_MAX: u32 = 127;

/// Maximum size of a value that a program builds, in bytes, estimated as the length of its JSON. A shared
/// part counts each time it occurs. The limit is 16 times the maximum message size of the default settings.
pub(crate) const SIZE_MAX: usize = 16 << 20;

/// The number of steps for compiling a regular expression.
const COMPILE_STEPS: u32 = 20_000;

/// Maximum total size of a program's compiled expressions, in bytes: about half a second of compilation, several thousand
/// small expressions or a hundred large ones.
const COMPILED_MAX: usize = 64 << 20;

/// Limits on the cost of one event in a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of steps: operators, cases, statements, calls, and built values by size.
    pub max_steps: u32,
    /// Maximum number of `recur` calls of a function, counted from its first call; at this number it fails.
    pub max_recursion: u32,
    /// Maximum size of a value that the program builds, in bytes, estimated as the length of its JSON.
    pub max_value: usize,
    /// Limits on regular expressions, whose time depends on more than the length of the text.
    pub search: SearchLimits,
}

/// Limits on regular expressions, and on extractors that are made of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchLimits {
    /// Maximum length of a text that is searched, in bytes; for a longer one, the expression fails. Finding all matches
    /// takes quadratic time, and some expressions take a few microseconds for each byte.
    pub max_text: usize,
    /// The number of steps for compiling an expression that a function gets as an argument. It takes up to about 15
    /// milliseconds.
    pub compile_steps: u32,
    /// Maximum total size of the expressions of a program's extractors when compiled, in bytes.
    pub max_compiled: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let search =
            SearchLimits { max_text: usize::MAX, compile_steps: COMPILE_STEPS, max_compiled: COMPILED_MAX };
        Self { max_steps: STEPS_MAX, max_recursion: RECURSION_MAX, max_value: SIZE_MAX, search }
    }
}

/// Size counted for a value without text, in bytes.
const SIZE_OF_ITEM: usize = 8;

/// The limit that a value exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LimitExceeded {
    #[error("the value nests deeper than {DEPTH_MAX} levels")]
    Deep,
    #[error("the value is larger than {}", Size(*.0))]
    Large(usize),
    #[error("the text is longer than the {} that regular expressions search here", Size(*.0))]
    Searched(usize),
}

/// A number of bytes, displayed in the largest unit that divides it.
pub(crate) struct Size(pub(crate) usize);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            bytes if bytes % (1 << 20) == 0 => write!(f, "{} MiB", bytes >> 20),
            bytes if bytes % (1 << 10) == 0 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{bytes} bytes"),
        }
    }
}

/// The size of a value in bytes, estimated as the length of its JSON. Fails if it exceeds `max` bytes, or if
/// the value nests too deeply when stored `depth` levels deep.
pub(crate) fn measure(value: &Value, depth: usize, max: usize) -> Result<usize, LimitExceeded> {
    let mut size = 0;
    add(value, u32::try_from(depth).unwrap_or(u32::MAX), &mut size, max)?;
    Ok(size)
}

fn add(value: &Value, depth: u32, size: &mut usize, max: usize) -> Result<(), LimitExceeded> {
    *size += SIZE_OF_ITEM;
    match value {
        Value::String(text) => *size += text.len(),
        Value::Big(number) => *size += number.as_str().len(),
        Value::Bytes(bytes) => *size += bytes.len(),
        Value::Array(_) | Value::Record(_) if depth >= DEPTH_MAX => return Err(LimitExceeded::Deep),
        Value::Array(items) => {
            for item in items.iter() {
                add(item, depth + 1, size, max)?;
            }
        }
        Value::Record(record) => {
            for (key, item) in record.iter() {
                *size += key.len();
                add(item, depth + 1, size, max)?;
            }
        }
        _ => {}
    }
    if *size > max { Err(LimitExceeded::Large(max)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_and_shared_parts_are_measured() {
        let mut deep = Value::Null;
        let mut wide = Value::string("0123456789");
        for level in 0..130 {
            assert_eq!(measure(&deep, 0, SIZE_MAX).is_ok(), level <= DEPTH_MAX, "{level}");
            deep = Value::array(vec![deep]);
        }
        for _ in 0..60 {
            wide = Value::array(vec![wide.clone(), wide]);
        }
        assert_eq!(measure(&deep, 0, SIZE_MAX), Err(LimitExceeded::Deep));
        assert_eq!(measure(&wide, 0, SIZE_MAX), Err(LimitExceeded::Large(SIZE_MAX)));
        assert_eq!(measure(&Value::array(vec![]), 127, SIZE_MAX), Err(LimitExceeded::Deep));
        assert_eq!(LimitExceeded::Large(SIZE_MAX).to_string(), "the value is larger than 16 MiB");
    }
}
