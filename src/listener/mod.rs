//! Listeners: accept connections, check and answer their handshakes, and start sessions.
//!
//! ```text
//! accept ─► handshake ─► session
//!              ├─ admission: limits on sessions and addresses
//!              └─ router: which route the request takes
//! ```
//! Each listener runs on every worker thread. A session stays on the thread that accepted its connection.

mod accept;
mod admission;
mod answer;
mod capacity;
mod configuration;
mod handshake;
mod log_throttle;
mod state;
mod worker;

use std::{io, net::TcpListener, rc::Rc, sync::Arc};

use actix_rt::net::TcpStream;
use actix_server::ServerBuilder;
use actix_service::fn_service;

pub use self::{
    capacity::capacity,
    configuration::Routing,
    state::{ListenerState, ServerState},
};

use self::worker::ListenerWorker;
use crate::{
    net::{self, Listening},
    settings::Listener,
};

/// Opens the listener's sockets, one for each address.
///
/// # Errors
/// When an address cannot be listened on; the text names the address and the settings key.
pub fn bind(listener: &Listener) -> io::Result<Listening> {
    net::listen(&listener.bind).map_err(|error| {
        let text = format!("cannot listen on {error} (listener.{}.bind)", listener.name);
        io::Error::new(error.kind(), text)
    })
}

/// Adds one of a listener's sockets to the server.
///
/// # Errors
/// When the socket cannot be registered.
pub fn serve(
    builder: ServerBuilder,
    socket: TcpListener,
    listener: &Arc<Listener>,
    state: &Arc<ListenerState>,
    server: &Arc<ServerState>,
) -> io::Result<ServerBuilder> {
    let (listener, state, server) = (Arc::clone(listener), Arc::clone(state), Arc::clone(server));
    builder.listen(listener.name.clone(), socket, move || {
        let worker = ListenerWorker::open(&listener, Arc::clone(&state), Arc::clone(&server));
        fn_service(move |socket: TcpStream| accept::accept(Rc::clone(&worker), socket.into()))
    })
}
