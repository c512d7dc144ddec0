//! Listeners: the sockets that take clients, their handshakes, and the start of a session.
//!
//! Each listener runs on every worker thread; a session stays on the thread that accepted it.

mod accept;
mod admission;
mod answer;
mod capacity;
mod clients;
mod forward;
mod handshake;
mod head;
mod log_throttle;
mod relay;
mod target;
mod worker;

use std::{io, net::TcpListener, rc::Rc, sync::Arc};

use actix_rt::net::TcpStream;
use actix_server::ServerBuilder;
use actix_service::fn_service;

pub use self::{
    capacity::capacity,
    worker::{ListenerWorker, ServerState},
};

use crate::{
    net::{self, Listening},
    settings::Listener,
};

/// Opens the listener's sockets, one for each address.
///
/// # Errors
/// When an address cannot be listened on; the text names address and key.
pub fn bind(listener: &Listener) -> io::Result<Listening> {
    net::listen(&listener.bind).map_err(|error| {
        let text = format!("cannot listen on {error} (listener.{}.bind)", listener.name);
        io::Error::new(error.kind(), text)
    })
}

/// Adds one of the listener's sockets to the server.
///
/// # Errors
/// When the socket cannot be used.
pub fn serve(
    server: ServerBuilder,
    socket: TcpListener,
    listener: &Arc<Listener>,
    shared: &Arc<ServerState>,
) -> io::Result<ServerBuilder> {
    let (listener, shared) = (Arc::clone(listener), Arc::clone(shared));
    let name = listener.name.clone();
    server.listen(name, socket, move || {
        let worker = ListenerWorker::open(Arc::clone(&listener), Arc::clone(&shared));
        fn_service(move |socket: TcpStream| accept::accept(Rc::clone(&worker), socket.into()))
    })
}
