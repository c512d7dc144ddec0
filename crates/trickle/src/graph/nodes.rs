//! Compiles statements to nodes.

use std::{collections::HashSet, sync::Arc};

use super::{
    Destination, Graph, Node, NodeKind, ScriptNode, SelectNode, Stream,
    names::{Created, Entity, Level, StreamInfo, StreamKind},
};
use crate::{
    ast::{Create, Creation, DefinePipeline, Select, Statement, StreamRef},
    code::ERR,
    compile::{Compiler, EmittedPort, ExprContext, scope::Binding, world::World},
    diagnostic::{Diagnostic, nearest},
    eval::script::State,
    reads::Reads,
    source::Span,
};

/// Maximum number of nodes of a program. Nested pipelines multiply nodes, so a short program could have
/// millions.
const NODES_MAX: usize = 10_000;

/// Maximum number of pairs of port names that are compared to find typos, for all `create` statements
/// together. Hand-written programs have fewer, and this many take a tenth of a second for the longest names.
const PAIRS_MAX: usize = 10_000;

/// Maximum text size of all nodes together, in bytes: four programs of maximum length.
const TEXT_MAX: usize = 4 << 20;

/// The nodes and streams of a graph before the checks.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) nodes: Vec<Node>,
    pub(super) streams: Vec<StreamInfo>,
    pub(super) states: Vec<State>,
    pub(super) reads_meta: bool,
}

pub(super) struct Builder<'a, 'w> {
    pub(super) world: &'w mut World<'a>,
    pub(super) draft: Draft,
    /// Addresses of the definitions that are used.
    pub(super) used: HashSet<usize>,
    /// The pipelines that are being built, outermost first.
    pub(super) open: Vec<&'a DefinePipeline>,
    /// Offsets of `emit` statements to ports that a select reads from.
    read: HashSet<u32>,
    /// Possible typos: `emit` statements to ports that no select reads from at this node. Those that a select
    /// reads from at another node of the same script are left out later.
    typos: Vec<Diagnostic>,
    /// The number of port pairs that have been compared.
    pairs: usize,
    /// Text size of the nodes so far, in bytes.
    text: usize,
    /// Whether [`NODES_MAX`] or [`TEXT_MAX`] was exceeded and reported.
    full: bool,
}

impl<'a, 'w> Builder<'a, 'w> {
    pub(super) fn new(world: &'w mut World<'a>) -> Self {
        Self {
            world,
            draft: Draft::default(),
            used: HashSet::new(),
            open: Vec::new(),
            read: HashSet::new(),
            typos: Vec::new(),
            pairs: 0,
            text: 0,
            full: false,
        }
    }

    /// Compiles all statements of a level to nodes.
    pub(super) fn level(&mut self, mut level: Level<'a>) {
        self.gather(&mut level);
        // Resolve all sources first, so that the readers of each port are known when it is created.
        let sources: Vec<Option<Stream>> = level
            .statements
            .iter()
            .map(|statement| match statement {
                Statement::Select(select) => self.source(&mut level, &select.from),
                _ => None,
            })
            .collect();
        for (number, (statement, source)) in level.statements.iter().zip(sources).enumerate() {
            let order = level.order.unwrap_or(number);
            match statement {
                Statement::Select(select) => self.select(&level, order, select, source),
                Statement::Create(create) => self.created(&level, order, create),
                _ => {}
            }
        }
    }

    pub(super) fn error(&mut self, diagnostic: Diagnostic) {
        self.world.errors.push(diagnostic);
    }

    pub(super) fn push(&mut self, input: Stream, order: usize, kind: NodeKind, span: Span) {
        if self.draft.nodes.len() < NODES_MAX {
            self.draft.nodes.push(Node { input, last_reader: false, order, kind, span });
        } else {
            self.overflow(span, format!("the program has more than {NODES_MAX} nodes"));
        }
    }

