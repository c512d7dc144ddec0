//! A queue that has one item most of the time, and keeps it without an allocation.

use std::collections::VecDeque;

use crate::memory;

/// A queue, first in, first out. Its only item is in `first`; items that follow are in `rest`.
#[derive(Debug)]
pub(super) struct ShortQueue<T> {
    /// Precedes all items of `rest`.
    first: Option<T>,
    rest: VecDeque<T>,
}

impl<T> ShortQueue<T> {
    pub(super) const fn new() -> Self {
        Self { first: None, rest: VecDeque::new() }
    }

    pub(super) fn push_back(&mut self, item: T) {
        if self.first.is_none() && self.rest.is_empty() {
            self.first = Some(item);
        } else {
            self.rest.push_back(item);
        }
    }

    /// Removes the front item if `is_done` is true for it.
    pub(super) fn pop_front_if(&mut self, is_done: impl FnOnce(&mut T) -> bool) -> Option<T> {
        match &self.first {
            Some(_) => self.first.take_if(is_done),
            None => self.rest.pop_front_if(is_done),
        }
    }

    pub(super) fn front_mut(&mut self) -> Option<&mut T> {
        self.first.as_mut().or_else(|| self.rest.front_mut())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }

    /// Frees the memory of an empty queue unless it is likely to be needed again soon.
    pub(super) fn shrink_if_idle(&mut self) {
        memory::shrink_if_idle(&mut self.rest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The queue is the same as a `VecDeque`.
        #[test]
        fn items_leave_in_their_order(pushes in proptest::collection::vec(any::<bool>(), 0..60)) {
            let (mut queue, mut model) = (ShortQueue::new(), VecDeque::new());
            for (item, pushes) in pushes.into_iter().enumerate() {
                if pushes {
                    queue.push_back(item);
                    model.push_back(item);
                } else {
                    let is_done = |front: &mut usize| *front % 3 != item % 3;
                    prop_assert_eq!(queue.pop_front_if(is_done), model.pop_front_if(is_done));
                }
                prop_assert_eq!(queue.front_mut(), model.front_mut());
                prop_assert!(queue.iter().eq(&model));
            }
        }
    }

    #[test]
    fn a_single_item_takes_no_allocation() {
        let mut queue = ShortQueue::new();
        for item in 0..9 {
            queue.push_back(item);
            assert_eq!((queue.rest.capacity(), queue.pop_front_if(|_| true)), (0, Some(item)));
        }
        (0..3).for_each(|item| queue.push_back(item));
        while queue.pop_front_if(|_| true).is_some() {}
        queue.shrink_if_idle();
        assert_eq!(queue.rest.capacity(), 0);
    }
}
