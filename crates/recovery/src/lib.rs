//! Recovery of a session's state at a new upstream connection.
//!
//! Many protocols keep state on the connection: a login, subscriptions. A new connection does not know it. The
//! [`Journal`] of a session reads the messages of both directions, keeps those that a new connection needs, and sends
//! them again there, so that the client notices nothing but a [`Gap`].
//!
//! ```text
//!             client()                      Send
//! client ═══════════════► Journal ═════════════════════► upstream
//!        ◄═══════════════   │  ▲  ◄═════════════════════
//!         Deliver, Notice   │  │       upstream()
//!                    poll() ▼  │ lost(), connected()
//!                         caller
//! ```
//!
//! - *hello* logs in: sent again first.
//! - *open* begins a subscription: sent again in the client's order. The answer is hidden.
//! - *close* ends it: the journal forgets it.
//! - *data* belongs to a subscription: an id that the upstream assigned is replaced by the one that the client knows.
//!
//! A [`Protocol`] is one of the presets, or [`Patterns`] of JSON messages from the settings; a program classifies the
//! messages of any other ([`Journal::client_as`]). Messages keep their bytes, except for the ids. Everything else
//! passes unread and is never sent twice.
//!
//! This crate uses no actors, sockets or clocks. In the proxy, a session's supervisor owns the journal and lends it to
//! the connector of each new connection; the settings are those of `recovery` in `[upstream.NAME]`.

mod class;
mod engine;
mod journal;
mod json;
mod kind;
mod mqtt;
mod outcome;
mod preset;
mod settings;
mod statement;

pub use self::class::{ClientClass, Named, UpstreamClass};
pub use self::journal::{Journal, Recovery};
pub use self::json::{Pattern, PatternError, Patterns, Recognizer, Test};
pub use self::outcome::{
    Broken, ClientStep, Failure, Gap, GapEntry, Heartbeat, Loss, Lost, Message, Missing, Offline, Output,
    Reason, UpstreamStep,
};
pub use self::preset::Protocol;
pub use self::settings::{InFlight, Limits, Settings};
pub use self::statement::{ClassError, check_class};
