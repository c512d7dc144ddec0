//! Preprocessors and postprocessors: chunks of bytes to chunks of bytes, before and behind the codec.
//! One file each.
//!
//! ```text
//! message ─► Preprocessors ─► chunk ─► codec ─► event ─► … ─► codec ─► chunk ─► Postprocessors ─► message
//! ```
//!
//! A preprocessor is *pulled*: it takes the bytes of one message and then hands out one chunk at a
//! time. So a message of a million empty lines never stands in memory as a million chunks, its owner
//! can let others have a turn between two of them (C3, C4), and an error keeps its place between the
//! chunks before and after it (C2).

mod lines;

use bytes::Bytes;

use crate::event::{Record, Value};

/// The names of all processors, for error texts.
const NAMES: &str = "\"lines\"";

/// Chunks from the wire to chunks for the codec. One value for each connection; it may buffer.
pub trait Preprocessor {
    /// Takes a message's bytes, or a part of them: `ends_message` tells that this is the last.
    ///
    /// May be called again once [`next`](Self::next) has returned `None`.
    fn feed(&mut self, chunk: Bytes, ends_message: bool);

    /// The next chunk that is complete; `None` when more has to be fed first.
    ///
    /// # Errors
    /// When the bytes are not what the preprocessor reads. It goes on after that: an error takes the
    /// place of one chunk.
    fn next(&mut self) -> Option<Result<Bytes, ProcessorError>>;

    /// The peer has closed and sends nothing more: what is not finished becomes chunks, by
    /// [`next`](Self::next). Called when `next` has returned `None`.
    fn finish(&mut self);

    /// The connection is gone: drops what is not finished. The error says what that was, if anything.
    fn abandon(&mut self) -> Option<ProcessorError>;

    /// Bytes that it holds: of what was fed and is not handed out.
    fn held(&self) -> usize;
}

/// Chunks from the codec to messages for the wire.
pub trait Postprocessor {
    /// Takes one chunk and appends the results to `out`.
    ///
    /// # Errors
    /// When the chunk cannot be written.
    fn process(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ProcessorError>;
}

/// A processor and its options, as the settings name it.
///
/// In settings: `"lines"`, or with options `{ name = "lines", buffered = true }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// `lines`; `buffered`: a line may span messages.
    Lines {
        /// Whether a line may span messages. Only a preprocessor buffers.
        buffered: bool,
    },
}

/// On which side of the codec a processor stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Between the wire and the codec.
    Pre,
    /// Between the codec and the wire.
    Post,
}

/// Why a processor could not go on, in words for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProcessorError(pub String);

/// Why a processor cannot be had as it was asked for, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No such name.
    #[error("no {side} is called {name:?}; there is {NAMES}", side = side.noun())]
    UnknownName {
        /// Where it was asked for.
        side: Side,
        /// What was asked for.
        name: String,
    },
    /// The processor has no such option.
    #[error("{name} has no option {option:?}; its options are {known}")]
    UnknownOption {
        /// The processor.
        name: &'static str,
        /// What was asked for.
        option: String,
        /// What there is.
        known: &'static str,
    },
    /// The option does nothing on that side.
    #[error("{name} takes the option {option:?} as a preprocessor only")]
    PreprocessorOnly {
        /// The processor.
        name: &'static str,
        /// The option.
        option: &'static str,
    },
    /// The option is there, but takes something else.
    #[error("{option} of {name} takes {takes}, not {found}")]
    WrongType {
        /// The processor.
        name: &'static str,
        /// The option.
        option: &'static str,
        /// What it takes.
        takes: &'static str,
        /// What it was given.
        found: &'static str,
    },
}

/// All preprocessors of one connection, in order. With none, a message is one chunk.
///
/// Each chunk of one preprocessor is a message of its own to the next.
#[derive(Default)]
pub struct Preprocessors {
    stages: Vec<Box<dyn Preprocessor>>,
    /// What is handed out when there are no stages.
    passing: Option<Bytes>,
    /// Whether the peer has closed, and how many stages have finished since.
    finishing: bool,
    finished: usize,
}

/// All postprocessors of one connection, in order. With none, a chunk is one message.
#[derive(Default)]
pub struct Postprocessors {
    stages: Vec<Box<dyn Postprocessor>>,
}

// === impl Side ===

impl Side {
    /// What stands there.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Pre => "preprocessor",
            Self::Post => "postprocessor",
        }
    }
}

// === impl Spec ===

impl Spec {
    /// The processor `name` with `options`, for use on `side`.
    ///
    /// ```
    /// # use towline::{event::{Record, Value}, processor::{Side, Spec}};
    /// let options = Record::from([("buffered".into(), Value::Bool(true))]);
    /// assert_eq!(Spec::parse(Side::Pre, "lines", &options), Ok(Spec::Lines { buffered: true }));
    /// ```
    ///
    /// # Errors
    /// When there is no such processor, or it does not take such an option on that side.
    pub fn parse(side: Side, name: &str, options: &Record) -> Result<Self, SpecError> {
        match name {
            "lines" => parse_lines(side, options),
            _ => Err(SpecError::UnknownName { side, name: name.to_owned() }),
        }
    }

