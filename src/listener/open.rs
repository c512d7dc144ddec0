//! An open listener: it accepts connections and passes each to the worker thread that has the fewest.
//!
//! ```text
//! socket ─► accept ─┬─► queue ─► ListenerWorker on thread 1
//! socket ─► accept ─┴─► queue ─► ListenerWorker on thread 2
//! ```
//! The main thread accepts. If there is only one worker thread, that thread accepts, because waking another thread costs
//! more than the rest of the way through the queue.

mod queues;

use std::{
    future::{Future, poll_fn, ready},
    io::{self, ErrorKind},
    mem,
    net::{SocketAddr, TcpListener},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use actix_rt::{ArbiterHandle, task::JoinHandle};
use tokio::{
    io::unix::AsyncFd,
    sync::{mpsc, oneshot, watch},
    time::sleep,
};

use self::queues::{Accepted, NoWorker, Queues};
use super::{
    accept::accept,
    certificates::follow_certificates,
    configuration::Routing,
    state::{ListenerState, ServerState, SocketTask},
    worker::ListenerWorker,
};
use crate::{
    net::{AcceptedOptions, Bind, Stream, canonical, v4_beside},
    restart::restarted,
    server::{Configuration, Status, Workers},
    settings::Listener,
};

/// The pause after an error that does not concern one connection, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// A listener that accepts connections. It can be closed independently of the others. Dropping it closes its
/// sockets and drops the connections that wait for a queue, if any.
pub struct OpenListener {
    state: Arc<ListenerState>,
    server: Arc<ServerState>,
    /// The addresses in the settings.
    bind: Vec<Bind>,
    sockets: Vec<OpenSocket>,
    queues: Queues,
    /// The thread that accepts; `None`: the current thread.
    acceptor: Option<ArbiterHandle>,
    /// Reads certificates again when their files change.
    following: JoinHandle<()>,
}

/// A socket that is listening, in no event loop yet.
pub struct ReadySocket {
    socket: TcpListener,
    /// The same socket, for another listener that gets the address later.
    copy: TcpListener,
    address: SocketAddr,
    /// The entry of the settings from which the socket comes.
    bind: String,
}

/// A socket of a listener.
pub struct OpenSocket {
    copy: TcpListener,
    /// The address of the socket.
    pub address: SocketAddr,
    /// The entry of the settings from which the socket comes.
    pub bind: String,
    /// The order of the task.
    order: watch::Sender<Order>,
    /// Resolves when the task that accepts has ended.
    accepting: oneshot::Receiver<()>,
}

/// The order to the task that accepts the connections of a socket.
struct Order {
    task: AcceptTask,
    /// The configuration with which the connections are served: the last one in which the listener had the address.
    configuration: Arc<Configuration<Routing>>,
}

/// What the task that accepts the connections of a socket is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AcceptTask {
    /// Accept connections.
    Accept,
    /// Pass on the connections that the kernel has accepted, and end.
    Close,
    /// End. Another listener or process has the socket.
    Leave,
}

/// Who takes the connections that the kernel has accepted for a socket that a listener gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backlog {
    /// The listener accepts them.
    Accept,
    /// Another listener has the socket, and accepts them.
    Leave,
}

// === impl OpenListener ===

impl OpenListener {
    /// Opens the listener on all worker threads.
    pub fn open(
        listener: &Arc<Listener>,
        sockets: Vec<ReadySocket>,
        server: &Arc<ServerState>,
        workers: &Workers,
    ) -> Self {
        let state = ListenerState::new(listener, server);
        server.worker_loads.get_or_init(|| workers.loads().into());
        let (queues, queued) = Queues::new(workers.loads());
        workers.run_each(queued.into_iter().zip(workers.loads()).map(|(queue, load)| {
            let load = load.clone();
            let (listener, state, server) = (Arc::clone(listener), Arc::clone(&state), Arc::clone(server));
            move || {
                let worker = ListenerWorker::open(&listener, state, server, load);
                actix_rt::spawn(serve(queue, move |connection| start(Rc::clone(&worker), connection)));
            }
        }));
        let (name, state_of_all) = (listener.name.clone(), Arc::clone(server));
        let following = actix_rt::spawn(async move {
            restarted("listener certificates", || {
                follow_certificates(name.clone(), Arc::clone(&state_of_all))
            })
            .await;
        });
        let mut open = Self {
            following,
            state,
            server: Arc::clone(server),
            bind: listener.bind.clone(),
            sockets: Vec::new(),
            queues,
            acceptor: workers.only(),
        };
        open.add(listener, sockets);
        open
    }

    /// The listener's name.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// The addresses in the settings that the listener has.
    pub fn bind(&self) -> &[Bind] {
        &self.bind
    }

    /// The listener's sockets.
    pub fn sockets(&self) -> &[OpenSocket] {
        &self.sockets
    }

