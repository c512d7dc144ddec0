//! The watchdog of the service manager: it restarts a process whose threads no longer answer.

use actix_rt::{ArbiterHandle, task::JoinHandle};
use tokio::{sync::oneshot, time::sleep};

use super::notify;

/// Reports to the service manager that the process works, for as long as this exists and all threads answer.
pub struct Watchdog(JoinHandle<()>);

// === impl Watchdog ===

impl Watchdog {
    /// Starts the reports; `None` if the service manager wants none.
    pub fn start(threads: Vec<ArbiterHandle>) -> Option<Self> {
        // Two reports in the time in which one is expected.
        let interval = sd_notify::watchdog_enabled()? / 2;
        Some(Self(actix_rt::spawn(async move {
            loop {
                all_answer(&threads).await;
                notify::alive();
                sleep(interval).await;
            }
        })))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until each thread has run a task.
async fn all_answer(threads: &[ArbiterHandle]) {
    let answers: Vec<_> = threads
        .iter()
        .map(|thread| {
            let (answer, answered) = oneshot::channel();
            thread.spawn_fn(move || _ = answer.send(()));
            answered
        })
        .collect();
    for answer in answers {
        if answer.await.is_err() {
            // The thread has ended: it never answers again.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, task::Poll, time::Duration};

    use actix_rt::Arbiter;

    use super::*;

    #[actix::test]
    async fn threads_answer_unless_one_of_them_is_blocked_or_has_ended() {
        let threads = [Arbiter::new(), Arbiter::new()];
        let handles: Vec<_> = threads.iter().map(Arbiter::handle).collect();
        let patience = Duration::from_secs(10);
        tokio::time::timeout(patience, all_answer(&handles)).await.expect("both answer");

        let (release, released) = mpsc::channel::<()>();
        let (block, blocked) = oneshot::channel();
        handles[1].spawn_fn(move || {
            let _ = block.send(());
            let _ = released.recv();
        });
        blocked.await.unwrap();
        let mut answers = Box::pin(all_answer(&handles));
        // The first thread answers; the second cannot.
        let (answer, answered) = oneshot::channel();
        handles[0].spawn_fn(move || _ = answer.send(()));
        let poll = std::future::poll_fn(|context| Poll::Ready(answers.as_mut().poll(context)));
        assert!(poll.await.is_pending());
        answered.await.unwrap();
        let poll = std::future::poll_fn(|context| Poll::Ready(answers.as_mut().poll(context)));
        assert!(poll.await.is_pending(), "one thread is blocked");
        drop(release);
        tokio::time::timeout(patience, answers).await.expect("both answer again");
    }
}
