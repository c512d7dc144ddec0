//! The ports by which events leave a program.

/// The destination of a program's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Port {
    /// The next stage: the next pipeline, the upstream or the client.
    Out,
    /// The error pipelines, as an error event.
    Err,
    /// The client, as the reply to its event.
    Reply,
}
