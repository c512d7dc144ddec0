//! The stream language.

use crate::event::Event;

/// A compiled program.
#[derive(Debug)]
pub struct Program {
    replies: bool,
}

/// Where an output of a program goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// On to the next room.
    Out,
    /// To the errors pipelines.
    Err,
    /// To the client, as the answer.
    Reply,
}

/// Why a program failed on an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RuntimeError(pub String);

/// A program with the state of one session.
#[derive(Debug)]
pub struct Instance;

impl Instance {
    /// Runs the program over one event.
    pub fn run(
        &mut self,
        _event: Event,
        _now_ns: u64,
        _outputs: &mut Vec<(Port, Event)>,
    ) -> Result<(), RuntimeError> {
        Ok(())
    }
}

/// Why a program did not compile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Diagnostics(pub String);

impl Program {
    /// Stands in for the compiler: takes anything that begins with a statement.
    pub fn compile(name: &str, source: &str) -> Result<Self, Diagnostics> {
        let code = source.lines().find(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        if code.is_some_and(|line| line.starts_with("select") || line.starts_with("create")) {
            return Ok(Self { replies: source.contains("into reply") });
        }
        Err(Diagnostics(format!("{name}:1:1: expected a statement\n  | {}\n  | ^", code.unwrap_or_default())))
    }

    /// Whether a statement sends events to `port`.
    pub fn uses_port(&self, port: Port) -> bool {
        port == Port::Reply && self.replies
    }
}

impl Program {
    /// stub
    pub fn is_identity(&self) -> bool {
        !self.replies
    }
    /// stub
    pub fn reads_meta(&self) -> bool {
        false
    }
    /// stub
    pub fn instance(&self) -> Instance {
        Instance
    }
}
