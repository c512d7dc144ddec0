//! The masking keys of a thread, drawn in blocks.
//!
//! A key must not be predictable (RFC 6455 section 10.3). The generator is as costly for one key as for many, and a
//! burst of small messages needs one for each of them.

use std::cell::RefCell;

/// Number of keys drawn at once.
const BLOCK: usize = 16;

thread_local! {
    /// The keys, and how many of them are left.
    static KEYS: RefCell<([[u8; 4]; BLOCK], usize)> = const { RefCell::new(([[0; 4]; BLOCK], 0)) };
}

/// The next masking key. Each is used once.
#[inline]
pub(super) fn next() -> [u8; 4] {
    KEYS.with_borrow_mut(|(keys, left)| {
        if *left == 0 {
            (*keys, *left) = (rand::random(), BLOCK);
        }
        *left -= 1;
        keys[*left]
    })
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
