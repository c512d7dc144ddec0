//! The query level: names to channels, statements to nodes, and whether the whole makes sense.
//!
//! A channel is a place where messages wait for the statements that read from it: `in`, each stream,
//! each script's entrance, and each port of a script. What stands in a pipeline is put where it is
//! created, with channels of its own. Statements are nodes that read from one channel
//! and write to others, or to a port of the program. The graph has no cycle, so every node runs once
//! per event, after all that write to its channel.
//!
//! # A circle on purpose
//! `nodes`, `names` and `create` are the parts of one type, `Builder`, and use each other: the statements of a
//! level become nodes (`nodes`), their names are resolved (`names`), and a pipeline that is created (`create`) is a
//! level of its own. The nesting of pipelines bounds this recursion (`create::PIPELINES_MAX`).

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

/// The number of a channel; 0 is the program's entrance `in`.
pub(crate) type Channel = usize;

/// The channel of the built-in stream `in`.
pub(crate) const IN: Channel = 0;

/// The checked graph, ready to run.
#[derive(Debug)]
pub(crate) struct Graph {
    /// In an order in which all that write to a channel come before all that read from it.
    pub(crate) nodes: Box<[Node]>,
    pub(crate) channels: usize,
    /// The states of its scripts as they are at first.
    pub(crate) states: Box<[State]>,
    pub(crate) reads_meta: bool,
    /// Something asks where events come from.
    pub(crate) reads_origin: bool,
}

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) input: Channel,
    /// No node after this one reads from `input`.
    pub(crate) last_reader: bool,
    /// The number of the statement that made this node: outputs leave in this order.
    pub(crate) order: usize,
    pub(crate) kind: NodeKind,
    /// The statement's name for messages: the word `select` or the script's name.
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum NodeKind {
    Select(SelectNode),
    Script(ScriptNode),
}

#[derive(Debug)]
pub(crate) struct SelectNode {
    /// `None` passes the event on as it is.
    pub(crate) target: Option<(Op, Span)>,
    pub(crate) filter: Option<(Op, Span)>,
    pub(crate) having: Option<(Op, Span)>,
    pub(crate) to: Exit,
    /// What all that read from its channel read of an event's data, if that is not the whole.
    pub(crate) reads: Option<Arc<Reads>>,
}

#[derive(Debug)]
pub(crate) struct ScriptNode {
    pub(crate) body: Box<[Act]>,
    pub(crate) locals: usize,
    /// Where its state is kept, if it has one.
    pub(crate) state: Option<usize>,
    /// The channel of each port by its number; `None` where nobody reads.
    pub(crate) ports: Box<[Option<Channel>]>,
    /// The channel of the port `err`, if somebody reads from it.
    pub(crate) err: Option<Channel>,
}

/// Where a select writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Channel(Channel),
    Port(Port),
    /// A port of a pipeline that nobody reads from.
    Nowhere,
}

/// Builds the graph of a program, or adds what is wrong with it to the errors of the world. When there
/// are errors before, what is left is only looked through for errors of its own.
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
    builder.tell_slips();
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

    /// Adds what it reads of an event's data.
    fn add_reads(&self, reads: &mut Reads) {
        match &self.kind {
            NodeKind::Select(select) => {
                let target = select.target.iter().map(|(target, _)| target);
                let filter = select.filter.iter().map(|(filter, _)| filter);
                target.chain(filter).for_each(|op| reads.add(op));
                // What passes as it is, is looked at as it is.
                if select.target.is_none() && select.having.is_some() {
                    *reads = Reads::whole();
                }
            }
            NodeKind::Script(_) => *reads = Reads::whole(),
        }
    }

    /// Where every event leaves as it came, if that is so.
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
