//! The queues in which accepted connections wait for the worker threads.

use std::{
    future::{Future, poll_fn},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    task::Poll,
};

use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{
    listener::configuration::Routing,
    net::AcceptedOptions,
    server::{Configuration, Pending, WorkerLoad},
};

/// Maximum number of connections of a listener that wait for one worker thread. When all queues are full,
/// connections wait in the kernel. The number is small, because queued sockets take file descriptors without a
/// slot; see `capacity`.
const ACCEPT_QUEUE_MAX: usize = 32;

/// The queues of accepted connections, one for each worker thread.
#[derive(Clone)]
pub(super) struct Queues {
    pub(super) workers: Vec<Queue>,
    /// The position of the worker that comes first among those with equally many connections.
    pub(super) next: usize,
}

/// The queue of one worker thread.
#[derive(Clone)]
pub(super) struct Queue {
    pub(super) sender: mpsc::Sender<Accepted>,
    /// The connections of the thread, of all listeners.
    pub(super) load: WorkerLoad,
}

/// A connection that has been accepted.
pub(super) struct Accepted {
    /// The socket, non-blocking and in no event loop yet. The worker thread registers it with its event loop.
    pub(super) socket: TcpStream,
    /// What is known of the socket's options.
    pub(super) options: AcceptedOptions,
    /// The client's address.
    pub(super) peer: SocketAddr,
    pub(super) pending: Pending,
    /// The configuration with which it is served. An address may belong to other listeners, or to none, in the next one.
    pub(super) configuration: Arc<Configuration<Routing>>,
}

/// The error when all worker threads have stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoWorker;

// === impl Queues ===

impl Queues {
    /// Creates a queue for each of these workers. Returns their other ends too.
    pub(super) fn new(loads: &[WorkerLoad]) -> (Self, Vec<mpsc::Receiver<Accepted>>) {
        let queue = |load: &WorkerLoad| {
            let (sender, queued) = mpsc::channel(ACCEPT_QUEUE_MAX);
            (Queue { sender, load: load.clone() }, queued)
        };
        let (workers, queued) = loads.iter().map(queue).unzip();
        (Self { workers, next: 0 }, queued)
    }

    /// Passes a connection to the worker with the fewest connections, of those whose queue is not full. While all queues
    /// are full, waits for the first that is not.
    pub(super) async fn push(&mut self, connection: Accepted, listener: &str) -> Result<(), NoWorker> {
        let pushed = self.try_push(connection);
        self.remove_closed(listener);
        let Err(mut connection) = pushed else { return Ok(()) };
        let (permit, load) = first_with_room(&self.workers).await.ok_or(NoWorker)?;
        connection.pending.assign(load);
        permit.send(connection);
        Ok(())
    }

    /// Returns the connection when all queues are full or closed.
    fn try_push(&mut self, mut connection: Accepted) -> Result<(), Accepted> {
        for index in self.order() {
            let Queue { sender, load } = &self.workers[index];
            connection.pending.assign(load);
            match sender.try_send(connection) {
                Ok(()) => {
                    self.next = index + 1;
                    return Ok(());
                }
                Err(TrySendError::Full(back) | TrySendError::Closed(back)) => connection = back,
            }
        }
        Err(connection)
    }

    /// The positions of the workers, by the number of their connections. Equal ones take turns.
    fn order(&self) -> Vec<usize> {
        let count = self.workers.len();
        let mut order: Vec<_> = (0..count).map(|step| (self.next + step) % count).collect();
        order.sort_by_cached_key(|index| self.workers[*index].load.count());
        order
    }

    fn remove_closed(&mut self, listener: &str) {
        self.workers.retain(|queue| {
            let is_closed = queue.sender.is_closed();
            if is_closed {
                log::error!("a worker thread takes no more connections listener={listener}");
            }
            !is_closed
        });
    }
}

/// Waits until a queue is not full. Returns the worker's place in it, and its load; `None` when all queues are closed.
async fn first_with_room(queues: &[Queue]) -> Option<(mpsc::Permit<'_, Accepted>, &WorkerLoad)> {
    let mut waits: Vec<_> =
        queues.iter().map(|queue| (Box::pin(queue.sender.reserve()), &queue.load)).collect();
    poll_fn(|context| {
        let mut room = None;
        waits.retain_mut(|(wait, load)| {
            if room.is_some() {
                return true;
            }
            let reserved = wait.as_mut().poll(context);
            let waits_on = reserved.is_pending();
            if let Poll::Ready(Ok(permit)) = reserved {
                room = Some((permit, *load));
            }
            waits_on
        });
        if room.is_none() && !waits.is_empty() { Poll::Pending } else { Poll::Ready(room) }
    })
    .await
}
