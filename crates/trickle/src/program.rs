//! Compiled programs and their instances: the interface of the language. [`engine`](crate::engine) runs them.

use std::sync::Arc;

use crate::{
    compile::world::World,
    diagnostic::{Diagnostics, RuntimeError},
    engine::Engine,
    eval::script::State,
    files::{Loader, Modules, NoModules},
    graph::{self, Exit, Graph, IN, NodeKind},
    port::Port,
    sets,
    source::{Sources, Span},
    value::limits::Limits,
};
use towline_event::Event;

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

/// What all instances of a program share.
#[derive(Debug)]
struct Code {
    /// The texts of the program, for errors at run time.
    sources: Arc<Sources>,
    graph: Graph,
    limits: Limits,
    warnings: Option<Diagnostics>,
    /// Every event leaves by `out` as it came.
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

// === impl Code ===

impl Code {
    fn new(sources: Arc<Sources>, graph: Graph, limits: Limits, warnings: Option<Diagnostics>) -> Self {
        let identity = passes_through(&graph);
        let in_order = graph.nodes.is_sorted_by_key(|node| node.order);
        Self { sources, graph, limits, warnings, identity, in_order }
    }
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
        let Code { sources, graph, limits, in_order, .. } = &*self.code;
        let states = &mut self.states;
        Engine { sources, graph, states, limits: *limits, in_order: *in_order }.run(event, now_ns, outputs)
    }
}
