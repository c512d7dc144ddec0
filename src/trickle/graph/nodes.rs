//! Statements to nodes.

use std::collections::{HashMap, HashSet};

use super::{
    Channel, Exit, Graph, IN, Node, NodeKind, ScriptNode, SelectNode,
    names::{ChannelInfo, ChannelKind, Entity, Names},
};
use crate::{
    event::{Record, Value},
    trickle::{
        ast::{CreateScript, DefineScript, Name, Param, Select, Statement, StreamRef},
        compile::{Compiler, Place},
        diagnostic::Diagnostic,
        program::Port,
    },
};

/// The port of a script that carries its runtime errors.
const ERR: &str = "err";

/// Nodes that are not known yet to make sense together.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) nodes: Vec<Node>,
    pub(super) channels: Vec<ChannelInfo>,
    states: usize,
    reads_meta: bool,
}

pub(super) struct Builder<'a, 'e> {
    names: Names<'a>,
    errors: &'e mut Vec<Diagnostic>,
    nodes: Vec<Node>,
    /// Ports of scripts that selects read from, with the name at its first use.
    taps: HashMap<(&'a str, &'a str), (Channel, &'a Name)>,
    /// The ports each script has.
    script_ports: HashMap<&'a str, Vec<String>>,
    /// Definitions that some script is made from.
    used: HashSet<&'a str>,
    definitions: Vec<&'a DefineScript>,
    scripts: Vec<&'a Name>,
    no_args: Value,
    states: usize,
    reads_meta: bool,
}

impl<'a, 'e> Builder<'a, 'e> {
    pub(super) fn new(names: Names<'a>, errors: &'e mut Vec<Diagnostic>) -> Self {
        Self {
            names,
            errors,
            nodes: Vec::new(),
            taps: HashMap::new(),
            script_ports: HashMap::new(),
            used: HashSet::new(),
            definitions: Vec::new(),
            scripts: Vec::new(),
            no_args: Value::record::<&str>([]),
            states: 0,
            reads_meta: false,
        }
    }

    pub(super) fn statement(&mut self, order: usize, statement: &'a Statement) {
        match statement {
            Statement::Select(select) => self.select(order, select),
            Statement::CreateStream(_) => {}
            Statement::DefineScript(definition) => self.definitions.push(definition),
            Statement::CreateScript(create) => self.script(order, create),
            Statement::DefineWindow(window) => {
                self.errors.push(Diagnostic::not_yet(window.name.span, "windows are"));
            }
        }
    }

    // --- select ---

    fn select(&mut self, order: usize, select: &'a Select) {
        let input = self.source(&select.from);
        if let Some(window) = select.windows.first() {
            self.errors.push(Diagnostic::not_yet(window.span, "windows are"));
        }
        if let Some(group) = &select.group {
            self.errors.push(Diagnostic::not_yet(group.span, "grouping is"));
        }
        let mut compiler = Compiler::new(Place::Select, &self.no_args, self.errors);
        let filter = select.filter.as_ref().and_then(|filter| compiler.condition(filter, "where"));
        let target = compiler.expr(&select.target);
        let having = select.having.as_ref().and_then(|having| compiler.condition(having, "having"));
        self.reads_meta |= compiler.uses().meta;
        let to = self.exit(&select.into);
        if let (Some(input), Some(to)) = (input, to) {
            let target = (!target.is_event()).then_some((target, select.target.span));
            let kind = NodeKind::Select(SelectNode { target, filter, having, to });
            self.nodes.push(Node { input, last_reader: false, order, kind, span: select.into.stream.span });
        }
    }

    /// The channel that a select reads from.
    fn source(&mut self, from: &'a StreamRef) -> Option<Channel> {
        let name = &from.stream;
        match (name.text.as_str(), self.names.entities.get(name.text.as_str()).copied()) {
            ("in", _) => self.only_port(from, "out").then_some(IN),
            ("out" | "err" | "reply", _) => {
                let message = format!("`{}` is where events leave; nothing can be read from it", name.text);
                self.errors.push(Diagnostic::new(name.span, message, ""));
                None
            }
            (_, Some(Entity::Stream(channel))) => self.only_port(from, "out").then_some(channel),
            (_, Some(Entity::Script { .. })) => Some(self.tap(from)),
            (_, None) => {
                self.errors.extend(self.names.unknown(name));
                None
            }
        }
    }

    /// The channel of a script's port.
    fn tap(&mut self, from: &'a StreamRef) -> Channel {
        let script = from.stream.text.as_str();
        let port = from.port.as_ref().map_or("out", |port| port.text.as_str());
        if let Some((channel, _)) = self.taps.get(&(script, port)) {
            return *channel;
        }
        let place = from.port.as_ref().unwrap_or(&from.stream);
        let channel = self.names.add_channel(format!("{script}/{port}"), place.span, ChannelKind::Port);
        self.taps.insert((script, port), (channel, place));
        channel
    }

    /// Where a select writes to.
    fn exit(&mut self, into: &StreamRef) -> Option<Exit> {
        let name = &into.stream;
        let exit = match (name.text.as_str(), self.names.entities.get(name.text.as_str())) {
            ("out", _) => Exit::Port(Port::Out),
            ("err", _) => Exit::Port(Port::Err),
            ("reply", _) => Exit::Port(Port::Reply),
            ("in", _) => {
                let message = "`in` is where events enter; nothing can be sent to it";
                self.errors.push(Diagnostic::new(name.span, message, ""));
                return None;
            }
            (_, Some(Entity::Stream(channel) | Entity::Script { input: channel, .. })) => {
                Exit::Channel(*channel)
            }
            (_, None) => {
                self.errors.extend(self.names.unknown(name));
                return None;
            }
        };
        self.only_port(into, "in").then_some(exit)
    }

