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
    /// The session's journal: what the event is, so that the session can continue on another connection.
    Journal,
    /// The session: the upstream announces the end of its connection, so that the session moves to another one.
    Move,
}

impl Port {
    /// All ports, in the order in which error texts list them.
    pub const ALL: [Self; 5] = [Self::Out, Self::Err, Self::Reply, Self::Journal, Self::Move];

    /// The name in programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
            Self::Reply => "reply",
            Self::Journal => "journal",
            Self::Move => "move",
        }
    }
}
