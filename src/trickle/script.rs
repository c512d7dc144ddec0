//! A script without a program around it.

use std::sync::Arc;

use super::{
    code::{Act, PortNumber},
    compile::{Compiler, Place},
    diagnostic::{Diagnostics, Fault, RuntimeError},
    eval::{
        Steps,
        script::{self, Ending, Frame, State, checked},
    },
    message::Message,
    parser,
    source::{Source, Span},
};
use crate::event::{Event, Value};

/// A compiled script of its own, with its state: what stands between `script` and `end` in a program.
///
/// ```
/// # use towline::trickle::Script;
/// let script = Script::compile("double.tremor", "event * 2").unwrap();
/// assert_eq!(script.ports().collect::<Vec<_>>(), ["out"]);
/// ```
#[derive(Debug)]
pub struct Script {
    source: Arc<Source>,
    body: Box<[Act]>,
    /// The last statement: what the script yields comes from here, unless it emits.
    last: Span,
    locals: usize,
    ports: Vec<String>,
    state: State,
}

// === impl Script ===

impl Script {
    /// Compiles a script. `name` is what errors call it.
    ///
    /// # Errors
    /// All errors of the script at once.
    pub fn compile(name: &str, source: &str) -> Result<Self, Diagnostics> {
        super::program::bounded(name, source)?;
        let (body, mut errors) = parser::parse_script(source);
        let last = body.last().map_or(Span::new(0, 0), |statement| statement.span);
        let args = Value::record::<&str>([]);
        let mut compiler = Compiler::new(Place::Script, &args, &mut errors);
        let body = compiler.body(&body).into();
        let locals = compiler.locals();
        let ports = compiler.into_ports();
        let source = Arc::new(Source::new(name, source));
        if errors.is_empty() {
            Ok(Self { source, body, last, locals, ports, state: State::default() })
        } else {
            Err(Diagnostics::new(source, errors))
        }
    }

    /// The ports that the script may emit to, `out` first.
    pub fn ports(&self) -> impl Iterator<Item = &str> {
        self.ports.iter().map(String::as_str)
    }

    /// Runs the script over one event. Gives what leaves it, if anything does, and by which port.
    ///
    /// # Errors
    /// When an expression fails, or a limit is reached. The state keeps what was written to it before.
    pub fn run(&mut self, event: Event) -> Result<Option<(&str, Event)>, RuntimeError> {
        let Event { id, data, meta, ingest_ns } = event;
        match self.ending(Message::new(data, meta)) {
            Ok(None) => Ok(None),
            Ok(Some((port, message))) => {
                let port = self.ports.get(port).map_or("out", String::as_str);
                Ok(Some((port, message.into_event(id, ingest_ns))))
            }
            Err(fault) => Err(RuntimeError::new(Arc::clone(&self.source), fault)),
        }
    }

    fn ending(&mut self, message: Message) -> Result<Option<(PortNumber, Message)>, Box<Fault>> {
        let steps = Steps::new();
        let mut frame =
            Frame { message, state: &mut self.state, locals: vec![None; self.locals], steps: &steps };
        Ok(match script::run(&self.body, &mut frame)? {
            Ending::Event(port) => Some((port, frame.message)),
            Ending::Value(port, value) => {
                let value = checked(value, self.last)?;
                Some((port, Message::of(value, frame.message.meta)))
            }
            Ending::Dropped => None,
        })
    }
}
