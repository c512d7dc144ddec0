//! Listeners: the sockets that take clients, their handshakes, and the start of a session.
//!
//! Each listener runs on every worker thread; a session stays on the thread that accepted it.

mod accept;
mod admission;
mod answer;
mod capacity;
mod clients;
mod desk;
mod forward;
mod handshake;
mod head;
mod quiet;
mod relay;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
};

use actix_server::ServerBuilder;
use actix_service::fn_service;
use socket2::{Domain, Protocol, Socket, Type};

pub use self::{
    capacity::capacity,
    desk::{Desk, Shared},
};

use crate::settings::Listener;

/// Clients that may wait to be accepted, when many come at once. The system may allow less.
const BACKLOG: i32 = 4096;

/// Opens the listener's socket.
///
/// # Errors
/// When the address cannot be had; the text names address and key.
pub fn bind(listener: &Listener) -> io::Result<TcpListener> {
    open(listener.bind).map_err(|error| {
        let (bind, name) = (listener.bind, &listener.name);
        io::Error::new(error.kind(), format!("cannot listen on {bind} (listener.{name}.bind): {error}"))
    })
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Adds the listener to the server.
///
/// # Errors
/// When the socket cannot be used.
pub fn serve(
    server: ServerBuilder,
    socket: TcpListener,
    listener: &Arc<Listener>,
    shared: &Arc<Shared>,
) -> io::Result<ServerBuilder> {
    let (listener, shared) = (Arc::clone(listener), Arc::clone(shared));
    let name = listener.name.clone();
    server.listen(name, socket, move || {
        let desk = Desk::open(Arc::clone(&listener), Arc::clone(&shared));
        fn_service(move |client| accept::accept(Rc::clone(&desk), client))
    })
}
