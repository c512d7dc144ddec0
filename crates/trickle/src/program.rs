//! A compiled program and its state, and how an event goes through it.

use std::{borrow::Cow, sync::Arc};

use super::{
    code::{Op, PortNumber},
    compile::world::World,
    diagnostic::{Diagnostic, Diagnostics, Fault, RuntimeError},
    eval::{
        Env, eval,
        script::{self, Ending, Frame, State, checked},
    },
    files::{Loader, Modules, NoModules},
    graph::{self, Channel, Exit, Graph, IN, Node, NodeKind, ScriptNode, SelectNode},
    library::Context,
    message::Message,
    reads::Reads,
    sets,
    source::{Sources, Span},
    value::{
        cost::Steps,
        limits::{self, Limits},
        ops::truth_of,
    },
};
use towline_event::{Event, EventId, Origin, Value};

/// The longest program text that is compiled: a thousand times what people write, and short enough
/// that a wrong file named as a program is refused at once.
pub(super) const SOURCE_MAX: usize = 1 << 20;

/// Where an output of a program goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Port {
    /// On to the next room.
    Out,
    /// To the errors pipelines.
    Err,
    /// To the client, as the answer.
    Reply,
}

/// A compiled program, shared by all sessions.
///
/// ```
/// # use towline_trickle::Program;
/// let program = Program::compile("demo", "select event.x from in where event.x > 1 into out;").unwrap();
/// assert!(!program.is_identity());
/// ```
#[derive(Debug, Clone)]
pub struct Program {
    code: Arc<Code>,
}

#[derive(Debug)]
struct Code {
    sources: Arc<Sources>,
    graph: Graph,
    limits: Limits,
    warnings: Option<Diagnostics>,
    identity: bool,
    /// The order of the nodes is that of the statements, so outputs need not be sorted.
    in_order: bool,
}

/// A program with the state of one session.
///
/// Allocates nothing unless a script of the program has a `state`.
#[derive(Debug)]
pub struct Instance {
    code: Arc<Code>,
    states: Box<[State]>,
}

/// One event's way through a program.
struct Run<'r> {
    sources: &'r Arc<Sources>,
    graph: &'r Graph,
    states: &'r mut [State],
    context: Context<'r>,
    channels: Vec<Vec<Message>>,
    outputs: Outputs<'r>,
    steps: Steps,
    /// How many messages the event may still become.
    messages: usize,
}

/// Where outputs are gathered.
struct Outputs<'r> {
    list: &'r mut Vec<(Port, Event)>,
    /// The statement of each, if they have to be sorted.
    orders: Option<Vec<usize>>,
    id: EventId,
    origin: Option<&'r Arc<Origin>>,
    ingest_ns: u64,
}

// === impl Program ===

impl Program {
    /// Compiles a program. `name` is what errors call it: its file or its key in the settings.
    ///
    /// # Errors
    /// All errors of the program at once.
    pub fn compile(name: &str, source: &str) -> Result<Self, Diagnostics> {
        Self::compile_with(name, source, &NoModules, Limits::default())
    }

    /// Compiles a program that may `use` modules, and sets the limits of its events.
    ///
    /// # Errors
    /// All errors of the program and its modules at once.
    pub fn compile_with(
        name: &str,
        source: &str,
        modules: &dyn Modules,
        limits: Limits,
    ) -> Result<Self, Diagnostics> {
        let mut loader = Loader::new(modules);
        loader.program(name, source)?;
        let (files, sources, errors) = loader.into_files();
        let sources = Arc::new(sources);
        let end = Span::new(source.trim_end().len(), source.trim_end().len());
        let mut world = World::new(&files, limits, errors);
        match graph::build(&mut world, files.program(), end) {
            Some(graph) => {
                let warnings = Diagnostics::warnings(Arc::clone(&sources), world.warnings);
                Ok(Self { code: Arc::new(Code::new(sources, graph, limits, warnings)) })
            }
            None => Err(Diagnostics::new(sources, world.errors)),
        }
    }

    /// What the program can run with, and is likely a mistake.
    pub fn warnings(&self) -> Option<&Diagnostics> {
        self.code.warnings.as_ref()
    }

    /// Whether every event leaves by `out` as it came, so that it need not be run at all.
    pub fn is_identity(&self) -> bool {
        self.code.identity
    }

    /// Whether the program looks at `$`. If not, metadata need not be gathered for it.
    pub fn reads_meta(&self) -> bool {
        self.code.graph.reads_meta
    }

    /// Whether the program asks where events come from. If not, it need not be told.
    pub fn reads_origin(&self) -> bool {
        self.code.graph.reads_origin
    }

    /// Whether every event that leaves by `out` has `$key`, by what is sure without running the program.
    /// `entering`: every event that enters has it.
    pub fn always_sets(&self, key: &str, entering: bool) -> bool {
        sets::always_sets(&self.code.graph, key, entering)
    }

