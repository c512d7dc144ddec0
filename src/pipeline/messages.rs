//! The pipeline's interface: the program that it runs, and the messages it handles.
//!
//! | message | from | plane |
//! |---|---|---|
//! | [`DataMessage`] | the previous pipeline; for the first pipeline, session, connector or supervisor | data |
//! | [`Attach`] | supervisor, to the last incoming pipeline | control |
//!
//! It sends `DataMessage` to its [`Output`](super::Output), and events for ports `reply` and `err` to the session.

use actix::Message;

use crate::{
    event::Event,
    flow::{DataMessage, Edge},
    trickle::{Port, RuntimeError},
};

/// A stage turns one event into any number of events: the instance of a program, or a double in a test.
pub trait Stage {
    /// Appends the events that `event` becomes to `outputs`. An event for which nothing is appended is
    /// dropped.
    ///
    /// # Errors
    /// When the program fails on the event. `outputs` is then unchanged.
    fn run(
        &mut self,
        event: Event,
        now_ns: u64,
        outputs: &mut Vec<(Port, Event)>,
    ) -> Result<(), RuntimeError>;
}

/// Supervisor → the last actor before the upstream, control plane: the connector to which events go from now
/// on, or `None`.
///
/// There is no reply. There are three `Attach`es in a connector's life, so they always fit in the
/// `CONTROL_ROOM` of the mailbox.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Attach(pub Option<Edge<DataMessage>>);
