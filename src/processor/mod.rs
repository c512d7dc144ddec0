//! Preprocessors and postprocessors transform chunks of bytes before and after the codec. There is one file
//! for each.
//!
//! ```text
//! message ─► Preprocessors ─► chunk ─► codec ─► event ─► … ─► codec ─► chunk ─► Postprocessors ─► message
//! ```
//!
//! A preprocessor is *pulled*: it accepts the bytes of one message, then returns one chunk at a time. So a
//! message of a million empty lines is never held as a million chunks, other sessions get their turn between
//! two chunks (guarantees C3, C4), and an error keeps its place between the chunks around it (C2).

mod lines;

use bytes::Bytes;

use crate::{
    event::{Record, Value},
    format_error::FormatError,
};

/// The names of all processors, for error texts.
const NAMES: &str = "\"lines\"";

/// A preprocessor transforms incoming bytes into chunks for the codec. Each connection has a separate
/// instance, which may buffer bytes.
pub trait Preprocessor {
    /// Accepts the bytes of a message, or a part of them. `ends_message` is whether this is the last part.
    ///
    /// Call it only after [`next`](Self::next) has returned `None`.
    fn feed(&mut self, chunk: Bytes, ends_message: bool);

    /// The next complete chunk; `None` when more input is needed.
    ///
    /// # Errors
    /// When the preprocessor cannot process the bytes. The error stands for one chunk, and the preprocessor
    /// continues with the next.
    fn next(&mut self) -> Option<Result<Bytes, FormatError>>;

    /// Marks the end of input, after the peer has closed. [`next`](Self::next) then returns incomplete input
    /// as chunks. Call it only after `next` has returned `None`.
    fn finish(&mut self);

    /// Drops incomplete input after the connection was lost. Returns the error to report for it; `None` if
    /// there was no input.
    fn abandon(&mut self) -> Option<FormatError>;

    /// Number of bytes that were accepted as input and not returned yet.
    fn held(&self) -> usize;

    /// Whether a message would begin or end within a chunk. Call it only before the message is fed. No message does if a
    /// chunk does not span messages.
    fn splits(&self, message: &[u8]) -> bool {
        let _ = message;
        false
    }
}

/// A postprocessor transforms chunks from the codec into messages.
pub trait Postprocessor {
    /// Transforms one chunk, and appends the results to `out`.
    ///
    /// # Errors
    /// When the postprocessor cannot process the chunk.
    fn process(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), FormatError>;
}

/// A processor and its options, as the settings name it.
///
/// In the settings it is written as `"lines"`, or with options as `{ name = "lines", buffered = true }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// `lines`, optionally buffered.
    Lines {
        /// Whether a line may span messages. This option is for preprocessors only.
        buffered: bool,
    },
}

/// The side of the codec on which a processor works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Before the codec, on incoming messages.
    Pre,
    /// After the codec, on outgoing messages.
    Post,
}

/// The reason why a processor in the settings is refused, as a text for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// There is no processor with this name.
    #[error("no {side} is called {name:?}; there is {NAMES}", side = side.noun())]
    UnknownName {
        /// The side on which the processor was named.
        side: Side,
        /// The name in the settings.
        name: String,
    },
    /// The processor has no such option.
    #[error("{name} has no option {option:?}; its options are {known}")]
    UnknownOption {
        /// The name of the processor.
        name: &'static str,
        /// The option in the settings.
        option: String,
        /// The options of the processor.
        known: &'static str,
    },
    /// The option has no effect on that side.
    #[error("{name} takes the option {option:?} as a preprocessor only")]
    PreprocessorOnly {
        /// The name of the processor.
        name: &'static str,
        /// The name of the option.
        option: &'static str,
    },
    /// The option exists but does not accept this value.
    #[error("{option} of {name} takes {takes}, not {found}")]
    WrongType {
        /// The name of the processor.
        name: &'static str,
        /// The name of the option.
        option: &'static str,
        /// The values that the option accepts.
        takes: &'static str,
        /// The value in the settings.
        found: &'static str,
    },
}

/// All preprocessors of one connection, in order. Without preprocessors, a message is one chunk.
///
/// Each chunk of one preprocessor is a whole message for the next.
#[derive(Default)]
pub struct Preprocessors {
    stages: Vec<Box<dyn Preprocessor>>,
    /// The next message to return when there are no stages.
    passing: Option<Bytes>,
    /// Whether the peer has closed, so that the stages end their input one after another.
    finishing: bool,
    /// Number of stages that have ended their input since.
    finished: usize,
}