    /// Whether any statement sends events to a port.
    pub fn uses_port(&self, port: Port) -> bool {
        self.code.graph.nodes.iter().any(|node| match &node.kind {
            NodeKind::Select(select) => select.to == Exit::Port(port),
            NodeKind::Script(_) => false,
        })
    }

    /// The program with a state of its own, for one session.
    pub fn instance(&self) -> Instance {
        Instance { code: Arc::clone(&self.code), states: self.code.graph.states.clone() }
    }
}

/// Refuses a text that is too long to be a program.
pub(super) fn bounded(name: &str, source: &str) -> Result<(), Diagnostics> {
    if source.len() <= SOURCE_MAX {
        return Ok(());
    }
    let error = Diagnostic::new(Span::new(0, 0), too_long("the program"), "");
    let mut sources = Sources::default();
    sources.add(name, "");
    Err(Diagnostics::new(Arc::new(sources), vec![error]))
}

// === impl Code ===

impl Code {
    fn new(sources: Arc<Sources>, graph: Graph, limits: Limits, warnings: Option<Diagnostics>) -> Self {
        let identity = passes_through(&graph);
        let in_order = graph.nodes.is_sorted_by_key(|node| node.order);
        Self { sources, graph, limits, warnings, identity, in_order }
    }
}

/// What is said of a text beyond [`SOURCE_MAX`].
pub(super) fn too_long(what: &str) -> String {
    format!("{what} is longer than {} MiB", SOURCE_MAX >> 20)
}

/// Whether a graph is one chain from `in` to `out` that changes nothing.
fn passes_through(graph: &Graph) -> bool {
    let mut at = Exit::Channel(IN);
    for node in &graph.nodes {
        match node.passes_to() {
            Some(to) if Exit::Channel(node.input) == at => at = to,
            _ => return false,
        }
    }
    at == Exit::Port(Port::Out)
}

// === impl Instance ===

impl Instance {
    /// What the program can run with, and is likely a mistake.
    pub fn warnings(&self) -> Option<&Diagnostics> {
        self.code.warnings.as_ref()
    }

    /// Runs the program over one event and appends what comes out to `outputs`, in the order of the
    /// statements. An event that reaches no port yields nothing. Outputs keep the event's id and time.
    ///
    /// The time `now_ns`, nanoseconds since the Unix epoch, is what the language knows as now.
    ///
    /// # Errors
    /// When an expression fails, or a limit is reached: then `outputs` is as it was, while a `state`
    /// keeps what was written to it before.
    pub fn run(
        &mut self,
        event: Event,
        now_ns: u64,
        outputs: &mut Vec<(Port, Event)>,
    ) -> Result<(), RuntimeError> {
        if self.code.identity {
            outputs.push((Port::Out, event));
            return Ok(());
        }
        let before = outputs.len();
        let Event { id, data, meta, origin, ingest_ns } = event;
        let orders = if self.code.in_order { None } else { Some(Vec::new()) };
        let mut run = Run {
            sources: &self.code.sources,
            graph: &self.code.graph,
            states: &mut self.states,
            context: Context {
                now_ns,
                ingest_ns,
                origin: origin.as_deref(),
                size_max: self.code.limits.max_value,
            },
            channels: Vec::new(),
            outputs: Outputs { list: outputs, orders, id, origin: origin.as_ref(), ingest_ns },
            steps: Steps::new(self.code.limits),
            messages: limits::MESSAGES_MAX,
        };
        let outcome = run.all(Message::new(data, meta));
        let orders = run.outputs.orders.take();
        if let Err(fault) = outcome {
            outputs.truncate(before);
            return Err(RuntimeError::new(Arc::clone(&self.code.sources), fault));
        }
        sort_outputs(outputs, before, orders);
        Ok(())
    }
}

/// Puts outputs in the order of their statements.
fn sort_outputs(outputs: &mut Vec<(Port, Event)>, before: usize, orders: Option<Vec<usize>>) {
    let Some(orders) = orders.filter(|orders| !orders.is_sorted()) else { return };
    let mut ordered: Vec<_> = orders.into_iter().zip(outputs.drain(before..)).collect();
    ordered.sort_by_key(|(order, _)| *order);
    outputs.extend(ordered.into_iter().map(|(_, output)| output));
}

// === impl Run ===