    /// Continues with other settings, which are in force: closes the sockets for which `keeps` is false, and accepts
    /// connections of `more` too. Sessions are not touched.
    pub fn configure(
        &mut self,
        listener: &Listener,
        keeps: impl Fn(&OpenSocket) -> bool,
        backlog: impl Fn(&OpenSocket) -> Backlog,
        more: Vec<ReadySocket>,
    ) {
        self.state.admission.configure(listener, Instant::now());
        self.bind.clone_from(&listener.bind);
        let (kept, closed) = mem::take(&mut self.sockets).into_iter().partition(keeps);
        self.sockets = kept;
        let in_force = self.server.configurations.current();
        self.state.tune(listener, self.sockets.iter().map(|socket| &socket.copy));
        for socket in &self.sockets {
            socket.order.send_modify(|order| order.configuration = Arc::clone(&in_force));
        }
        self.add(listener, more);
        for socket in closed {
            log::info!("address closed listener={} address={}", self.state.name, socket.address);
            let backlog = backlog(&socket);
            actix_rt::spawn(socket.close(backlog));
        }
    }

    fn add(&mut self, listener: &Listener, sockets: Vec<ReadySocket>) {
        let in_force = self.server.configurations.current();
        self.state.tune(listener, sockets.iter().map(|ready| &ready.copy));
        self.sockets.extend(sockets.into_iter().map(|ready| {
            let ReadySocket { socket, copy, address, bind } = ready;
            let configuration = Arc::clone(&in_force);
            let order = watch::Sender::new(Order { task: AcceptTask::Accept, configuration });
            let (state, status) = (Arc::clone(&self.state), Arc::clone(self.server.registry.status()));
            let accepting = accept_all(state, socket, self.queues.clone(), status, order.subscribe());
            let accepting = until_dropped(order.subscribe(), accepting);
            OpenSocket { copy, address, bind, order, accepting: start_on(self.acceptor.as_ref(), accepting) }
        }));
    }

    /// Closes the sockets. Connections that have been accepted continue. Waits while the queues of all workers are full.
    pub async fn close(mut self, backlog: impl Fn(&OpenSocket) -> Backlog) {
        for socket in mem::take(&mut self.sockets) {
            let backlog = backlog(&socket);
            socket.close(backlog).await;
        }
    }

    /// Leaves new connections to another process, which has the sockets. Those that have been accepted continue.
    pub async fn leave(&mut self) {
        for socket in mem::take(&mut self.sockets) {
            socket.close(Backlog::Leave).await;
        }
    }

