//! The query level: resolves names to streams, compiles statements to nodes, and checks the resulting graph.
//!
//! A stream carries messages from the nodes that write to it to the nodes that read from it. There is one
//! stream for `in`, for each stream that the program creates, and for each input and output port of a script.
//! A pipeline is expanded where it is created, with separate streams. Each statement is a node that reads
//! from one stream and writes to others, or to a port of the program. The graph has no cycles, so every node
//! runs once per event, after all nodes that write to the stream it reads from.
//!
//! # An intended cycle
//! `nodes`, `names` and `create` are the parts of one type, `Builder`, and use each other: the statements of
//! a level become nodes (`nodes`), their names are resolved (`names`), and each created pipeline (`create`)
//! is another level. The nesting of pipelines bounds this recursion (`create::PIPELINES_MAX`).

mod check;
mod create;
mod names;
mod nodes;

use self::names::{Level, StreamKind};
use crate::{
    ast::Statement,
    code::{Act, Op},
    compile::{Args, world::World},
    eval::script::State,
    port::Port,
    reads::Reads,
    source::Span,
};
use std::sync::Arc;

/// The index of a stream; 0 is the program's input `in`.
pub(crate) type Stream = usize;

/// The built-in stream `in`.
pub(crate) const IN: Stream = 0;

/// The checked graph, ready to run.
#[derive(Debug)]
pub(crate) struct Graph {
    /// The nodes in execution order: all writers of a stream come before its readers.
    pub(crate) nodes: Box<[Node]>,
    pub(crate) streams: usize,
    /// The initial states of the graph's scripts.
    pub(crate) states: Box<[State]>,
    pub(crate) reads_meta: bool,
    /// Whether the program reads the origin of events.
    pub(crate) reads_origin: bool,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) input: Stream,
    /// Whether the node is the last one that reads from `input`.
    pub(crate) last_reader: bool,
    /// The number of the node's statement, which determines the order of outputs.
    pub(crate) order: usize,
    pub(crate) kind: NodeKind,
    /// Span of the statement for errors: the word `select`, or the script's name.
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum NodeKind {
    Select(SelectNode),
    Script(ScriptNode),
}

#[derive(Debug)]
pub(crate) struct SelectNode {
    /// The target expression; `None` passes the event on unchanged.
    pub(crate) target: Option<(Op, Span)>,
    pub(crate) filter: Option<(Op, Span)>,
    pub(crate) having: Option<(Op, Span)>,
    pub(crate) to: Destination,
    /// The part of an event's data that all readers of the node's input stream need together; `None` for all
    /// data.
    pub(crate) reads: Option<Arc<Reads>>,
}

#[derive(Debug)]
pub(crate) struct ScriptNode {
    pub(crate) body: Box<[Act]>,
    pub(crate) locals: usize,
    /// The index of the script's state; `None` if it has none.
    pub(crate) state: Option<usize>,
    /// The stream of each output port, by index; `None` for ports without readers.
    pub(crate) ports: Box<[Option<Stream>]>,
    /// The stream of the port `err`, if something reads from it.
    pub(crate) err: Option<Stream>,
}

/// The destination of the messages of a select.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    Stream(Stream),
    Port(Port),
    /// A port of a pipeline that has no readers. Messages to it are discarded.
    Nowhere,
}

/// Builds the graph of a program, or adds its errors to the world. After earlier errors, the statements are
/// only checked for further errors.
pub(crate) fn build<'a>(world: &mut World<'a>, statements: &'a [Statement], end: Span) -> Option<Graph> {
    let root = world.root();
    let mut builder = nodes::Builder::new(world);
    builder.add_stream("in".to_owned(), Span::new(0, 0), StreamKind::In);
    let mut level = Level::new(statements, root, Args::none());
    level.inputs.push(("in".to_owned(), IN));
    level.outputs = Port::ALL.map(|port| (port.name().to_owned(), Destination::Port(port))).to_vec();
    builder.level(level);
    builder.report_typos();
    builder.check_unused();
    let mut draft = builder.draft;
    world.compile_all();
    if !world.errors.is_empty() {
        return None;
    }
    check::check(&mut draft, end, world);
    if !world.errors.is_empty() {
        return None;
    }
    draft.mark_last_readers();
    draft.mark_reads();
    Some(draft.into_graph(world.reads_origin))
}

// === impl Node ===

impl Node {
    /// The streams that this node may write to.
    pub(crate) fn writes(&self) -> Vec<Stream> {
        match &self.kind {
            NodeKind::Select(SelectNode { to: Destination::Stream(stream), .. }) => vec![*stream],
            NodeKind::Select(_) => Vec::new(),
            NodeKind::Script(script) => script.ports.iter().copied().chain([script.err]).flatten().collect(),
        }
    }

    /// Adds the parts of an event's data that this node reads.
    fn add_reads(&self, reads: &mut Reads) {
        match &self.kind {
            NodeKind::Select(select) => {
                if let Some((filter, _)) = &select.filter {
                    reads.add(filter);
                }
                match (&select.target, &select.having) {
                    (Some((target, _)), Some(_)) => reads.add(target),
                    (Some((target, _)), None) => reads.add_target(target),
                    // An event that is passed on unchanged is read whole.
                    (None, Some(_)) => *reads = Reads::whole(),
                    (None, None) => {}
                }
            }
            NodeKind::Script(_) => *reads = Reads::whole(),
        }
    }

    /// The destination of every event, if the node passes all events on unchanged; otherwise `None`.
    pub(crate) fn passes_to(&self) -> Option<Destination> {
        match &self.kind {
            NodeKind::Select(SelectNode { target: None, filter: None, having: None, to, .. }) => Some(*to),
            NodeKind::Select(_) => None,
            NodeKind::Script(script) => match &*script.body {
                [only] if only.passes_event() => {
                    script.ports.first().copied().flatten().map(Destination::Stream)
                }
                _ => None,
            },
        }
    }
}