impl Run<'_> {
    fn all(&mut self, message: Message) -> Result<(), Box<Fault>> {
        let graph = self.graph;
        // The usual program is one statement, and needs no channels.
        if let [only] = &*graph.nodes {
            return self.node(only, Cow::Owned(message));
        }
        self.channels.resize_with(graph.channels, Vec::new);
        self.channels[IN].push(message);
        for node in &graph.nodes {
            let waiting = std::mem::take(&mut self.channels[node.input]);
            if node.last_reader {
                for message in waiting {
                    self.node(node, Cow::Owned(message))?;
                }
            } else {
                for message in &waiting {
                    self.node(node, Cow::Borrowed(message))?;
                }
                self.channels[node.input] = waiting;
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &Node, message: Cow<'_, Message>) -> Result<(), Box<Fault>> {
        self.steps.take(node.span)?;
        match &node.kind {
            NodeKind::Select(select) => {
                if let Some(message) = self.select(select, message)? {
                    self.exit(node, select.to, message)?;
                }
                Ok(())
            }
            NodeKind::Script(script) => self.script(node, script, message.into_owned()),
        }
    }

    fn exit(&mut self, node: &Node, to: Exit, message: Message) -> Result<(), Box<Fault>> {
        match to {
            Exit::Nowhere => Ok(()),
            Exit::Channel(channel) => self.send(node.span, channel, message),
            Exit::Port(port) => {
                self.count(node.span)?;
                self.outputs.push(node.order, port, message);
                Ok(())
            }
        }
    }

    fn send(&mut self, span: Span, channel: Channel, mut message: Message) -> Result<(), Box<Fault>> {
        self.count(span)?;
        message.forget_part();
        self.channels[channel].push(message);
        Ok(())
    }

    fn count(&mut self, span: Span) -> Result<(), Box<Fault>> {
        match self.messages.checked_sub(1) {
            Some(left) => {
                self.messages = left;
                Ok(())
            }
            None => {
                let max = limits::MESSAGES_MAX;
                Err(Fault::new(span, format!("the event became more than {max} messages on its way")))
            }
        }
    }

    // --- select ---

    fn select(&self, select: &SelectNode, message: Cow<'_, Message>) -> Result<Option<Message>, Box<Fault>> {
        let reads = select.reads.as_deref();
        if !self.holds(select.filter.as_ref(), &message, reads, "where")? {
            return Ok(None);
        }
        let selected = match &select.target {
            None => message.into_owned(),
            Some((op, span)) => {
                let value = eval(op, &self.env(&message, reads))?.into_owned();
                let value = if op.is_path() { value } else { checked(value, *span, &self.steps)? };
                match message {
                    Cow::Owned(message) => Message::of(value, message.meta),
                    Cow::Borrowed(message) => Message::of(value, message.meta.clone()),
                }
            }
        };
        let kept = self.holds(select.having.as_ref(), &selected, None, "having")?;
        Ok(kept.then_some(selected))
    }

    fn holds(
        &self,
        condition: Option<&(Op, Span)>,
        message: &Message,
        reads: Option<&Reads>,
        what: &str,
    ) -> Result<bool, Box<Fault>> {
        let Some((op, span)) = condition else { return Ok(true) };
        truth_of(&*eval(op, &self.env(message, reads))?, *span, what)
    }

    fn env<'e>(&'e self, message: &'e Message, reads: Option<&'e Reads>) -> Env<'e> {
        Env {
            message,
            reads,
            state: &Value::Null,
            locals: &[],
            bound: None,
            steps: &self.steps,
            context: &self.context,
        }
    }

    // --- script ---

    /// Runs a script. A failure leaves by its port `err` if somebody reads from that.
    fn script(&mut self, node: &Node, script: &ScriptNode, message: Message) -> Result<(), Box<Fault>> {
        let original = script.err.map(|channel| (channel, message.clone()));
        match (self.run_script(script, node.span, message), original) {
            (Ok(Some((port, message))), _) => match script.ports.get(port).copied().flatten() {
                Some(channel) => self.send(node.span, channel, message),
                None => Ok(()),
            },
            (Ok(None), _) => Ok(()),
            (Err(fault), Some((channel, original))) => {
                let error = RuntimeError::new(Arc::clone(self.sources), fault).to_string();
                let event = original.value().clone();
                let data = Value::record([("error", Value::string(error)), ("event", event)]);
                self.send(node.span, channel, Message::of(data, original.meta))
            }
            (Err(fault), None) => Err(fault),
        }
    }

    /// What leaves a script, and by which of its ports.
    fn run_script(
        &mut self,
        script: &ScriptNode,
        span: Span,
        message: Message,
    ) -> Result<Option<(PortNumber, Message)>, Box<Fault>> {
        let mut stateless = State::default();
        let state = script.state.and_then(|index| self.states.get_mut(index)).unwrap_or(&mut stateless);
        let locals = vec![None; script.locals];
        let err_is_read = script.err.is_some();
        let mut frame =
            Frame { message, state, locals, steps: &self.steps, context: &self.context, err_is_read };
        let ending = script::run(&script.body, &mut frame)?;
        Ok(match ending {
            Ending::Event(port) => Some((port, frame.message)),
            Ending::Value(port, value) => {
                let value = checked(value, span, &self.steps)?;
                Some((port, Message::of(value, frame.message.meta)))
            }
            Ending::Dropped | Ending::Again { .. } => None,
        })
    }
}

// === impl Outputs ===

impl Outputs<'_> {
    fn push(&mut self, order: usize, port: Port, message: Message) {
        if let Some(orders) = &mut self.orders {
            orders.push(order);
        }
        self.list.push((port, message.into_event(self.id, self.origin.cloned(), self.ingest_ns)));
    }
}
