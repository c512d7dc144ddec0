//! The configuration in force, which can be replaced while the process runs.
//!
//! A connection uses the configuration that is in force when it is accepted, and its session keeps that
//! configuration to the end. A configuration is freed when the last of its sessions has ended.

use std::{
    mem,
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tokio::sync::watch;

/// The configuration in force, and the count of those that are still in use.
#[derive(Debug)]
pub struct Configurations<T> {
    current: watch::Sender<Arc<Configuration<T>>>,
    /// Held while a configuration is replaced, so that each one is made from the one before.
    replacing: Mutex<()>,
    alive: Arc<AtomicUsize>,
}

/// The settings that were in force at a time, with their number, counted from 1.
#[derive(Debug)]
pub struct Configuration<T> {
    number: u64,
    content: T,
    _alive: Alive,
}

/// A guard that counts a configuration as in use.
#[derive(Debug)]
struct Alive(Arc<AtomicUsize>);

// === impl Configurations ===

impl<T> Configurations<T> {
    /// Puts the first configuration in force, with number 1.
    pub fn new(content: T) -> Self {
        let alive = Arc::default();
        let first = Configuration::new(1, content, &alive);
        Self { current: watch::Sender::new(first), replacing: Mutex::default(), alive }
    }

    /// The configuration in force.
    pub fn current(&self) -> Arc<Configuration<T>> {
        Arc::clone(&self.current.borrow())
    }

    /// Puts another configuration in force, with the next number. `next` makes it from the current one. Calls on
    /// several threads follow one another; connections do not wait for them. Returns the number of the configuration.
    pub fn replace(&self, next: impl FnOnce(&T) -> T) -> u64 {
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let content = next(&self.current());
        let (mut previous, mut number) = (None, 0);
        self.current.send_modify(|current| {
            number = current.number + 1;
            let next = Configuration::new(number, content, &self.alive);
            previous = Some(mem::replace(current, next));
        });
        // Dropped here, because freeing a configuration under the lock would delay connections.
        drop(previous);
        number
    }

    /// A receiver that is notified of each change of the configuration in force.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Configuration<T>>> {
        self.current.subscribe()
    }

    /// The number of receivers that exist.
    #[cfg(test)]
    pub fn subscribers(&self) -> usize {
        self.current.receiver_count()
    }

    /// The number of configurations in use: the one in force, and those that sessions keep.
    pub fn alive(&self) -> usize {
        self.alive.load(SeqCst)
    }
}

// === impl Configuration ===

impl<T> Configuration<T> {
    fn new(number: u64, content: T, alive: &Arc<AtomicUsize>) -> Arc<Self> {
        alive.fetch_add(1, SeqCst);
        Arc::new(Self { number, content, _alive: Alive(Arc::clone(alive)) })
    }

    /// The number of the configuration, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl<T> Deref for Configuration<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.content
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_configuration_lives_as_long_as_its_last_user() {
        let configurations = Configurations::new("first");
        let kept = [configurations.current(), configurations.current()];
        assert_eq!(configurations.replace(|_| "second"), 2);
        _ = configurations.replace(|_| "third");
        let current = configurations.current();
        assert_eq!((current.number(), **current), (3, "third"));
        assert_eq!((kept[0].number(), **kept[1]), (1, "first"));
        // The second one had no user.
        assert_eq!(configurations.alive(), 2);
        let [kept, last] = kept;
        drop(kept);
        assert_eq!(configurations.alive(), 2);
        drop(last);
        assert_eq!(configurations.alive(), 1);
    }

    #[test]
    fn a_subscriber_sees_each_change() {
        let configurations = Configurations::new(1);
        let mut receiver = configurations.subscribe();
        assert!(!receiver.has_changed().unwrap());
        _ = configurations.replace(|before| before + 1);
        assert!(receiver.has_changed().unwrap());
        assert_eq!(***receiver.borrow_and_update(), 2);
    }

    #[test]
    fn each_configuration_is_made_from_the_one_before() {
        let configurations = Configurations::new(0);
        let count = || (0..500).for_each(|_| _ = configurations.replace(|before| before + 1));
        std::thread::scope(|threads| (0..4).for_each(|_| _ = threads.spawn(count)));
        let current = configurations.current();
        assert_eq!((current.number(), **current), (2001, 2000));
    }
}
