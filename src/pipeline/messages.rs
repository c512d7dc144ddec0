//! The pipeline's interface: what it runs, and what it takes.
//!
//! | message | from | plane |
//! |---|---|---|
//! | [`DataMessage`] | the pipeline before it; the first one's from session, connector or supervisor | data |
//! | [`Attach`] | supervisor, to the last incoming pipeline | control |
//!
//! It sends `DataMessage` to its [`Output`](super::Output), and events for ports `reply` and `err` to the session.

use actix::Message;

use crate::{
    event::Event,
    flow::{DataMessage, Edge},
    trickle::{Port, RuntimeError},
};

/// Turns one event into any number of events: a program's instance, or a double in a test.
pub trait Stage {
    /// Appends the events that `event` becomes to `outputs`. Appending nothing drops the event.
    ///
    /// # Errors
    /// When the program fails on the event; `outputs` is unchanged.
    fn run(
        &mut self,
        event: Event,
        now_ns: u64,
        outputs: &mut Vec<(Port, Event)>,
    ) -> Result<(), RuntimeError>;
}

/// Supervisor → the last actor before the upstream, control plane: the connector to send to from now on, or
/// `None`.
///
/// Reply: none. On full: cannot happen; there are three of them in a connector's life, which `CONTROL_ROOM`
/// allows for.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Attach(pub Option<Edge<DataMessage>>);
