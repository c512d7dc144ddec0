//! Compiled programs and their instances: the public interface of the language. The `engine` runs them.

use std::sync::Arc;

use crate::{
    compile::world::World,
    diagnostic::{Diagnostics, RuntimeError},
    engine::Engine,
    eval::script::State,
    files::{Loaded, Modules, NoModules, load_program},
    graph::{self, Destination, Graph, IN, NodeKind},
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

/// The compiled form that all instances of a program share.
#[derive(Debug)]
struct Code {
    /// The texts of the program, for errors at run time.
    sources: Arc<Sources>,
    graph: Graph,
    limits: Limits,
    warnings: Option<Diagnostics>,
    /// Whether every event leaves by `out` unchanged.
    identity: bool,
    /// Whether the nodes are in the order of their statements. The outputs then need no sorting.
    in_order: bool,
}

/// A program with the state of one session. An instance allocates nothing unless a script of the program has
/// a `state`.
#[derive(Debug)]
pub struct Instance {
    code: Arc<Code>,
    states: Box<[State]>,
}

// === impl Program ===

impl Program {
    /// Compiles a program. Errors name the program as `name`: its file or its key in the settings.
    ///
    /// # Errors
    /// All errors of the program.
    pub fn compile(name: &str, source: &str) -> Result<Self, Diagnostics> {
        Self::compile_with(name, source, &NoModules, Limits::default())
    }

    /// Compiles a program that may `use` modules. `limits` bounds the cost of each event.
    ///
    /// # Errors
    /// All errors of the program and its modules.
    pub fn compile_with(
        name: &str,
        source: &str,
        modules: &dyn Modules,
        limits: Limits,
    ) -> Result<Self, Diagnostics> {
        let Loaded { files, sources, errors } = load_program(name, source, modules)?;
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

    /// Likely mistakes that do not prevent the program from running; `None` if there are none.
    pub fn warnings(&self) -> Option<&Diagnostics> {
        self.code.warnings.as_ref()
    }

    /// Whether every event leaves by `out` unchanged, so that the caller need not run the program.
    pub fn is_identity(&self) -> bool {
        self.code.identity
    }

    /// Whether the program reads `$`. If not, the caller need not collect metadata.
    pub fn reads_meta(&self) -> bool {
        self.code.graph.reads_meta
    }

    /// Whether the program reads the origin of events. If not, the caller may leave [`Event::origin`] empty.
    pub fn reads_origin(&self) -> bool {
        self.code.graph.reads_origin
    }

    /// Whether every event that leaves by `out` certainly has `$key`, by static analysis. `entering` is
    /// whether every incoming event has it.
    pub fn always_sets(&self, key: &str, entering: bool) -> bool {
        sets::always_sets(&self.code.graph, key, entering)
    }

    /// Whether any statement sends events to the port.
    pub fn uses_port(&self, port: Port) -> bool {
        self.code.graph.nodes.iter().any(|node| match &node.kind {
            NodeKind::Select(select) => select.to == Destination::Port(port),
            NodeKind::Script(_) => false,
        })
    }

    /// Creates an instance with a new state, for one session.
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
    let mut at = Destination::Stream(IN);
    for node in &graph.nodes {
        match node.passes_to() {
            Some(to) if Destination::Stream(node.input) == at => at = to,
            _ => return false,
        }
    }
    at == Destination::Port(Port::Out)
}

// === impl Instance ===

impl Instance {
    /// Likely mistakes that do not prevent the program from running; `None` if there are none.
    pub fn warnings(&self) -> Option<&Diagnostics> {
        self.code.warnings.as_ref()
    }

    /// Runs the program over one event and appends the outputs in the order of the statements. An event that
    /// reaches no port yields no output. Outputs keep the event's id and time.
    ///
    /// `now_ns` is the current time for the program, in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// When an expression fails or a limit is reached. `outputs` is then unchanged; a `state` keeps what was
    /// written to it before the failure.
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
