//! A connector: the actor that owns one connection to an upstream, from its dialing to its end.
//!
//! It is never restarted itself; its supervisor starts another one, with the next [`Generation`]. Its
//! states:
//!
//! * *Dialing*: the handshake is under way; events wait.
//! * *Up*: events are sent, messages come back.
//! * *Closing*: the session is over; the closing handshake is under way.
//! * *Ended*: what still comes in goes back to the supervisor, until nobody holds its address.

mod actor;
pub mod dial;
pub mod exchange;
#[cfg(test)]
mod exchange_tests;
mod messages;
pub mod refused;

pub use actor::{Connector, Start, Ties};
pub use messages::{Close, Ended, Fact, Generation, Report};
