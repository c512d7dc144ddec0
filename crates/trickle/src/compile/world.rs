//! All definitions of a program and its modules, compiled when they are first needed.
//!
//! # Correctness
//! A function or constant that is needed while it is being compiled needs itself, which is refused.
//! So calls form no circle, and [`HEIGHT_MAX`] bounds how deep they nest: evaluation cannot overflow
//! the stack however functions call each other.

use std::sync::Arc;

use super::{
    Args, Compiler, Place,
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

/// The number of a constant.
pub(crate) type ConstantId = usize;

/// The number of a function.
pub(crate) type FunctionId = usize;

/// How deep expressions may nest, through all calls: what a stack of 2 MiB holds without
/// optimisation, with room to spare.
pub(crate) const HEIGHT_MAX: u32 = 160;

/// How many levels of an expression a call takes on the stack.
pub(crate) const CALL_HEIGHT: u32 = 4;

/// How large all constants that a program's expressions come to may be together. Each by itself has
/// the bound of any value; this keeps a short program from taking gigabytes by many.
const FOLDED_MAX: usize = 64 << 20;

/// How many steps all that is evaluated beforehand may take together: a second or two. What is beyond
/// is left for the events.
const FOLD_STEPS: u32 = 10_000_000;

/// Definitions, and what came of them.
pub(crate) struct World<'a> {
    pub(super) files: &'a Files,
    /// The scope of each file.
    pub(super) file_scopes: Vec<ScopeId>,
    pub(super) scopes: Vec<Scope<'a>>,
    /// Of scripts, operators and pipelines, in every scope.
    pub(super) definitions: Vec<Binding<'a>>,
    constants: Vec<Definition<'a, Constant, Value>>,
    functions: Vec<Definition<'a, FunctionDefinition, Arc<Function>>>,
    pub(super) extractors: Extractors,
    pub(crate) limits: Limits,
    /// Bytes of folded constants so far.
    folded: usize,
    /// Steps that are left for folding.
    pub(super) fold_steps: u32,
    pub(crate) errors: Vec<Diagnostic>,
    /// What a program can run with, and is likely a mistake.
    pub(crate) warnings: Vec<Diagnostic>,
    /// Something asks where events come from.
    pub(crate) reads_origin: bool,
    /// All texts did parse: what has no name here has none.
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
    /// None: it has errors, which are listed.
    Done(Option<C>),
}

impl<'a> World<'a> {
    /// Gathers the definitions of all files; `errors` are those found while parsing.
    pub(crate) fn new(files: &'a Files, limits: Limits, errors: Vec<Diagnostic>) -> Self {
        let mut world = Self {
            files,
            file_scopes: Vec::new(),
            scopes: Vec::new(),
            definitions: Vec::new(),
            constants: Vec::new(),
            functions: Vec::new(),
            extractors: Extractors::default(),
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

    /// The scope of the program itself.
    pub(crate) fn root(&self) -> ScopeId {
        self.file_scopes.first().copied().unwrap_or_default()
    }

    /// The statements of the program itself.
    pub(crate) fn program(&self) -> &'a [Statement] {
        self.files.program()
    }

    /// All definitions of scripts, operators and pipelines.
    pub(crate) fn definitions(&self) -> Vec<Binding<'a>> {
        self.definitions.clone()
    }

    /// The script that does what an operator of that name does.
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

    /// Compiles what nothing has needed, for its errors.
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

    /// The value of a constant; `level` is how deep the stack is already.
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
        let mut compiler = Compiler::new(self, scope, Place::Constant, &args);
        compiler.level = level;
        let value = compiler.parameter(&tree.value);
        let value = compiler.sound().then_some(value);
        self.constants[id].state = Progress::Done(value.clone());
        value
    }

    /// The code of a function; `level` is how deep the stack is already.
    pub(crate) fn function(&mut self, id: FunctionId, place: Span, level: u32) -> Option<Arc<Function>> {
        let Definition { tree, scope, .. } = self.functions[id];
        match self.functions[id].state.clone() {
            Progress::Done(function) => return function,
            Progress::Compiling => {
                self.needs_itself(&tree.name, place, "function", "a function repeats itself by `recur` only");
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

    /// Whether a function is called with nothing.
    pub(super) fn has_no_params(&self, id: FunctionId) -> bool {
        let tree = self.functions[id].tree;
        tree.params.is_empty() && !tree.open
    }

    /// Whether there are more errors than anybody reads: then looking for near names is not worth it.
    pub(crate) fn is_crowded(&self) -> bool {
        self.errors.len() >= ERRORS_MAX
    }

    fn needs_itself(&mut self, name: &Name, place: Span, what: &str, why: &str) {
        let message = format!("the {what} `{}` needs itself", name.text);
        self.errors.push(Diagnostic::new(place, message, why));
    }

    /// Whether the stack is used up; says so.
    pub(super) fn too_deep(&mut self, height: u32, place: Span) -> bool {
        let deep = height > HEIGHT_MAX;
        if deep {
            let message = "calls nest too deep here";
            self.errors.push(Diagnostic::new(
                place,
                message,
                "functions that call functions, too many levels",
            ));
        }
        deep
    }

    /// Counts a folded constant. False: there are too many large ones.
    pub(super) fn has_room(&mut self, size: usize) -> bool {
        self.folded = self.folded.saturating_add(size);
        self.folded <= FOLDED_MAX
    }
}

impl Binding<'_> {
    /// Whether this was reported already.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Binding::Missing)
    }
}
