//! Listeners: accept connections, check and answer their handshakes, and start sessions.
//!
//! ```text
//! open ─► accept ─► handshake ─► session
//!                      ├─ proxy_header: the client's address behind a balancer
//!                      ├─ admission: limits on sessions and addresses
//!                      ├─ router: selects the route of the request
//!                      └─ exchange: a request that does not ask for a WebSocket
//! ```
//! Each listener is opened and closed independently, and runs on every worker thread. A session stays on the
//! worker thread that received its connection.

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
mod renewal;
mod state;
mod worker;

pub use self::{
    capacity::capacity,
    configuration::Routing,
    open::{Backlog, OpenListener, OpenSocket, ReadySocket},
    state::ServerState,
};