    /// Refuses any port but the one there is.
    fn only_port(&mut self, stream: &StreamRef, only: &str) -> bool {
        let Some(port) = stream.port.as_ref().filter(|port| port.text != only) else { return true };
        let message = format!("`{}` has no port `{}` here", stream.stream.text, port.text);
        let error = Diagnostic::new(port.span, message, format!("the only one is `{only}`"));
        self.errors.push(error);
        false
    }

    // --- scripts ---

    fn script(&mut self, order: usize, create: &'a CreateScript) {
        let Some(Entity::Script { input, definition: Some(definition) }) =
            self.names.entities.get(create.name.text.as_str()).copied()
        else {
            return;
        };
        self.used.insert(&definition.name.text);
        let args = self.args(definition, &create.params);
        let Some(body) = &definition.body else { return };
        let mut compiler = Compiler::new(Place::Script, &args, self.errors);
        let body = compiler.body(body).into();
        let uses = compiler.uses();
        let locals = compiler.locals();
        let ports = compiler.into_ports();
        let state = uses.state.then_some(self.states);
        self.states += usize::from(uses.state);
        self.reads_meta |= uses.meta;
        self.script_ports.insert(&create.name.text, ports);
        self.scripts.push(&create.name);
        let node = ScriptNode { body, locals, state, ports: Box::default(), err: None };
        let kind = NodeKind::Script(node);
        self.nodes.push(Node { input, last_reader: false, order, kind, span: create.name.span });
    }

    /// The parameters of a definition with the values that a creation gives.
    fn args(&mut self, definition: &'a DefineScript, given: &'a [Param]) -> Value {
        let mut args = Record::new();
        for param in &definition.params {
            let value = self.parameter(param);
            if args.insert(param.name.text.as_str().into(), value).is_some() {
                self.errors.push(twice(&param.name));
            }
        }
        let mut seen = HashSet::new();
        for param in given {
            if !seen.insert(param.name.text.as_str()) {
                self.errors.push(twice(&param.name));
            }
            let value = self.parameter(param);
            match args.get_mut(param.name.text.as_str()) {
                Some(default) => *default = value,
                None => {
                    let name = &param.name.text;
                    let message = format!("`{}` has no parameter `{name}`", definition.name.text);
                    let known = definition.params.iter().map(|param| param.name.text.as_str());
                    self.errors.push(Diagnostic::new(param.name.span, message, "").nearest(name, known));
                }
            }
        }
        Value::Record(std::sync::Arc::new(args))
    }

    fn parameter(&mut self, param: &Param) -> Value {
        Compiler::new(Place::Parameter, &self.no_args, self.errors).parameter(&param.value)
    }

    // --- the end ---

    pub(super) fn finish(mut self) -> Draft {
        self.check_unused_definitions();
        self.check_taps();
        self.connect_ports();
        Draft {
            nodes: self.nodes,
            channels: self.names.channels,
            states: self.states,
            reads_meta: self.reads_meta,
        }
    }

    /// A definition that nothing is made from is compiled for its errors only.
    fn check_unused_definitions(&mut self) {
        for definition in std::mem::take(&mut self.definitions) {
            let Some(body) = &definition.body else { continue };
            if !self.used.contains(definition.name.text.as_str()) {
                let args = self.args(definition, &[]);
                Compiler::new(Place::Script, &args, self.errors).body(body);
            }
        }
    }

    /// Every port that a select reads from must be one that its script has.
    fn check_taps(&mut self) {
        for ((script, port), (_, place)) in &self.taps {
            let Some(ports) = self.script_ports.get(script) else { continue };
            if *port == ERR || ports.iter().any(|known| known == port) {
                continue;
            }
            let message = format!("the script `{script}` never emits to a port `{port}`");
            let known = ports.iter().map(String::as_str).chain([ERR]);
            self.errors.push(Diagnostic::new(place.span, message, "").nearest(port, known));
        }
    }

    fn connect_ports(&mut self) {
        let mut scripts = self.scripts.iter();
        for node in &mut self.nodes {
            let NodeKind::Script(script) = &mut node.kind else { continue };
            let Some(name) = scripts.next() else { continue };
            let tap = |port: &str| self.taps.get(&(name.text.as_str(), port)).map(|(channel, _)| *channel);
            let ports = self.script_ports.get(name.text.as_str()).map_or(&[][..], Vec::as_slice);
            script.ports = ports.iter().map(|port| tap(port)).collect();
            script.err = tap(ERR);
        }
    }
}

fn twice(name: &Name) -> Diagnostic {
    Diagnostic::new(name.span, format!("`{}` is given twice", name.text), "")
}

// === impl Draft ===

impl Draft {
    /// Marks, per channel, the node that may take the messages instead of copying them.
    pub(super) fn mark_last_readers(&mut self) {
        let mut seen = vec![false; self.channels.len()];
        for node in self.nodes.iter_mut().rev() {
            node.last_reader = !std::mem::replace(&mut seen[node.input], true);
        }
    }

    pub(super) fn into_graph(self) -> Graph {
        Graph {
            nodes: self.nodes.into(),
            channels: self.channels.len(),
            states: self.states,
            reads_meta: self.reads_meta,
        }
    }
}
