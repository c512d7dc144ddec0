//! Upstreams: the servers that sessions connect to.
//!
//! * [`dial`]: connects to a server and completes the WebSocket handshake; `request` prepares the handshake's
//!   request and checks the answer.
//! * [`refused`]: an upstream's answer that refuses the handshake.
//! * [`Pacer`]: when reconnects to one upstream may begin, for all sessions together.

pub mod dial;
mod error;
mod pacer;
pub mod refused;
mod request;

pub use dial::{DialPlan, Dialed, Dialing, First};
pub use error::DialError;
pub use pacer::Pacer;
