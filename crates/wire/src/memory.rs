//! Memory management of queues that are empty most of the time.

use std::collections::VecDeque;

/// Maximum capacity of queues that are freed when empty: an idle session then holds no memory, and small
/// allocations are cheap.
const SHORT: usize = 4;

/// Maximum capacity of queues that keep their memory when empty: a session that works in bursts would
/// otherwise allocate, grow and free them in each burst.
const KEPT: usize = 64;

/// Frees the memory of an empty queue unless it is likely to be needed again soon.
pub fn shrink_if_idle<T>(queue: &mut VecDeque<T>) {
    let capacity = queue.capacity();
    if queue.is_empty() && capacity > 0 && !(SHORT + 1..=KEPT).contains(&capacity) {
        *queue = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_queues_of_middle_length_are_kept() {
        for (capacity, kept) in [(1, false), (4, false), (5, true), (64, true), (65, false)] {
            let mut queue: VecDeque<u8> = VecDeque::with_capacity(capacity);
            shrink_if_idle(&mut queue);
            assert_eq!(queue.capacity() > 0, kept, "{capacity}");
        }
        let mut queue = VecDeque::from([1]);
        shrink_if_idle(&mut queue);
        assert_eq!(queue, [1]);
    }
}