    /// The name in the settings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lines { .. } => "lines",
        }
    }

    /// A preprocessor for one connection.
    pub fn preprocessor(&self) -> Box<dyn Preprocessor> {
        match *self {
            Self::Lines { buffered } => Box::new(lines::Split::new(buffered)),
        }
    }

    /// A postprocessor for one connection.
    pub fn postprocessor(&self) -> Box<dyn Postprocessor> {
        match self {
            Self::Lines { .. } => Box::new(lines::Join),
        }
    }
}

fn parse_lines(side: Side, options: &Record) -> Result<Spec, SpecError> {
    let mut buffered = false;
    for (option, value) in options {
        buffered = match (&**option, value) {
            ("buffered", _) if side == Side::Post => {
                return Err(SpecError::PreprocessorOnly { name: "lines", option: "buffered" });
            }
            ("buffered", Value::Bool(flag)) => *flag,
            ("buffered", other) => {
                return Err(SpecError::WrongType {
                    name: "lines",
                    option: "buffered",
                    takes: "true or false",
                    found: other.type_name(),
                });
            }
            _ => {
                let option = option.to_string();
                return Err(SpecError::UnknownOption { name: "lines", option, known: "\"buffered\"" });
            }
        };
    }
    Ok(Spec::Lines { buffered })
}

// === impl Preprocessors ===

impl Preprocessors {
    /// Fresh preprocessors for one connection.
    pub fn new(specs: &[Spec]) -> Self {
        Self { stages: specs.iter().map(Spec::preprocessor).collect(), ..Self::default() }
    }

    /// Takes one whole message.
    ///
    /// May be called again once [`next`](Self::next) has returned `None`.
    pub fn feed(&mut self, message: Bytes) {
        match self.stages.first_mut() {
            Some(first) => first.feed(message, true),
            None => self.passing = Some(message),
        }
    }

    /// The next chunk for the codec; `None` when another message has to be fed first.
    ///
    /// # Errors
    /// A preprocessor's; it stands in the place of one chunk, and more may follow.
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end: feed and ask again")]
    pub fn next(&mut self) -> Option<Result<Bytes, ProcessorError>> {
        if self.stages.is_empty() {
            return self.passing.take().map(Ok);
        }
        loop {
            if let Some(piece) = pull(&mut self.stages) {
                return Some(piece);
            }
            // Each stage finishes behind the one before it, which feeds it until then.
            let stage = self.stages.get_mut(self.finished).filter(|_| self.finishing)?;
            stage.finish();
            self.finished += 1;
        }
    }

    /// The peer has closed and sends nothing more: what is not finished is handed out by
    /// [`next`](Self::next).
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// The connection is gone: drops what is not finished. The error says what that was, if anything.
    pub fn abandon(&mut self) -> Option<ProcessorError> {
        self.stages.iter_mut().filter_map(|stage| stage.abandon()).next_back()
    }

    /// Bytes that they hold: of what was fed and is not handed out.
    pub fn held(&self) -> usize {
        let passing = self.passing.as_ref().map_or(0, Bytes::len);
        passing + self.stages.iter().map(|stage| stage.held()).sum::<usize>()
    }
}

/// The next chunk of the last of `stages`, fed by those before it.
fn pull(stages: &mut [Box<dyn Preprocessor>]) -> Option<Result<Bytes, ProcessorError>> {
    let (last, before) = stages.split_last_mut()?;
    loop {
        if let Some(piece) = last.next() {
            return Some(piece);
        }
        match pull(before)? {
            Ok(chunk) => last.feed(chunk, true),
            Err(error) => return Some(Err(error)),
        }
    }
}

// === impl Postprocessors ===

impl Postprocessors {
    /// Fresh postprocessors for one connection.
    pub fn new(specs: &[Spec]) -> Self {
        Self { stages: specs.iter().map(Spec::postprocessor).collect() }
    }

    /// Appends the messages that `chunk` becomes to `out`.
    ///
    /// # Errors
    /// A postprocessor's. What `out` holds of this chunk is then not complete.
    pub fn process(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ProcessorError> {
        push(&mut self.stages, chunk, out)
    }
}

fn push(
    stages: &mut [Box<dyn Postprocessor>],
    chunk: Bytes,
    out: &mut Vec<Bytes>,
) -> Result<(), ProcessorError> {
    match stages {
        [] => out.push(chunk),
        [last] => last.process(chunk, out)?,
        [first, rest @ ..] => {
            let mut between = Vec::new();
            first.process(chunk, &mut between)?;
            for piece in between {
                push(rest, piece, out)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
