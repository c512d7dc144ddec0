//! The names in a program or a pipeline: streams and created nodes.

use std::collections::HashMap;

use super::{Destination, Stream, nodes::Builder};
use crate::{
    ast::{Create, Creation, DefinePipeline, DefineScript, Name, Qualified, Statement},
    compile::{
        Args,
        scope::{Binding, DefinitionKind, ScopeId},
    },
    diagnostic::Diagnostic,
    source::Span,
};

/// The statements of a program or of a created pipeline, with the names they define.
pub(super) struct Level<'a> {
    pub(super) statements: &'a [Statement],
    pub(super) scope: ScopeId,
    pub(super) args: Args,
    /// The statement number of all nodes of a pipeline; `None` in a program, where each node has the number
    /// of its statement.
    pub(super) order: Option<usize>,
    /// The input streams, by name.
    pub(super) inputs: Vec<(String, Stream)>,
    /// The output streams, by name.
    pub(super) outputs: Vec<(String, Destination)>,
    pub(super) entities: HashMap<&'a str, Entity<'a>>,
    /// Ports that selects read from, with the name at their first use.
    pub(super) taps: HashMap<(&'a str, &'a str), (Stream, &'a Name)>,
}

/// What a name refers to.
#[derive(Clone)]
pub(super) enum Entity<'a> {
    Stream(Stream),
    Created(Created<'a>),
}

/// A script, an operator or a pipeline.
#[derive(Clone)]
pub(super) struct Created<'a> {
    /// The first statement with the name; others are refused.
    pub(super) create: &'a Create,
    pub(super) kind: Creation,
    /// The input streams, by port.
    pub(super) inputs: Vec<(&'a str, Stream)>,
    /// The index of the default input: `in`, or else the first.
    pub(super) usual: usize,
    pub(super) definition: Option<Binding<'a>>,
}

/// The name and the span of a stream, for error messages.
#[derive(Debug)]
pub(super) struct StreamInfo {
    /// The stream in program syntax: `name` or `name/port`.
    pub(super) name: String,
    /// Span of the stream's definition.
    pub(super) span: Span,
    pub(super) kind: StreamKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamKind {
    /// The input of a program or a pipeline.
    In,
    /// A stream that a `create stream` statement makes.
    Created,
    /// The input of a script, an operator or a pipeline.
    Entrance(Creation),
    /// A port that a select reads from.
    Port,
}

impl<'a> Level<'a> {
    pub(super) fn new(statements: &'a [Statement], scope: ScopeId, args: Args) -> Self {
        Self {
            statements,
            scope,
            args,
            order: None,
            inputs: Vec::new(),
            outputs: Vec::new(),
            entities: HashMap::new(),
            taps: HashMap::new(),
        }
    }

    pub(super) fn input(&self, name: &str) -> Option<Stream> {
        self.inputs.iter().find(|(known, _)| known == name).map(|(_, stream)| *stream)
    }

    pub(super) fn output(&self, name: &str) -> Option<Destination> {
        self.outputs.iter().find(|(known, _)| known == name).map(|(_, to)| *to)
    }

    /// The names of all streams of the level.
    fn names(&self) -> impl Iterator<Item = &str> {
        let inputs = self.inputs.iter().map(|(name, _)| name.as_str());
        let outputs = self.outputs.iter().map(|(name, _)| name.as_str());
        inputs.chain(outputs).chain(self.entities.keys().copied())
    }
}

impl<'a> Builder<'a, '_> {
    /// Collects all names of a level first, so that its statements may be in any order.
    pub(super) fn gather(&mut self, level: &mut Level<'a>) {
        for statement in level.statements {
            match statement {
                Statement::CreateStream(name) if self.is_free(level, name) => {
                    let stream = self.add_stream(name.text.clone(), name.span, StreamKind::Created);
                    level.entities.insert(&name.text, Entity::Stream(stream));
                }
                Statement::Create(create) => self.create(level, create),
                _ => {}
            }
        }
    }

    pub(super) fn add_stream(&mut self, name: String, span: Span, kind: StreamKind) -> Stream {
        self.draft.streams.push(StreamInfo { name, span, kind });
        self.draft.streams.len() - 1
    }

