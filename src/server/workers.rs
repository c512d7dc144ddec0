//! The worker threads, each with its own event loop.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use actix_rt::{Arbiter, ArbiterHandle};

use crate::connector;

/// The worker threads. All listeners share them; a session stays on the thread that took its connection. Dropping the
/// value stops them.
pub struct Workers {
    threads: Vec<Arbiter>,
    loads: Box<[WorkerLoad]>,
}

/// The number of connections of clients that a worker thread has.
#[derive(Debug, Clone, Default)]
pub struct WorkerLoad(Arc<AtomicUsize>);

/// A guard that counts one connection of a worker thread.
#[derive(Debug)]
pub struct Loaded(WorkerLoad);

// === impl Workers ===

impl Workers {
    /// Starts `count` threads. Call it on an actix system.
    ///
    /// # Errors
    /// When a thread or its event loop cannot be created.
    pub fn start(count: usize) -> io::Result<Self> {
        let threads: io::Result<Vec<_>> = (0..count).map(|_| Arbiter::try_new()).collect();
        let failed = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("cannot start {count} worker threads (server.workers): {error}"),
            )
        };
        let loads = (0..count).map(|_| WorkerLoad::default()).collect();
        let workers = Self { threads: threads.map_err(failed)?, loads };
        workers.run_each((0..count).map(|_| move || connector::share_lingering(count)));
        Ok(workers)
    }

    /// The number of threads.
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// The number of connections of each thread.
    pub fn loads(&self) -> &[WorkerLoad] {
        &self.loads
    }

    /// The only thread; `None` if there are several.
    pub fn only(&self) -> Option<ArbiterHandle> {
        match &self.threads[..] {
            [only] => Some(only.handle()),
            _ => None,
        }
    }

    /// The handles of the threads.
    pub fn handles(&self) -> Vec<ArbiterHandle> {
        self.threads.iter().map(Arbiter::handle).collect()
    }

    /// Runs one of these tasks on each thread. A task is a function that is called on the thread.
    pub fn run_each<F: FnOnce() + Send + 'static>(&self, tasks: impl IntoIterator<Item = F>) {
        for (thread, task) in self.threads.iter().zip(tasks) {
            thread.spawn_fn(task);
        }
    }

    /// Tells all threads to stop, and does not wait for them. Everything that still runs on them is dropped.
    pub fn stop(self) {
        drop(self);
    }
}

// === impl WorkerLoad ===

impl WorkerLoad {
    /// Counts a connection, until the guard is dropped.
    pub fn add(&self) -> Loaded {
        self.0.fetch_add(1, Relaxed);
        Loaded(self.clone())
    }

    /// The number of connections.
    pub fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for thread in &self.threads {
            thread.stop();
        }
    }
}
