//! All definitions of a program and its modules, compiled on first use.
//!
//! # Correctness
//! A function or constant that is needed while it is being compiled depends on itself, which is refused.
//! Calls therefore form no cycle, and [`HEIGHT_MAX`] bounds their depth, so that evaluation cannot overflow
//! the stack.

use std::sync::Arc;

use super::{
    Args, Compiler, ExprContext,
    extract::Extractors,
    scope::{Binding, Scope, ScopeId},
};
use crate::{
    ast::{Constant, DefineScript, FunctionDefinition, Name, Statement},
    code::Function,
    diagnostic::{Diagnostic, ERRORS_MAX},
    files::Files,
    source::Span,
    value::limits::Limits,
};
use towline_event::Value;

/// The index of a constant.
pub(crate) type ConstantId = usize;

/// The index of a function.
pub(crate) type FunctionId = usize;

/// Maximum nesting of expressions through all calls. In an unoptimised build, this depth fits in a stack of 2
/// MiB with a margin.
pub(crate) const HEIGHT_MAX: u32 = 160;

/// Stack use of a call, in levels of expression nesting.
pub(crate) const CALL_HEIGHT: u32 = 4;

/// Maximum total size of the folded constants of a program, in bytes. Each constant also has the limit of any
/// value. The total prevents a short program with many constants from using gigabytes.
const FOLDED_MAX: usize = 64 << 20;

/// Maximum number of steps of all compile-time evaluation of a program, about one or two seconds. Code beyond
/// this limit is evaluated for each event instead.
const FOLD_STEPS: u32 = 10_000_000;

/// The definitions, and their compiled forms.
pub(crate) struct World<'a> {
    pub(super) files: &'a Files,
    /// The scope of each file.
    pub(super) file_scopes: Vec<ScopeId>,
    pub(super) scopes: Vec<Scope<'a>>,
    /// The scripts, operators and pipelines of all scopes.
    pub(super) definitions: Vec<Binding<'a>>,
    constants: Vec<Definition<'a, Constant, Value>>,
    functions: Vec<Definition<'a, FunctionDefinition, Arc<Function>>>,
    pub(super) extractors: Extractors,
    pub(crate) limits: Limits,
    /// Bytes of folded constants so far.
    folded: usize,
    /// Remaining steps for folding.
    pub(super) fold_steps: u32,
    pub(crate) errors: Vec<Diagnostic>,
    /// Likely mistakes that do not prevent the program from running.
    pub(crate) warnings: Vec<Diagnostic>,
    /// Whether the program reads the origin of events.
    pub(crate) reads_origin: bool,
    /// Whether all texts were parsed without errors, so that an unknown name is certainly undefined.
    pub(crate) complete: bool,
}

struct Definition<'a, D, C> {
    tree: &'a D,
    scope: ScopeId,
    state: Progress<C>,
}

#[derive(Clone)]
enum Progress<C> {
    Waiting,
    Compiling,
    /// Compiled; `None` after errors, which are reported.
    Done(Option<C>),
}

impl<'a> World<'a> {
    /// Collects the definitions of all files; `errors` are those found while parsing.
    pub(crate) fn new(files: &'a Files, limits: Limits, errors: Vec<Diagnostic>) -> Self {
        let mut world = Self {
            files,
            file_scopes: Vec::new(),
            scopes: Vec::new(),
            definitions: Vec::new(),
            constants: Vec::new(),
            functions: Vec::new(),
            extractors: Extractors::new(limits.search.max_compiled),
            limits,
            folded: 0,
            fold_steps: FOLD_STEPS,
            reads_origin: false,
            complete: errors.is_empty(),
            errors,
            warnings: Vec::new(),
        };
        let mut uses = Vec::new();
        for (index, statements) in files.statements().enumerate() {
            if index > 0 {
                world.refuse_actions(statements);
            }
            let scope = world.scope_of(None, statements, &mut uses);
            world.file_scopes.push(scope);
        }
        for (scope, used) in uses {
            world.import(scope, used);
        }
        world
    }

    /// The scope of the main program.
    pub(crate) fn root(&self) -> ScopeId {
        self.file_scopes.first().copied().unwrap_or_default()
    }

