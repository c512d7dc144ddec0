//! The run loop: sends one event through the graph of a program.

use std::{borrow::Cow, sync::Arc};

use crate::{
    code::{Op, PortNumber},
    diagnostic::{Fault, RuntimeError},
    eval::{
        Env, eval,
        patch::edit,
        script::{self, Ending, ScriptFrame, State, checked},
    },
    graph::{Destination, Graph, IN, Node, NodeKind, ScriptNode, SelectNode, Stream},
    library::Context,
    message::Message,
    port::Port,
    reads::Reads,
    source::{Sources, Span},
    value::{
        cost::Steps,
        limits::{self, Limits},
        ops::truth_of,
    },
};
use towline_event::{Data, Event, EventId, Origin, Value};

/// A program with the script states of one session.
pub(crate) struct Engine<'r> {
    /// The texts of the program, for error messages.
    pub(crate) sources: &'r Arc<Sources>,
    pub(crate) graph: &'r Graph,
    /// The state of each stateful script in the graph.
    pub(crate) states: &'r mut [State],
    pub(crate) limits: Limits,
    /// Whether the nodes run in the order of their statements. The outputs then need no sorting.
    pub(crate) in_order: bool,
}

/// The run of one event through a program.
struct Run<'r> {
    sources: &'r Arc<Sources>,
    graph: &'r Graph,
    states: &'r mut [State],
    context: Context<'r>,
    streams: Vec<Vec<Message>>,
    outputs: Outputs<'r>,
    steps: Steps,
    /// The number of messages that the event may still produce.
    messages: usize,
}

/// Collects the outputs of one event.
struct Outputs<'r> {
    list: &'r mut Vec<(Port, Event)>,
    /// For each output, the number of its statement; `None` if the outputs need no sorting.
    orders: Option<Vec<usize>>,
    id: EventId,
    origin: Option<&'r Arc<Origin>>,
    ingest_ns: u64,
}

// === impl Engine ===

impl Engine<'_> {
    /// Runs the program over one event and appends the outputs in the order of the statements.
    ///
    /// # Errors
    /// When an expression fails or a limit is reached; `outputs` is then unchanged.
    pub(crate) fn run(
        self,
        event: Event,
        now_ns: u64,
        outputs: &mut Vec<(Port, Event)>,
    ) -> Result<(), RuntimeError> {
        let Self { sources, graph, states, limits, in_order } = self;
        let before = outputs.len();
        let Event { id, data, meta, origin, ingest_ns } = event;
        let orders = if in_order { None } else { Some(Vec::new()) };
        let mut run = Run {
            sources,
            graph,
            states,
            context: Context { now_ns, ingest_ns, origin: origin.as_deref(), size_max: limits.max_value },
            streams: Vec::new(),
            outputs: Outputs { list: outputs, orders, id, origin: origin.as_ref(), ingest_ns },
            steps: Steps::new(limits),
            messages: limits::MESSAGES_MAX,
        };
        let outcome = run.all(Message::new(data, meta));
        let orders = run.outputs.orders.take();
        if let Err(fault) = outcome {
            outputs.truncate(before);
            return Err(RuntimeError::new(Arc::clone(sources), fault));
        }
        sort_outputs(outputs, before, orders);
        Ok(())
    }
}

/// Sorts the outputs after the first `before` by the number of their statement. With `None`, they are already
/// in order.
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
        // Fast path: most programs are one statement and need no streams.
        if let [only] = &*graph.nodes {
            return self.node(only, Cow::Owned(message));
        }
        self.streams.resize_with(graph.streams, Vec::new);
        self.streams[IN].push(message);
        for node in &graph.nodes {
            let waiting = std::mem::take(&mut self.streams[node.input]);
            if node.last_reader {
                for message in waiting {
                    self.node(node, Cow::Owned(message))?;
                }
            } else {
                for message in &waiting {
                    self.node(node, Cow::Borrowed(message))?;
                }
                self.streams[node.input] = waiting;
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &Node, message: Cow<'_, Message>) -> Result<(), Box<Fault>> {
        self.steps.take(node.span)?;
        match &node.kind {
            NodeKind::Select(select) => {
                if let Some(message) = self.select(select, message)? {
                    self.deliver(node, select.to, message)?;
                }
                Ok(())
            }
            NodeKind::Script(script) => self.script(node, script, message.into_owned()),
        }
    }

    fn deliver(&mut self, node: &Node, to: Destination, message: Message) -> Result<(), Box<Fault>> {
        match to {
            Destination::Nowhere => Ok(()),
            Destination::Stream(stream) => self.send(node.span, stream, message),
            Destination::Port(port) => {
                self.count(node.span)?;
                self.outputs.push(node.order, port, message);
                Ok(())
            }
        }
    }

    fn send(&mut self, span: Span, stream: Stream, mut message: Message) -> Result<(), Box<Fault>> {
        self.count(span)?;
        message.forget_part();
        self.streams[stream].push(message);
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
                Err(Fault::new(span, format!("the event produced more than {max} messages")))
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
                let data = self.target(op, *span, &self.env(&message, reads), select.having.is_some())?;
                match message {
                    Cow::Owned(message) => Message::new(data, message.meta),
                    Cow::Borrowed(message) => Message::new(data, message.meta.clone()),
                }
            }
        };
        let kept = self.holds(select.having.as_ref(), &selected, None, "having")?;
        Ok(kept.then_some(selected))
    }

    /// The data that a select makes. `having` will read it as a value.
    fn target(&self, op: &Op, span: Span, env: &Env<'_>, is_read: bool) -> Result<Data, Box<Fault>> {
        if !is_read && let Some(edited) = edit(op, span, env) {
            return edited;
        }
        let value = eval(op, env)?.into_owned();
        if op.is_path() { Ok(value.into()) } else { checked(value, span, &self.steps).map(Data::Value) }
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

    /// Runs a script. A failure is sent to the script's port `err` if something reads from that port.
    fn script(&mut self, node: &Node, script: &ScriptNode, message: Message) -> Result<(), Box<Fault>> {
        let original = script.err.map(|stream| (stream, message.clone()));
        match (self.run_script(script, node.span, message), original) {
            (Ok(Some((port, message))), _) => match script.ports.get(port).copied().flatten() {
                Some(stream) => self.send(node.span, stream, message),
                None => Ok(()),
            },
            (Ok(None), _) => Ok(()),
            (Err(fault), Some((stream, original))) => {
                let error = RuntimeError::new(Arc::clone(self.sources), fault).to_string();
                let event = original.value().clone();
                let data = Value::record([("error", Value::string(error)), ("event", event)]);
                self.send(node.span, stream, Message::of(data, original.meta))
            }
            (Err(fault), None) => Err(fault),
        }
    }

    /// Runs a script. Returns the message that leaves it and the port; `None` if the script drops the event.
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
            ScriptFrame { message, state, locals, steps: &self.steps, context: &self.context, err_is_read };
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
