//! Requests to reload the settings, from other threads and from signals.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::history::{By, History, Outcome, Problems, Record};
use crate::settings::{self, Layers, Loaded, Running, SettingsError};

/// Maximum number of requests at a time: one is served, and one waits.
const REQUESTS_MAX: usize = 2;

/// Reads and checks the settings again.
pub type Reader = Arc<dyn Fn() -> Result<Loaded, SettingsError> + Send + Sync>;

/// Requests reloads, and has the latest ones.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
}

/// What handles and [`Requests`] share.
struct Shared {
    history: Mutex<History>,
    /// The settings in force.
    running: Mutex<Running>,
    done: AtomicU64,
    failed: AtomicU64,
}

/// The requests, one after the other.
pub struct Requests {
    requests: mpsc::Receiver<Request>,
    handle: Handle,
    reader: Reader,
}

/// A request to reload the settings. If it is dropped, the process is about to end.
pub struct Request {
    /// Who asks.
    pub by: By,
    reply: oneshot::Sender<Arc<Record>>,
    _place: OwnedSemaphorePermit,
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotServed {
    /// One reload is in progress, and another one waits.
    #[error("a reload is already waiting")]
    Waiting,
    /// The process ends.
    #[error("the process drains, its settings stay as they are")]
    Ending,
}

/// The number of reloads since the start, by result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Reloads that put the settings in force.
    pub done: u64,
    /// Reloads that changed nothing.
    pub failed: u64,
}

/// Creates the requests of a process that has started with the settings of `layers`. `reader` reads them again, on a
/// thread that may block.
pub fn requests(
    layers: Layers,
    reader: impl Fn() -> Result<Loaded, SettingsError> + Send + Sync + 'static,
) -> Requests {
    let shared = Shared {
        history: Mutex::default(),
        running: Mutex::new(Running { layers, pending: Vec::new() }),
        done: AtomicU64::new(0),
        failed: AtomicU64::new(0),
    };
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    let room = Arc::new(Semaphore::new(REQUESTS_MAX));
    let handle = Handle { shared: Arc::new(shared), requests: sender, room };
    Requests { requests, handle, reader: Arc::new(reader) }
}

// === impl Handle ===

impl Handle {
    /// Reloads the settings, and waits for the result. Reloads follow one another.
    ///
    /// # Errors
    /// When a reload is waiting already, or the process ends.
    pub async fn reload(&self, by: By) -> Result<Arc<Record>, NotServed> {
        let place = Arc::clone(&self.room).try_acquire_owned().map_err(|_| NotServed::Waiting)?;
        let (reply, answer) = oneshot::channel();
        // There is room for everybody that has a place.
        let request = Request { by, reply, _place: place };
        self.requests.try_send(request).map_err(|_| NotServed::Ending)?;
        answer.await.map_err(|_| NotServed::Ending)
    }

    /// The latest reloads, the last one first.
    pub fn history(&self) -> Vec<Arc<Record>> {
        lock(&self.shared.history).records()
    }

    /// The number of reloads since the start.
    pub fn totals(&self) -> Totals {
        Totals { done: self.shared.done.load(Relaxed), failed: self.shared.failed.load(Relaxed) }
    }

    /// The effective settings in force, as TOML with secrets masked. Blocks: it reads the files that the settings name.
    pub fn configuration(&self) -> String {
        let running = lock(&self.shared.running).clone();
        settings::report_running(&running)
    }
}

// === impl Requests ===

impl Requests {
    /// A handle for other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Reads and checks the settings again; see [`requests`].
    pub fn reader(&self) -> Reader {
        Arc::clone(&self.reader)
    }

    /// Whether there is a request that has no answer yet.
    pub fn is_busy(&self) -> bool {
        self.handle.room.available_permits() < REQUESTS_MAX
    }

    /// Waits for the next request.
    pub async fn next(&mut self) -> Request {
        match self.requests.recv().await {
            Some(request) => request,
            // There is always a sender: `handle`.
            None => std::future::pending().await,
        }
    }

    /// Refuses the requests that wait, and all later ones, because the process ends.
    pub fn close(&mut self) {
        self.requests.close();
        while self.requests.try_recv().is_ok() {}
    }

    /// Records the result of a request, and answers it. `Running` has the settings that are in force now.
    pub fn answer(&self, request: Request, result: Result<(Outcome, Running), Problems>) {
        let shared = &self.handle.shared;
        let outcome = match result {
            Ok((outcome, running)) => {
                *lock(&shared.running) = running;
                shared.done.fetch_add(1, Relaxed);
                outcome
            }
            Err(problems) => {
                shared.failed.fetch_add(1, Relaxed);
                Outcome::Failed(problems)
            }
        };
        let record = lock(&shared.history).add(SystemTime::now(), request.by, outcome);
        // Who asked may have gone.
        let _ = request.reply.send(record);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("totals", &self.totals()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::fixture::{MINIMAL, layers};

    #[actix::test]
    async fn one_request_is_served_and_one_waits() {
        let settings = || layers(MINIMAL, &[]).unwrap();
        let mut requests = requests(settings(), move || Loaded::check(settings()));
        let handle = requests.handle();
        let ask = || {
            let handle = handle.clone();
            actix_rt::spawn(async move { handle.reload(By::Signal).await })
        };
        assert!(!requests.is_busy());
        let (first, second) = (ask(), ask());
        let served = requests.next().await;
        assert!(requests.is_busy());
        assert_eq!(handle.reload(By::Signal).await.unwrap_err(), NotServed::Waiting);
        requests.answer(served, Err(Problems::new(["no file".to_owned()])));
        assert!(!first.await.unwrap().unwrap().is_done());
        let third = ask();
        for _ in 0..2 {
            let served = requests.next().await;
            let outcome = Outcome::Done { generation: 2, difference: Default::default() };
            let running = Running { layers: settings(), pending: Vec::new() };
            requests.answer(served, Ok((outcome, running)));
        }
        assert_eq!(second.await.unwrap().unwrap().number, 2);
        assert_eq!(third.await.unwrap().unwrap().number, 3);
        assert!(!requests.is_busy());
        assert_eq!(handle.totals(), Totals { done: 2, failed: 1 });
        assert_eq!(handle.history()[0].number, 3);
        assert!(handle.configuration().contains("[upstream.echo]"));
        let waiting = ask();
        tokio::task::yield_now().await;
        assert!(requests.is_busy());
        requests.close();
        assert_eq!(waiting.await.unwrap().unwrap_err(), NotServed::Ending);
        assert_eq!(handle.reload(By::Signal).await.unwrap_err(), NotServed::Ending);
    }
}
