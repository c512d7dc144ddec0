//! The masking keys of a thread, drawn in blocks.
//!
//! A key must not be predictable (RFC 6455 section 10.3). The generator is as costly for one key as for many, and a
//! burst of small messages needs one for each of them.

use std::cell::RefCell;

/// Number of keys drawn at once.
const BLOCK: usize = 64;

/// Masking keys that were drawn and not used.
#[derive(Debug)]
pub(super) struct Keys {
    drawn: [u32; BLOCK],
    /// Number of keys that are left, at the front.
    left: usize,
}

thread_local! {
    static KEYS: RefCell<Keys> = const { RefCell::new(Keys { drawn: [0; BLOCK], left: 0 }) };
}

impl Keys {
    /// The next masking key. Each is used once.
    #[inline]
    pub(super) fn next(&mut self) -> [u8; 4] {
        if self.left == 0 {
            rand::fill(&mut self.drawn);
            self.left = BLOCK;
        }
        self.left -= 1;
        self.drawn[self.left].to_ne_bytes()
    }
}

/// Lends the thread's keys.
#[inline]
pub(super) fn with_keys<R>(use_keys: impl FnOnce(&mut Keys) -> R) -> R {
    KEYS.with_borrow_mut(use_keys)
}

/// The next masking key.
pub(super) fn next() -> [u8; 4] {
    with_keys(Keys::next)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Two of 200 random keys are equal in one of 200,000 runs, and three in fewer than one of a million million.
    #[test]
    fn keys_are_not_used_again() {
        let keys: HashSet<_> = (0..200).map(|_| next()).collect();
        assert!(keys.len() >= 198, "{}", keys.len());
    }
}
