//! Towline: a programmable, supervised WebSocket proxy.
//!
//! The modules, in the order in which a message passes them:
//!
//! ```text
//! cli, commands               the command line, and a module for each command
//! settings, log               the checked settings; the log
//! listener                    accepts a client's connection and answers its handshake
//! router                      which route a request takes
//! header_list                 header values that are lists, headers of one connection
//! spelling                    header names as the RFCs spell them
//! path                        paths of URLs, compared and checked
//! wiring                      starts and connects the actors of its session
//! wire, format                frames ⇄ messages ⇄ data (processor, codec)
//! channel                     socket, frames, format and byte budget: one bounded stream of events
//! session                     the client's actor: accepts events, settles each, keeps order
//! rate                        rate limits on clients
//! flow, event                 types that travel between actors: envelopes, tickets, permits
//! pipeline, trickle           programs over events
//! connector                   the upstream's actor: one connection, what it owes
//! supervisor                  above the connectors: restarts, losses
//! upstream                    what all sessions share of an upstream: endpoint, pace of reconnects; dials
//! policy                      what happens to a client on the loss of its upstream and on failures
//! reply                       failures in words
//! net                         streams, socket options, names, connecting
//! userinfo                    user and password of a URL
//! turn, ticker, deadline      one turn of an actor with a socket; its timers
//! memory                       memory of queues
//! status, drain, admin        process-wide counts, the drain, health pages
//! echo                        the demo upstream
//! tools                       programs without a proxy: evaluation and formatting
//! ```

pub mod admin;
pub mod channel;
pub mod cli;
pub mod codec;
pub mod commands;
pub mod connector;
pub mod deadline;
pub mod drain;
pub mod echo;
pub mod flow;
pub mod format;
pub mod header_list;
pub mod listener;
pub mod log;
pub mod net;
pub mod path;
pub mod pipeline;
pub mod policy;
pub mod processor;
pub mod rate;
pub mod reply;
pub mod router;
pub mod session;
pub mod settings;
pub mod spelling;
pub mod status;
pub mod supervisor;
pub mod tools;
pub mod turn;
pub mod upstream;
pub mod userinfo;
pub mod wiring;

pub use towline_event as event;
pub use towline_trickle as trickle;
pub use towline_wire as wire;

use std::{future::Future, io, sync::Arc};

use actix_server::Server;
use tokio::sync::watch;

use crate::{drain::drain, listener::ServerState, net::Listening, settings::Settings, status::Status};

/// Lowest limit on connections per worker, handshakes in progress included.
const CONNECTIONS_MIN: usize = 25_000;

/// Runs the proxy until `shutdown` is ready, then drains it (C9). Call it on an actix system.
///
/// # Errors
/// When a socket cannot be opened; the error names the address and its key.
pub async fn run(settings: Settings, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    for warning in settings.warnings().flat_map(trickle::Diagnostics::lines) {
        ::log::warn!("program warning text={}", log::Quoted(&warning));
    }
    for section in settings.unused() {
        ::log::warn!("settings warning text=\"[{section}] has no effect: no route names it\"");
    }
    let status = Arc::new(Status::default());
    let (orders, drain_order) = watch::channel(None);
    let sessions = listener::capacity(settings.server.max_sessions);
    let shared = Arc::new(ServerState::new(&settings, sessions, Arc::clone(&status), drain_order));
    let mut server = Server::build()
        .workers(settings.server.workers)
        // High enough that actix's own limit is never the one that is reached.
        .max_concurrent_connections(CONNECTIONS_MIN.max(2 * settings.server.max_handshakes))
        .disable_signals();
    for state in &shared.listeners {
        let listening = listener::bind(&state.listener)?;
        log_listening(&format!("listener={}", state.listener.name), &listening)?;
        for socket in listening.sockets {
            server = listener::serve(server, socket, state, &shared)?;
        }
    }
    let admin = settings.admin.as_ref().map(|admin| {
        let listening = admin::bind(admin)?;
        log_listening("admin", &listening)?;
        admin::serve(listening.sockets, Arc::clone(&status))
    });
    let admin = admin.transpose()?;
    let admin_handle = admin.as_ref().map(|admin| admin.handle());
    let server = server.run();
    let handle = server.handle();
    let servers = actix_rt::spawn(server);
    let admin = admin.map(actix_rt::spawn);
    shutdown.await;
    drain(&settings.drain, &status, &orders).await;
    handle.stop(false).await;
    if let (Some(handle), Some(admin)) = (admin_handle, admin) {
        handle.stop(false).await;
        let _ = admin.await;
    }
    let _ = servers.await;
    ::log::info!("stopped");
    Ok(())
}

/// Writes one line for each address, and one for each that this machine does not have.
fn log_listening(who: &str, listening: &Listening) -> io::Result<()> {
    for socket in &listening.sockets {
        ::log::info!("listening {who} address={}", socket.local_addr()?);
    }
    for (address, error) in &listening.skipped {
        ::log::info!("address skipped {who} address={address}: {error}");
    }
    Ok(())
}