    /// Adds the text size of a node before the node is built. Returns false if the limit is exceeded.
    pub(super) fn takes_text(&mut self, from: Span, to: Span) -> bool {
        self.text = self.text.saturating_add(to.end.saturating_sub(from.start) as usize);
        let fits = self.text <= TEXT_MAX;
        if !fits {
            self.overflow(from, format!("the program expands to more than {} MiB of text", TEXT_MAX >> 20));
        }
        fits && !self.full
    }

    fn overflow(&mut self, span: Span, message: String) {
        if !std::mem::replace(&mut self.full, true) {
            self.error(Diagnostic::new(span, message, "nested pipelines multiply"));
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    // --- select ---

    fn select(&mut self, level: &Level<'a>, order: usize, select: &'a Select, input: Option<Stream>) {
        if let Some(window) = select.windows.first() {
            self.error(Diagnostic::not_yet(window.span, "windows are"));
        }
        if let Some(group) = &select.group {
            self.error(Diagnostic::not_yet(group.span, "grouping is"));
        }
        if !self.takes_text(select.target.span, select.into.stream.span) {
            return;
        }
        let mut compiler = Compiler::new(self.world, level.scope, ExprContext::Select, &level.args);
        let filter = select.filter.as_ref().and_then(|filter| compiler.condition(filter, "where"));
        let target = compiler.expr(&select.target);
        let having = select.having.as_ref().and_then(|having| compiler.condition(having, "having"));
        self.draft.reads_meta |= compiler.uses().meta;
        let to = self.destination(level, &select.into);
        if let (Some(input), Some(to)) = (input, to) {
            let target = (!target.is_event()).then_some((target, select.target.span));
            let kind = NodeKind::Select(SelectNode { target, filter, having, to, reads: None });
            self.push(input, order, kind, select.into.stream.span);
        }
    }

    /// The stream that a select reads from; `None` after an error, which is reported.
    fn source(&mut self, level: &mut Level<'a>, from: &'a StreamRef) -> Option<Stream> {
        let name = &from.stream;
        let text = name.text.as_str();
        if let Some(stream) = level.input(text) {
            return self.only_port(from, &["out"]).then_some(stream);
        }
        if level.output(text).is_some() {
            let message = format!("`{text}` is an output; it cannot be read");
            self.error(Diagnostic::new(name.span, message, ""));
            return None;
        }
        match level.entities.get(text) {
            Some(Entity::Stream(stream)) => {
                let stream = *stream;
                self.only_port(from, &["out"]).then_some(stream)
            }
            Some(Entity::Created(_)) => Some(self.tap(level, from)),
            None => {
                self.report_unknown_stream(level, name);
                None
            }
        }
    }

    /// The stream of a script's port that a select reads from.
    fn tap(&mut self, level: &mut Level<'a>, from: &'a StreamRef) -> Stream {
        let name = from.stream.text.as_str();
        let port = from.port.as_ref().map_or("out", |port| port.text.as_str());
        if let Some((stream, _)) = level.taps.get(&(name, port)) {
            return *stream;
        }
        let place = from.port.as_ref().unwrap_or(&from.stream);
        let stream = self.add_stream(format!("{name}/{port}"), place.span, StreamKind::Port);
        level.taps.insert((name, port), (stream, place));
        stream
    }

    /// The destination that a select writes to; `None` after an error, which is reported.
    fn destination(&mut self, level: &Level<'a>, into: &StreamRef) -> Option<Destination> {
        let name = &into.stream;
        let text = name.text.as_str();
        if let Some(to) = level.output(text) {
            return self.only_port(into, &["in"]).then_some(to);
        }
        if level.input(text).is_some() {
            let message = format!("`{text}` is an input; events cannot be sent to it");
            self.error(Diagnostic::new(name.span, message, ""));
            return None;
        }
        match level.entities.get(text) {
            Some(Entity::Stream(stream)) => {
                self.only_port(into, &["in"]).then_some(Destination::Stream(*stream))
            }
            Some(Entity::Created(created)) => self.entrance(into, created),
            None => {
                self.report_unknown_stream(level, name);
                None
            }
        }
    }

    fn entrance(&mut self, into: &StreamRef, created: &Created<'a>) -> Option<Destination> {
        let known: Vec<&str> = created.inputs.iter().map(|(port, _)| *port).collect();
        let Some(port) = &into.port else {
            return created.inputs.get(created.usual).map(|(_, stream)| Destination::Stream(*stream));
        };
        let found = created.inputs.iter().find(|(known, _)| *known == port.text);
        let to = found.map(|(_, stream)| Destination::Stream(*stream));
        if to.is_none() {
            self.only_port(into, &known);
        }
        to
    }

    /// Returns false and reports an error if the port is not among the `known` ones.
    fn only_port(&mut self, stream: &StreamRef, known: &[&str]) -> bool {
        let Some(port) = stream.port.as_ref().filter(|port| !known.contains(&port.text.as_str())) else {
            return true;
        };
        let message = format!("`{}` has no port `{}` here", stream.stream.text, port.text);
        let label = match known {
            [only] => format!("the only one is `{only}`"),
            more => format!("known ones are `{}`", more.join("`, `")),
        };
        self.error(Diagnostic::new(port.span, message, label));
        false
    }

    // --- create ---

    fn created(&mut self, level: &Level<'a>, order: usize, create: &'a Create) {
        let Some(Entity::Created(created)) = level.entities.get(create.name.text.as_str()) else { return };
        if !std::ptr::eq(created.create, create) {
            return;
        }
        let place = Placing { create, order, inputs: &created.inputs };
        match created.definition.clone() {
            Some(Binding::Script(definition, scopes)) => self.script(level, place, definition, &scopes),
            Some(Binding::Operator(operator, scope)) => self.operator(level, place, operator, scope),
            Some(Binding::Pipeline(pipeline, scope)) => self.pipeline(level, place, pipeline, scope),
            _ => {}
        }
    }

    /// Reports ports that selects read from, but that do not exist.
    pub(super) fn check_taps(&mut self, level: &Level<'a>, create: &'a Create, known: &[&str]) {
        let name = create.name.text.as_str();
        let noun = create.kind.noun();
        for ((created, port), (_, place)) in &level.taps {
            if *created != name || known.contains(port) {
                continue;
            }
            let message = match create.kind {
                Creation::Script => {
                    format!("the script `{name}` never emits to a port `{port}`")
                }
                _ => format!("the {noun} `{name}` has no port `{port}`"),
            };
            let error = Diagnostic::new(place.span, message, "");
            let error = match *port {
                // Its name in later versions of the reference system.
                "error" if known.contains(&ERR) => error.help("did you mean `err`?"),
                _ if self.world.is_crowded() => error,
                _ => error.nearest(port, known.iter().copied()),
            };
            match create.kind {
                // A script has the ports that it emits to. No event leaves by any other port.
                Creation::Script => self.world.warnings.push(error),
                _ => self.world.errors.push(error),
            }
        }
    }

    /// Finds likely typos: ports that a script emits to and no select reads from, although a select reads
    /// from a port with a similar name. An unread port alone is not a mistake, because a script may be used
    /// by several programs.
    fn find_typos(&mut self, level: &Level<'a>, create: &'a Create, emitted: &[&EmittedPort]) {
        let name = create.name.text.as_str();
        let read = level.taps.keys().filter(|(script, _)| *script == name).map(|(_, port)| *port);
        let known: HashSet<&str> = emitted.iter().map(|port| port.name.as_str()).collect();
        let read: HashSet<&str> = read.filter(|read| known.contains(read)).collect();
        for port in emitted {
            if read.contains(port.name.as_str()) {
                self.read.insert(port.span.start);
                continue;
            }
            self.pairs = self.pairs.saturating_add(read.len());
            if self.pairs > PAIRS_MAX {
                continue;
            }
            let near = nearest(&port.name, read.iter().copied());
            let given = port.name == "out" || port.name == ERR;
            let Some(near) = near.filter(|near| !given && is_typo(&port.name, near)) else { continue };
            let message = format!("nothing reads what is emitted to `{}`", port.name);
            let error = Diagnostic::new(port.span, message, "events emitted here are lost");
            self.typos.push(error.help(format!("did you mean `{near}`?")));
        }
    }

    /// Reports likely typos, after all `create` statements are compiled.
    pub(super) fn report_typos(&mut self) {
        let typos = self.typos.drain(..).filter(|typo| !self.read.contains(&typo.span.start));
        self.world.warnings.extend(typos);
    }

    /// Warns if no select reads from any of the `wanted` ports. There is no warning after another error that
    /// may explain it: a select that reads from a port that does not exist, or a statement with syntax
    /// errors.
    pub(super) fn must_be_read(
        &mut self,
        level: &Level<'a>,
        create: &'a Create,
        wanted: impl Fn(&str) -> bool,
    ) {
        let read = level.taps.keys().any(|(name, port)| *name == create.name.text && wanted(port));
        if self.world.complete && !read {
            let message = format!("nothing reads what this {} emits", create.kind.noun());
            let warning = Diagnostic::new(create.name.span, message, "no select reads from it");
            self.world.warnings.push(warning);
        }
    }

    /// Adds the nodes of a script: one for each of its blocks, with the ports that the block emits to.
    pub(super) fn push_script(
        &mut self,
        level: &Level<'a>,
        place: Placing<'a, '_>,
        blocks: Vec<(ScriptNode, Vec<EmittedPort>)>,
    ) {
        let Placing { create, order, inputs } = place;
        let name = create.name.text.as_str();
        let emitted: Vec<&EmittedPort> = blocks.iter().flat_map(|(_, ports)| ports).collect();
        let names: Vec<&str> = emitted.iter().map(|port| port.name.as_str()).collect();
        self.check_taps(level, create, &[&names[..], &[ERR]].concat());
        self.find_typos(level, create, &emitted);
        let tap = |port: &str| level.taps.get(&(name, port)).map(|(stream, _)| *stream);
        self.must_be_read(level, create, |_| true);
        for ((node, ports), (_, input)) in blocks.into_iter().zip(inputs) {
            let ports = ports.iter().map(|port| tap(&port.name)).collect();
            let node = ScriptNode { ports, err: tap(ERR), ..node };
            self.push(*input, order, NodeKind::Script(node), create.name.span);
        }
    }
}

/// Whether a name is likely a typo of a similar one. Numbered names are not, and neither are short ones, such
/// as `hot` and `not`.
fn is_typo(name: &str, near: &str) -> bool {
    let letters = |name: &str| name.chars().filter(|c| !c.is_numeric()).collect::<String>();
    name.chars().count() > 3 && letters(name) != letters(near)
}

/// The position of a created node in the graph.
#[derive(Clone, Copy)]
pub(super) struct Placing<'a, 'p> {
    pub(super) create: &'a Create,
    pub(super) order: usize,
    /// The input streams of the node, by port.
    pub(super) inputs: &'p [(&'a str, Stream)],
}

