//! The query level: resolves names to channels, compiles statements to nodes, and checks the resulting graph.
//!
//! A channel holds messages for the statements that read from it: `in`, each stream, each input of a script,
//! and each port of a script. A pipeline is expanded where it is created, with its own channels. Statements
//! are nodes that read from one channel and write to others, or to a port of the program. The graph has no
//! cycles, so every node runs once per event, after all nodes that write to its channel.
//!
//! # An intended cycle
//! `nodes`, `names` and `create` are the parts of one type, `Builder`, and use each other: the statements of
//! a level become nodes (`nodes`), their names are resolved (`names`), and each created pipeline (`create`)
//! is another level. The nesting of pipelines bounds this recursion (`create::PIPELINES_MAX`).

mod check;
mod create;
mod names;
mod nodes;

use self::names::{ChannelKind, Level};
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

/// The index of a channel; 0 is the program's input `in`.
pub(crate) type Channel = usize;

/// The channel of the built-in stream `in`.
pub(crate) const IN: Channel = 0;

/// The checked graph, ready to run.
#[derive(Debug)]
pub(crate) struct Graph {
    /// In execution order: all writers of a channel come before its readers.
    pub(crate) nodes: Box<[Node]>,
    pub(crate) channels: usize,
    /// The initial states of its scripts.
    pub(crate) states: Box<[State]>,
    pub(crate) reads_meta: bool,
    /// Whether the program reads the origin of events.
    pub(crate) reads_origin: bool,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) input: Channel,
    /// Whether this is the last node that reads from `input`.
    pub(crate) last_reader: bool,
    /// The number of its statement, which determines the order of outputs.
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
    pub(crate) to: Exit,
    /// The part of an event's data that the readers of its channel need together; `None` for all of it.
    pub(crate) reads: Option<Arc<Reads>>,
}

#[derive(Debug)]
pub(crate) struct ScriptNode {
    pub(crate) body: Box<[Act]>,
    pub(crate) locals: usize,
    /// The index of its state, if it has one.
    pub(crate) state: Option<usize>,
    /// The channel of each port by index; `None` for ports without readers.
    pub(crate) ports: Box<[Option<Channel>]>,
    /// The channel of the port `err`, if something reads from it.
    pub(crate) err: Option<Channel>,
}

/// Where a select writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Channel(Channel),
    Port(Port),
    /// A port of a pipeline without readers.
    Nowhere,
}

/// Builds the graph of a program, or adds its errors to the world. After earlier errors, the statements are
/// only checked for further errors.
pub(crate) fn build<'a>(world: &mut World<'a>, statements: &'a [Statement], end: Span) -> Option<Graph> {
    let root = world.root();
    let mut builder = nodes::Builder::new(world);
    builder.add_channel("in".to_owned(), Span::new(0, 0), ChannelKind::In);
    let mut level = Level::new(statements, root, Args::none());
    level.inputs.push(("in".to_owned(), IN));
    level.exits = [("out", Port::Out), ("err", Port::Err), ("reply", Port::Reply)]
        .map(|(name, port)| (name.to_owned(), Exit::Port(port)))
        .to_vec();
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
    /// The channels that this node may write to.
    pub(crate) fn writes(&self) -> Vec<Channel> {
        match &self.kind {
            NodeKind::Select(SelectNode { to: Exit::Channel(channel), .. }) => vec![*channel],
            NodeKind::Select(_) => Vec::new(),
            NodeKind::Script(script) => script.ports.iter().copied().chain([script.err]).flatten().collect(),
        }
    }

    /// Adds the parts of an event's data that this node reads.
    fn add_reads(&self, reads: &mut Reads) {
        match &self.kind {
            NodeKind::Select(select) => {
                let target = select.target.iter().map(|(target, _)| target);
                let filter = select.filter.iter().map(|(filter, _)| filter);
                target.chain(filter).for_each(|op| reads.add(op));
                // An event that is passed on unchanged is read whole.
                if select.target.is_none() && select.having.is_some() {
                    *reads = Reads::whole();
                }
            }
            NodeKind::Script(_) => *reads = Reads::whole(),
        }
    }

    /// The exit of every event, if all events pass unchanged.
    pub(crate) fn passes_to(&self) -> Option<Exit> {
        match &self.kind {
            NodeKind::Select(SelectNode { target: None, filter: None, having: None, to, .. }) => Some(*to),
            NodeKind::Select(_) => None,
            NodeKind::Script(script) => match &*script.body {
                [only] if only.passes_event() => script.ports.first().copied().flatten().map(Exit::Channel),
                _ => None,
            },
        }
    }
}
