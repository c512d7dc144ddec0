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
    flow::{DataMessage, Edge, Mark},
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

/// Supervisor → the last actor before the upstream, control plane: the target to which events go from now on.
///
/// The reply is `mark`, as [`DataMessage::Mark`]. The old target gets it behind the events sent so far. There are two
/// `Attach`es in a connector's life, so they always fit in the `CONTROL_ROOM` of the mailbox.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Attach {
    /// The connector; `None` is the supervisor.
    pub connector: Option<Edge<DataMessage>>,
    /// The mark that ends the events to the old target.
    pub mark: Mark,
}
