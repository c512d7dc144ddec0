//! Tasks that start again when they have panicked.

use std::{future::Future, time::Duration};

use tokio::{task::JoinHandle, time::sleep};

use crate::log::Quoted;

/// The time between the end of a task that panicked and the start of the next.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// A task that ends when this is dropped.
struct Running(JoinHandle<()>);

/// Runs a task until its end, and starts it again whenever it has panicked. Dropping the future ends the task. `what` is
/// for the log.
pub async fn restarted<F: Future<Output = ()> + 'static>(what: &str, task: impl Fn() -> F) {
    loop {
        let mut running = Running(actix_rt::spawn(task()));
        if (&mut running.0).await.is_ok() {
            return;
        }
        log::error!("task restart task={}", Quoted(what));
        sleep(RESTART_PAUSE).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use super::*;

    #[test]
    fn a_task_that_panics_starts_again() {
        let starts = Rc::new(Cell::new(0));
        let counted = Rc::clone(&starts);
        actix::System::new().block_on(restarted("test", move || {
            let starts = Rc::clone(&counted);
            async move {
                starts.set(starts.get() + 1);
                assert!(starts.get() > 1, "the first one panics");
            }
        }));
        assert_eq!(starts.get(), 2);
    }

    #[test]
    fn a_task_ends_with_the_future() {
        let owned = Rc::new(());
        let counted = Rc::clone(&owned);
        actix::System::new().block_on(async move {
            let outer = actix_rt::spawn(restarted("test", move || {
                let kept = Rc::clone(&owned);
                async move {
                    std::future::pending::<()>().await;
                    drop(kept);
                }
            }));
            while Rc::strong_count(&counted) < 3 {
                tokio::task::yield_now().await;
            }
            outer.abort();
            let _ = outer.await;
            // The task is dropped in its next turn.
            let ended = async {
                while Rc::strong_count(&counted) > 1 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the task continues");
        });
    }
}
