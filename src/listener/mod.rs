//! Listeners: the sockets that take clients, their handshakes, and the start of a session.
//!
//! Each listener runs on every worker thread; a session stays on the thread that accepted it.

mod accept;
mod desk;
mod forward;
mod handshake;

use std::{convert::Infallible, io, net::TcpListener, rc::Rc, sync::Arc};

use actix_http::{HttpService, KeepAlive, Request, Response, body::BoxBody};
use actix_server::ServerBuilder;
use actix_service::{fn_factory, fn_service};

pub use desk::{Desk, Shared};

use self::handshake::Refusal;
use crate::settings::Listener;

/// Opens the listener's socket.
///
/// # Errors
/// When the address cannot be had; the text names address and key.
pub fn bind(listener: &Listener) -> io::Result<TcpListener> {
    TcpListener::bind(listener.bind).map_err(|error| {
        let (bind, name) = (listener.bind, &listener.name);
        io::Error::new(error.kind(), format!("cannot listen on {bind} (listener.{name}.bind): {error}"))
    })
}

/// Adds the listener to the server: handshakes go to `accept`, anything else is told what is spoken
/// here.
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
        let upgrade = fn_factory(move || {
            let desk = Rc::clone(&desk);
            async move {
                Ok::<_, ()>(fn_service(move |(request, framed)| {
                    accept::accept(Rc::clone(&desk), request, framed)
                }))
            }
        });
        HttpService::build()
            .keep_alive(KeepAlive::Disabled)
            .client_request_timeout(listener.handshake_timeout)
            .tcp_nodelay(true)
            .upgrade(upgrade)
            .h1(fn_service(no_upgrade))
            .tcp()
    })
}

/// The answer to a request whose connection the HTTP server does not upgrade: what is wrong with it as a
/// handshake.
async fn no_upgrade(request: Request) -> Result<Response<BoxBody>, Infallible> {
    let refusal = handshake::check(request.head()).err();
    Ok(refusal.unwrap_or_else(Refusal::no_websocket).response().map_into_boxed_body())
}
