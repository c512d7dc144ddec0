//! Standalone scripts.

use std::sync::Arc;

use crate::{
    code::{Act, PortNumber},
    compile::{Args, Compiler, ExprContext, scope::Binding, world::World},
    diagnostic::{Diagnostics, Fault, RuntimeError},
    eval::script::{self, Ending, ScriptFrame, State, checked},
    files::{Loaded, Modules, NoModules, load_script},
    library::Context,
    message::Message,
    source::{Sources, Span},
    value::{cost::Steps, limits::Limits},
};
use towline_event::Event;

/// A compiled standalone script, with its state. The text is what a program has between `script` and `end`.
///
/// ```
/// # use towline_trickle::Script;
/// let script = Script::compile("double.tremor", "event * 2").unwrap();
/// assert_eq!(script.ports().collect::<Vec<_>>(), ["out"]);
/// ```
#[derive(Debug)]
pub struct Script {
    sources: Arc<Sources>,
    limits: Limits,
    body: Box<[Act]>,
    /// Span of the last statement. Its value is the result unless the script emits.
    last: Span,
    locals: usize,
    ports: Vec<String>,
    state: State,
    warnings: Option<Diagnostics>,
}

// === impl Script ===

impl Script {
    /// Compiles a script. Errors name the script as `name`.
    ///
    /// # Errors
    /// All errors of the script.
    pub fn compile(name: &str, source: &str) -> Result<Self, Diagnostics> {
        Self::compile_with(name, source, &NoModules, Limits::default())
    }

    /// Compiles a script that may `use` modules. `limits` bounds the cost of each event.
    ///
    /// # Errors
    /// All errors of the script and its modules.
    pub fn compile_with(
        name: &str,
        source: &str,
        modules: &dyn Modules,
        limits: Limits,
    ) -> Result<Self, Diagnostics> {
        let Loaded { files, sources, errors } = load_script(name, source, modules)?;
        let mut world = World::new(&files, limits, errors);
        let compiled = world.definitions().into_iter().find_map(|definition| match definition {
            Binding::Script(definition, scopes) => {
                Some((definition.blocks.last()?.script.as_ref()?, *scopes.blocks.last()?))
            }
            _ => None,
        });
        let compiled = compiled.map(|(script, scope)| {
            let last = script.body.last().map_or(Span::new(0, 0), |statement| statement.span);
            let args = Args::none();
            let mut compiler = Compiler::new(&mut world, scope, ExprContext::Script, &args);
            let body: Box<[Act]> = compiler.body(&script.body).into();
            let locals = compiler.locals();
            let ports: Vec<String> = compiler.into_ports().into_iter().map(|port| port.name).collect();
            (body, last, locals, ports)
        });
        world.compile_all();
        match compiled {
            Some((body, last, locals, ports)) if world.errors.is_empty() => {
                let warnings = Diagnostics::warnings(Arc::clone(&sources), world.warnings);
                Ok(Self { sources, limits, body, last, locals, ports, state: State::default(), warnings })
            }
            _ => Err(Diagnostics::new(sources, world.errors)),
        }
    }

    /// Likely mistakes that do not prevent the script from running; `None` if there are none.
    pub fn warnings(&self) -> Option<&Diagnostics> {
        self.warnings.as_ref()
    }

    /// The ports that the script may emit to; `out` is the first.
    pub fn ports(&self) -> impl Iterator<Item = &str> {
        self.ports.iter().map(String::as_str)
    }

    /// Runs the script over one event. Returns the outgoing event with its port, or `None` if the event is
    /// dropped. `now_ns` is the current time for the script, in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// When an expression fails or a limit is reached. The state keeps what was written to it before the failure.
    pub fn run(&mut self, event: Event, now_ns: u64) -> Result<Option<(&str, Event)>, RuntimeError> {
        let Event { id, data, meta, origin, ingest_ns } = event;
        let context =
            Context { now_ns, ingest_ns, origin: origin.as_deref(), size_max: self.limits.max_value };
        match self.ending(Message::new(data, meta), &context) {
            Ok(None) => Ok(None),
            Ok(Some((port, message))) => {
                let port = self.ports.get(port).map_or("out", String::as_str);
                Ok(Some((port, message.into_event(id, origin.clone(), ingest_ns))))
            }
            Err(fault) => Err(RuntimeError::new(Arc::clone(&self.sources), fault)),
        }
    }

    fn ending(
        &mut self,
        message: Message,
        context: &Context<'_>,
    ) -> Result<Option<(PortNumber, Message)>, Box<Fault>> {
        let steps = Steps::new(self.limits);
        let locals = vec![None; self.locals];
        // The caller of the script receives events from all of its ports.
        let err_is_read = true;
        let mut frame =
            ScriptFrame { message, state: &mut self.state, locals, steps: &steps, context, err_is_read };
        Ok(match script::run(&self.body, &mut frame)? {
            Ending::Event(port) => Some((port, frame.message)),
            Ending::Value(port, value) => {
                let value = checked(value, self.last, &steps)?;
                Some((port, Message::of(value, frame.message.meta)))
            }
            Ending::Dropped | Ending::Again { .. } => None,
        })
    }
}
