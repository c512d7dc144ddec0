//! The ports by which events leave a program.

/// Where an output of a program goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Port {
    /// To the next stage of the message's path.
    Out,
    /// To the error pipelines.
    Err,
    /// To the client, as the answer.
    Reply,
}