    fn create(&mut self, level: &mut Level<'a>, create: &'a Create) {
        let wanted = create.from.clone().unwrap_or_else(|| Qualified::of(&create.name));
        let kind = create.kind.defined();
        let definition = self.world.find(level.scope, &wanted, kind);
        if definition.is_none() && self.world.complete {
            self.world.report_unknown(level.scope, &wanted, kind);
        }
        if !self.is_free(level, &create.name) {
            return;
        }
        let inputs = match definition {
            Some(Binding::Pipeline(pipeline, _)) => pipeline.inputs(),
            Some(Binding::Script(script, _)) => script.inputs(),
            _ => vec!["in"],
        };
        let usual = inputs.iter().position(|port| *port == "in").unwrap_or(0);
        let inputs = inputs.into_iter().enumerate().map(|(index, port)| {
            let name = &create.name.text;
            let name = if index == usual { name.clone() } else { format!("{name}/{port}") };
            (port, self.add_stream(name, create.name.span, StreamKind::Entrance(create.kind)))
        });
        let created = Created { create, kind: create.kind, inputs: inputs.collect(), usual, definition };
        level.entities.insert(&create.name.text, Entity::Created(created));
    }

    fn is_free(&mut self, level: &Level<'a>, name: &Name) -> bool {
        let text = name.text.as_str();
        if level.input(text).is_some() || level.output(text).is_some() {
            let message = format!("`{text}` is a built-in stream");
            self.world.errors.push(Diagnostic::new(name.span, message, "use another name"));
            return false;
        }
        let what = match level.entities.get(text) {
            None => return true,
            Some(Entity::Stream(_)) => "a stream",
            Some(Entity::Created(created)) => created.kind.article(),
        };
        let message = format!("there is already {what} `{text}`");
        self.world.errors.push(Diagnostic::new(name.span, message, "defined again here"));
        false
    }

    /// Reports an unknown stream, unless a statement with syntax errors may define it.
    pub(super) fn report_unknown_stream(&mut self, level: &Level<'a>, name: &Name) {
        // The error list is full; skip the search for similar names.
        if !self.world.complete || self.world.is_crowded() {
            return;
        }
        let text = name.text.as_str();
        let label = match self.open.is_empty() {
            true => "not a stream or script of this program",
            false => "not a stream or script of this pipeline",
        };
        let error = Diagnostic::new(name.span, format!("there is no stream `{text}`"), label);
        let defined =
            [Creation::Script, Creation::Operator, Creation::Pipeline].into_iter().find(|creation| {
                self.world.find(level.scope, &Qualified::of(name), creation.defined()).is_some()
            });
        let error = match defined {
            Some(kind) => {
                error.help(format!("the {0} is only defined; add: create {0} {text};", kind.noun()))
            }
            None if self.is_outside(text) => error.help("a pipeline sees only the streams that it defines"),
            None => error.nearest(text, level.names()),
        };
        self.world.errors.push(error);
    }

    /// Whether a name is defined outside of the pipeline that is being built.
    fn is_outside(&self, name: &str) -> bool {
        let Some((_, around)) = self.open.split_last() else { return false };
        let mut statements = self.world.program().iter().chain(around.iter().flat_map(|p| &p.statements));
        statements.any(|statement| match statement {
            Statement::CreateStream(known) => known.text == name,
            Statement::Create(create) => create.name.text == name,
            _ => false,
        })
    }
}

// === impl Creation ===

impl Creation {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Operator => "operator",
            Self::Pipeline => "pipeline",
        }
    }

    fn article(self) -> &'static str {
        match self {
            Self::Script => "a script",
            Self::Operator => "an operator",
            Self::Pipeline => "a pipeline",
        }
    }

    /// The kind of the definition that a node is created from.
    fn defined(self) -> DefinitionKind {
        match self {
            Self::Script => DefinitionKind::Script,
            Self::Operator => DefinitionKind::Operator,
            Self::Pipeline => DefinitionKind::Pipeline,
        }
    }
}

// === impl DefineScript ===

impl DefineScript {
    /// The input ports, in the order of the script's blocks.
    fn inputs(&self) -> Vec<&str> {
        let ports = self.blocks.iter().map(|block| block.port.as_ref());
        ports.map(|port| port.map_or("in", |port| port.text.as_str())).collect()
    }
}

// === impl DefinePipeline ===

impl DefinePipeline {
    /// The input ports of the pipeline.
    pub(super) fn inputs(&self) -> Vec<&str> {
        if self.from.is_empty() {
            vec!["in"]
        } else {
            self.from.iter().map(|name| name.text.as_str()).collect()
        }
    }

    /// The output ports of the pipeline.
    pub(super) fn outputs(&self) -> Vec<&str> {
        if self.into.is_empty() {
            vec!["out", "err"]
        } else {
            self.into.iter().map(|name| name.text.as_str()).collect()
        }
    }
}