    /// The statements of the main program.
    pub(crate) fn program(&self) -> &'a [Statement] {
        self.files.program()
    }

    /// All definitions of scripts, operators and pipelines.
    pub(crate) fn definitions(&self) -> Vec<Binding<'a>> {
        self.definitions.clone()
    }

    /// The script that implements the operator of that name; `None` for an unknown operator.
    pub(crate) fn operator(&self, name: &str) -> Option<&'a DefineScript> {
        self.files.operator(name)
    }

    pub(super) fn add_constant(&mut self, tree: &'a Constant, scope: ScopeId) -> ConstantId {
        self.constants.push(Definition { tree, scope, state: Progress::Waiting });
        self.constants.len() - 1
    }

    pub(super) fn add_function(&mut self, tree: &'a FunctionDefinition, scope: ScopeId) -> FunctionId {
        self.functions.push(Definition { tree, scope, state: Progress::Waiting });
        self.functions.len() - 1
    }

    /// Compiles unused definitions, to report their errors.
    pub(crate) fn compile_all(&mut self) {
        for id in 0..self.constants.len() {
            let name = &self.constants[id].tree.name;
            self.constant(id, name.span, 0);
        }
        for id in 0..self.functions.len() {
            let name = &self.functions[id].tree.name;
            self.function(id, name.span, 0);
        }
    }

    /// The value of a constant; `None` after errors. `place` is the span of its use, `level` the nesting
    /// depth so far.
    pub(crate) fn constant(&mut self, id: ConstantId, place: Span, level: u32) -> Option<Value> {
        let Definition { tree, scope, .. } = self.constants[id];
        match self.constants[id].state.clone() {
            Progress::Done(value) => return value,
            Progress::Compiling => {
                self.needs_itself(&tree.name, place, "constant", "a constant cannot depend on itself");
                return None;
            }
            Progress::Waiting if self.too_deep(level, place) => return None,
            Progress::Waiting => {}
        }
        self.constants[id].state = Progress::Compiling;
        let args = Args::default();
        let mut compiler = Compiler::new(self, scope, ExprContext::Constant, &args);
        compiler.level = level;
        let value = compiler.parameter(&tree.value);
        let value = compiler.sound().then_some(value);
        self.constants[id].state = Progress::Done(value.clone());
        value
    }

    /// The code of a function; `None` after errors. `place` is the span of its use, `level` the nesting depth
    /// so far.
    pub(crate) fn function(&mut self, id: FunctionId, place: Span, level: u32) -> Option<Arc<Function>> {
        let Definition { tree, scope, .. } = self.functions[id];
        match self.functions[id].state.clone() {
            Progress::Done(function) => return function,
            Progress::Compiling => {
                self.needs_itself(&tree.name, place, "function", "use `recur` to repeat a function");
                return None;
            }
            Progress::Waiting if self.too_deep(level, place) => return None,
            Progress::Waiting => {}
        }
        self.functions[id].state = Progress::Compiling;
        let body = tree.body.as_ref();
        let function = body.and_then(|body| super::function::compile(self, scope, tree, body, level));
        let function = function.map(Arc::new);
        self.functions[id].state = Progress::Done(function.clone());
        function
    }

    /// Whether a function takes no arguments.
    pub(super) fn has_no_params(&self, id: FunctionId) -> bool {
        let tree = self.functions[id].tree;
        tree.params.is_empty() && !tree.open
    }

    /// Whether the error list is full. The compiler then skips the search for similar names.
    pub(crate) fn is_crowded(&self) -> bool {
        self.errors.len() >= ERRORS_MAX
    }

    fn needs_itself(&mut self, name: &Name, place: Span, what: &str, why: &str) {
        let message = format!("the {what} `{}` depends on itself", name.text);
        self.errors.push(Diagnostic::new(place, message, why));
    }

    /// Whether `height` exceeds the nesting limit. If so, reports an error at `place`.
    pub(super) fn too_deep(&mut self, height: u32, place: Span) -> bool {
        let deep = height > HEIGHT_MAX;
        if deep {
            let message = "calls nest too deeply here";
            self.errors.push(Diagnostic::new(place, message, "too many levels of function calls"));
        }
        deep
    }

    /// Adds the `size` of a folded constant in bytes to the total. Returns false if the total exceeds the
    /// limit.
    pub(super) fn has_room(&mut self, size: usize) -> bool {
        self.folded = self.folded.saturating_add(size);
        self.folded <= FOLDED_MAX
    }
}

impl Binding<'_> {
    /// Whether the binding is a failed `use`, which was reported already.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Binding::Missing)
    }
}
