//! The order in which the pages begin: one in each turn of the thread.
//!
//! A connection may have many requests under way (pipelining), and some pages cost milliseconds. Without turns, the
//! thread would answer all requests that it has read before it reads the next ones, so that a health check would wait for
//! the pages of everybody else. With turns, the thread looks at its sockets between any two pages.

use tokio::{sync::Semaphore, task::yield_now};

/// Has pages wait for their turn, first come, first served. Each connection waits with at most one request.
#[derive(Debug)]
pub(super) struct Turns(Semaphore);

// === impl Turns ===

impl Turns {
    pub(super) fn new() -> Self {
        Self(Semaphore::new(1))
    }

    /// Waits until the thread has looked at its sockets and no other page begins in this turn.
    pub(super) async fn wait(&self) {
        // The next one waits for its own turn before it begins. The semaphore is never closed.
        let _turn = self.0.acquire().await;
        yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use super::*;

    #[actix::test]
    async fn a_health_check_waits_for_no_more_than_a_few_pages() {
        let (turns, begun) = (Rc::new(Turns::new()), Rc::new(Cell::new(0)));
        let pages: Vec<_> = (0..96)
            .map(|_| {
                let (turns, begun) = (Rc::clone(&turns), Rc::clone(&begun));
                actix::spawn(async move {
                    turns.wait().await;
                    begun.set(begun.get() + 1);
                })
            })
            .collect();
        // A check is read in one turn, and answered in another one.
        yield_now().await;
        yield_now().await;
        assert!(begun.get() <= 4, "{} pages have begun", begun.get());
        for page in pages {
            page.await.unwrap();
        }
        assert_eq!(begun.get(), 96);
    }
}
