//! Listeners: accept connections, check and answer their handshakes, and start sessions.
//!
//! ```text
//! open ─► accept ─► handshake ─► session
//!                      ├─ proxy_header: the client's address behind a balancer
//!                      ├─ admission: limits on sessions and addresses
//!                      ├─ router: selects the route of the request
//!                      └─ exchange: a request that does not ask for a WebSocket
//! ```
//! Each listener is opened and closed alone, and runs on every worker thread. A session stays on the thread
//! that accepted its connection.

mod accept;
mod admission;
mod answer;
mod capacity;
mod certificates;
mod configuration;
mod exchange;
mod handshake;
mod log_throttle;
mod open;
mod proxy_header;
mod refusals;
mod state;
mod worker;

use std::io;

pub use self::{capacity::capacity, configuration::Routing, open::OpenListener, state::ServerState};

use crate::{
    net::{self, Listening},
    settings::Listener,
};

/// Opens the listener's sockets, one for each address.
///
/// # Errors
/// When the proxy cannot listen on an address. The text names the address and the settings key.
pub fn bind(listener: &Listener) -> io::Result<Listening> {
    net::listen(&listener.bind).map_err(|error| {
        let text = format!("cannot listen on {error} (listener.{}.bind)", listener.name);
        io::Error::new(error.kind(), text)
    })
}