/// All postprocessors of one connection, in order. Without postprocessors, a chunk is one message.
#[derive(Default)]
pub struct Postprocessors {
    stages: Vec<Box<dyn Postprocessor>>,
}

// === impl Side ===

impl Side {
    /// The name of the side's processors in error texts.
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
    /// When there is no such processor, or when it does not accept such an option on that side.
    pub fn parse(side: Side, name: &str, options: &Record) -> Result<Self, SpecError> {
        match name {
            "lines" => parse_lines(side, options),
            _ => Err(SpecError::UnknownName { side, name: name.to_owned() }),
        }
    }

    /// The processor's name in the settings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lines { .. } => "lines",
        }
    }

    /// Creates a preprocessor for one connection.
    pub fn preprocessor(&self) -> Box<dyn Preprocessor> {
        match *self {
            Self::Lines { buffered } => Box::new(lines::Split::new(buffered)),
        }
    }

    /// Creates a postprocessor for one connection.
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
    /// Creates the preprocessors of one connection.
    pub fn new(specs: &[Spec]) -> Self {
        Self { stages: specs.iter().map(Spec::preprocessor).collect(), ..Self::default() }
    }

    /// Starts processing a whole message.
    ///
    /// Call it only after [`next`](Self::next) has returned `None`.
    pub fn feed(&mut self, message: Bytes) {
        match self.stages.first_mut() {
            Some(first) => first.feed(message, true),
            None => self.passing = Some(message),
        }
    }

    /// The next chunk for the codec; `None` when another message is needed.
    ///
    /// # Errors
    /// The error of a preprocessor. It stands for one chunk, and more chunks may follow.
    #[expect(clippy::should_implement_trait, reason = "`None` is not the end: feed and ask again")]
    pub fn next(&mut self) -> Option<Result<Bytes, FormatError>> {
        if self.stages.is_empty() {
            return self.passing.take().map(Ok);
        }
        loop {
            if let Some(piece) = pull(&mut self.stages) {
                return Some(piece);
            }
            // A stage's input ends only after the stage before it, which feeds it, has ended.
            let stage = self.stages.get_mut(self.finished).filter(|_| self.finishing)?;
            stage.finish();
            self.finished += 1;
        }
    }

    /// Marks the end of input, after the peer has closed. [`next`](Self::next) then returns incomplete input.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// Drops incomplete input after the connection was lost. Returns the error to report for it; `None` if
    /// there was no input.
    pub fn abandon(&mut self) -> Option<FormatError> {
        self.stages.iter_mut().filter_map(|stage| stage.abandon()).next_back()
    }

    /// Whether a message would begin or end within a chunk. Call it only before the message is fed.
    pub fn splits(&self, message: &[u8]) -> bool {
        match self.stages.as_slice() {
            [only] => only.splits(message),
            // What a later stage gets of the message is not known, so it counts as the begin of a chunk.
            [first, later @ ..] => first.splits(message) || later.iter().any(|stage| stage.splits(b" ")),
            [] => false,
        }
    }

    /// Number of bytes that were accepted as input and not returned yet.
    pub fn held(&self) -> usize {
        let passing = self.passing.as_ref().map_or(0, Bytes::len);
        passing + self.stages.iter().map(|stage| stage.held()).sum::<usize>()
    }
}

/// The next chunk from the last of `stages`; `None` if more input is needed. Each of the earlier stages feeds
/// the one after it.
fn pull(stages: &mut [Box<dyn Preprocessor>]) -> Option<Result<Bytes, FormatError>> {
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
    /// Creates the postprocessors of one connection.
    pub fn new(specs: &[Spec]) -> Self {
        Self { stages: specs.iter().map(Spec::postprocessor).collect() }
    }

    /// Appends the messages for `chunk` to `out`.
    ///
    /// # Errors
    /// The error of a postprocessor. `out` then holds an incomplete result for this chunk.
    pub fn process(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), FormatError> {
        push(&mut self.stages, chunk, out)
    }
}

fn push(
    stages: &mut [Box<dyn Postprocessor>],
    chunk: Bytes,
    out: &mut Vec<Bytes>,
) -> Result<(), FormatError> {
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