    /// Waits until one of these listeners stops accepting, which is an error in the program. Returns the name of the
    /// listener.
    pub async fn failed(listeners: &mut [Self]) -> String {
        poll_fn(|context| {
            for listener in &mut *listeners {
                let ended =
                    |socket: &mut OpenSocket| Pin::new(&mut socket.accepting).poll(context).is_ready();
                if let Some(position) = listener.sockets.iter_mut().position(ended) {
                    listener.sockets.swap_remove(position);
                    return Poll::Ready(listener.state.name.clone());
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl Drop for OpenListener {
    fn drop(&mut self) {
        self.following.abort();
    }
}

// === impl ReadySocket ===

impl ReadySocket {
    /// Prepares a socket for an event loop. `bind` is the entry of the settings from which it comes.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn new(socket: TcpListener, bind: &str) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (copy, address) = (socket.try_clone()?, socket.local_addr()?);
        Ok(Self { socket, copy, address, bind: bind.to_owned() })
    }

    /// The address at which the socket needs another one beside it; see [`v4_beside`].
    ///
    /// # Errors
    /// When the system does not say it.
    pub fn v4_beside(&self) -> io::Result<Option<SocketAddr>> {
        v4_beside(&self.copy)
    }

    /// The address of the socket.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

// === impl OpenSocket ===

impl OpenSocket {
    /// The same socket, for another listener. The kernel keeps the connections that wait to be accepted.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn share(&self) -> io::Result<ReadySocket> {
        ReadySocket::new(self.copy.try_clone()?, &self.bind)
    }

    /// The address at which the socket needs another one beside it; see [`v4_beside`].
    ///
    /// # Errors
    /// When the system does not say it.
    pub fn v4_beside(&self) -> io::Result<Option<SocketAddr>> {
        v4_beside(&self.copy)
    }

    /// The same socket, for another process.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn duplicate(&self) -> io::Result<TcpListener> {
        self.copy.try_clone()
    }

    async fn close(mut self, backlog: Backlog) {
        drop(self.copy);
        self.order.send_modify(|order| {
            order.task = match backlog {
                Backlog::Accept => AcceptTask::Close,
                Backlog::Leave => AcceptTask::Leave,
            };
        });
        // A task that has panicked has closed its socket too.
        let _ = (&mut self.accepting).await;
    }
}

/// Starts a task on this thread; `None`: on the current one. The receiver resolves when the task has ended, also in a panic
/// or with its thread.
fn start_on(
    thread: Option<&ArbiterHandle>,
    task: impl Future<Output = ()> + Send + 'static,
) -> oneshot::Receiver<()> {
    let (running, ended) = oneshot::channel();
    let task = async move {
        let _running: oneshot::Sender<()> = running;
        task.await;
    };
    match thread {
        // A thread that has ended drops the task.
        Some(thread) => _ = thread.spawn(task),
        None => drop(actix_rt::spawn(task)),
    }
    ended
}

/// Runs the task until the listener is dropped.
async fn until_dropped(mut order: watch::Receiver<Order>, task: impl Future<Output = ()>) {
    let dropped = async { while order.changed().await.is_ok() {} };
    tokio::select! {
        biased;
        () = task => {}
        () = dropped => {}
    }
}

/// Registers a listening socket with the current thread's event loop.
#[expect(
    deprecated,
    reason = "the other constructors are unsafe; this value owns its socket and never replaces it"
)]
fn register(socket: TcpListener) -> io::Result<AsyncFd<mio::net::TcpListener>> {
    AsyncFd::new(mio::net::TcpListener::from_std(socket))
}

/// Accepts the connections of one socket, until the listener is closed and the kernel has no more of them.
async fn accept_all(
    state: Arc<ListenerState>,
    socket: TcpListener,
    mut queues: Queues,
    status: Arc<Status>,
    mut order: watch::Receiver<Order>,
) {
    let socket = match register(socket) {
        Ok(socket) => socket,
        Err(error) => return state.log_socket_error(SocketTask::Accept, &error),
    };
    // Until the kernel has none left that it accepted before the socket had its options, and has passed them on.
    let mut options = AcceptedOptions::Uncertain;
    loop {
        let task = order.borrow_and_update().task;
        let accepted = match task {
            AcceptTask::Leave => return,
            // Asks the kernel, because the event loop may not have reported the latest connections yet.
            AcceptTask::Close => socket.get_ref().accept(),
            AcceptTask::Accept => tokio::select! {
                biased;
                changed = order.changed() => match changed {
                    Ok(()) => continue,
                    // The listener has been dropped.
                    Err(_) => return,
                },
                accepted = accept_one(&socket, &mut options) => accepted,
            },
        };
        match accepted {
            Ok((socket, peer)) => {
                let (socket, peer, pending) = (socket.into(), canonical(peer), status.accept());
                let configuration = Arc::clone(&order.borrow().configuration);
                let accepted = Accepted { socket, options, peer, pending, configuration };
                if queues.push(accepted, &state.name).await == Err(NoWorker) {
                    log::error!("no worker thread takes connections listener={}", state.name);
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                state.log_socket_error(SocketTask::Accept, &error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Accepts a connection without registering it with this thread's event loop, because another thread may serve it. The
/// kernel makes it non-blocking. `options` is what is known of its options.
async fn accept_one(
    socket: &AsyncFd<mio::net::TcpListener>,
    options: &mut AcceptedOptions,
) -> io::Result<(mio::net::TcpStream, SocketAddr)> {
    let mut is_new = false;
    loop {
        match socket.readable().await?.try_io(|socket| socket.get_ref().accept()) {
            Ok(Ok((accepted, peer))) => {
                if is_new && *options == AcceptedOptions::Uncertain {
                    *options = AcceptedOptions::shown_by(&accepted);
                }
                return Ok((accepted, peer));
            }
            Ok(Err(error)) => return Err(error),
            // There is none, so the next one comes after the socket had its options.
            Err(_) => is_new = true,
        }
    }
}

/// Whether an error of accept(2) concerns a connection that failed before it was accepted. The kernel has removed
/// such a connection, so accepting continues at once.
fn is_of_connection(error: &io::Error) -> bool {
    /// EPROTO, ENOPROTOOPT, EOPNOTSUPP, EHOSTDOWN, ENONET, which accept(2) of Linux passes on from the connection.
    const LINUX: [i32; 5] = [71, 92, 95, 112, 64];
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::Interrupted
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::PermissionDenied
            | ErrorKind::TimedOut
    ) || cfg!(target_os = "linux") && error.raw_os_error().is_some_and(|code| LINUX.contains(&code))
}

/// Serves the connections that one worker thread receives, each in a separate task, so that a panic ends one
/// connection only.
async fn serve<F: Future<Output = ()> + 'static>(
    mut queue: mpsc::Receiver<Accepted>,
    start: impl Fn(Accepted) -> F + Clone + 'static,
) {
    while let Some(connection) = queue.recv().await {
        let start = start.clone();
        actix_rt::spawn(async move { start(connection).await });
    }
}

/// Registers a connection with the event loop of the worker's thread, and starts its handshake.
fn start(
    worker: Rc<ListenerWorker>,
    Accepted { socket, options, peer, pending, configuration }: Accepted,
) -> Pin<Box<dyn Future<Output = ()>>> {
    match actix_rt::net::TcpStream::from_std(socket) {
        Ok(socket) => accept(worker, (Stream::from(socket), options), peer, pending, configuration),
        Err(error) => {
            worker.state.log_socket_error(SocketTask::Serve, &error);
            Box::pin(ready(()))
        }
    }
}

#[cfg(test)]
mod tests;