// === impl Draft ===

impl Draft {
    /// Marks the last reader of each stream, which may move the messages instead of copying them.
    pub(super) fn mark_last_readers(&mut self) {
        let mut seen = vec![false; self.streams.len()];
        for node in self.nodes.iter_mut().rev() {
            node.last_reader = !std::mem::replace(&mut seen[node.input], true);
        }
    }

    /// Sets the `reads` of the selects of each stream, unless one of them reads the whole event. JSON text is
    /// then parsed only as far as needed.
    pub(super) fn mark_reads(&mut self) {
        let mut reads = vec![Reads::default(); self.streams.len()];
        for node in &self.nodes {
            node.add_reads(&mut reads[node.input]);
        }
        let reads: Vec<Option<Arc<Reads>>> =
            reads.into_iter().map(|reads| (!reads.is_whole()).then(|| Arc::new(reads))).collect();
        for node in &mut self.nodes {
            if let NodeKind::Select(select) = &mut node.kind {
                select.reads = reads[node.input].clone();
            }
        }
    }

    pub(super) fn into_graph(self, reads_origin: bool) -> Graph {
        Graph {
            nodes: self.nodes.into(),
            streams: self.streams.len(),
            states: self.states.into(),
            reads_meta: self.reads_meta,
            reads_origin,
        }
    }
}
