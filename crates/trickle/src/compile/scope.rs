//! Names of definitions: where they are known, and what they stand for.

use std::{collections::HashMap, rc::Rc};

use super::world::{ConstantId, FunctionId, World};
use crate::{
    ast::{DefineOperator, DefinePipeline, DefineScript, Item, Name, Qualified, Script, Statement, Use},
    diagnostic::Diagnostic,
    library,
    source::Span,
};
use towline_event::Value;

/// The number of a scope.
pub(crate) type ScopeId = usize;

/// What a name may stand for; each kind has names of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Constant,
    Function,
    Module,
    Script,
    Operator,
    Pipeline,
    Window,
}

/// All kinds, for `use`, which takes whatever has the name.
pub(super) const KINDS: [Kind; 7] = [
    Kind::Constant,
    Kind::Function,
    Kind::Module,
    Kind::Script,
    Kind::Operator,
    Kind::Pipeline,
    Kind::Window,
];

/// What a name stands for.
#[derive(Clone)]
pub(crate) enum Binding<'a> {
    Constant(ConstantId),
    Function(FunctionId),
    Module(ScopeId),
    Script(&'a DefineScript, Rc<ScriptScopes>),
    Operator(&'a DefineOperator, ScopeId),
    Pipeline(&'a DefinePipeline, ScopeId),
    Window,
    LibraryConstant(Value),
    LibraryFunction(&'static library::Function),
    /// The beginning of names of the library: `std::string`.
    LibraryModule(String),
    /// A `use` of something that there is not: said once, where it stands.
    Missing,
}

/// The scopes of a script.
#[derive(Debug)]
pub(crate) struct ScriptScopes {
    /// Where it is defined.
    pub(crate) around: ScopeId,
    /// Of each of its blocks.
    pub(crate) blocks: Vec<ScopeId>,
}

/// A program, a module, a pipeline, or a script: the definitions in it.
#[derive(Default)]
pub(super) struct Scope<'a> {
    /// Where names are looked for that are not known here.
    parent: Option<ScopeId>,
    /// What is defined here or brought in by a `use`: others have both from here.
    entries: HashMap<(Kind, &'a str), Binding<'a>>,
}

impl<'a> World<'a> {
    // --- gathering ---

    /// Makes a scope for statements and those inside of them. The uses are left for later: they need
    /// all that is defined.
    pub(super) fn scope_of(
        &mut self,
        parent: Option<ScopeId>,
        statements: &'a [Statement],
        uses: &mut Vec<(ScopeId, &'a Use)>,
    ) -> ScopeId {
        let scope = self.new_scope(parent);
        // The uses of this scope come before those of the scopes in it, which build on them.
        for statement in statements {
            if let Statement::Item(Item::Use(list)) = statement {
                uses.extend(list.iter().map(|used| (scope, used)));
            }
        }
        for statement in statements {
            self.declare(scope, statement, uses);
        }
        scope
    }

    fn script_scope(
        &mut self,
        parent: ScopeId,
        script: Option<&'a Script>,
        uses: &mut Vec<(ScopeId, &'a Use)>,
    ) -> ScopeId {
        let Some(script) = script.filter(|script| !script.items.is_empty()) else { return parent };
        let scope = self.new_scope(Some(parent));
        for item in &script.items {
            match item {
                Item::Use(list) => uses.extend(list.iter().map(|used| (scope, used))),
                _ => self.declare_item(scope, item, uses),
            }
        }
        scope
    }

    fn new_scope(&mut self, parent: Option<ScopeId>) -> ScopeId {
        self.scopes.push(Scope { parent, ..Scope::default() });
        self.scopes.len() - 1
    }

    fn declare(&mut self, scope: ScopeId, statement: &'a Statement, uses: &mut Vec<(ScopeId, &'a Use)>) {
        match statement {
            Statement::Item(item) => self.declare_item(scope, item, uses),
            Statement::DefineScript(script) => {
                let blocks = script.blocks.iter().map(|b| self.script_scope(scope, b.script.as_ref(), uses));
                let scopes = Rc::new(ScriptScopes { blocks: blocks.collect(), around: scope });
                self.define(scope, Kind::Script, &script.name, Binding::Script(script, scopes));
            }
            Statement::DefineOperator(operator) => {
                self.define(scope, Kind::Operator, &operator.name, Binding::Operator(operator, scope));
            }
            Statement::DefinePipeline(pipeline) => {
                let inner = self.scope_of(Some(scope), &pipeline.statements, uses);
                self.define(scope, Kind::Pipeline, &pipeline.name, Binding::Pipeline(pipeline, inner));
            }
            Statement::DefineWindow(window) => {
                self.errors.push(Diagnostic::not_yet(window.name.span, "windows are"));
                self.bind(scope, Kind::Window, &window.name, Binding::Window);
            }
            Statement::Select(_) | Statement::CreateStream(_) | Statement::Create(_) => {}
        }
    }

    fn declare_item(&mut self, scope: ScopeId, item: &'a Item, uses: &mut Vec<(ScopeId, &'a Use)>) {
        match item {
            Item::Constant(constant) => {
                let id = self.add_constant(constant, scope);
                self.bind(scope, Kind::Constant, &constant.name, Binding::Constant(id));
            }
            Item::Function(function) => {
                let id = self.add_function(function, scope);
                self.bind(scope, Kind::Function, &function.name, Binding::Function(id));
            }
            Item::Module(module) => {
                self.refuse_actions(&module.statements);
                let inner = self.scope_of(Some(scope), &module.statements, uses);
                self.bind(scope, Kind::Module, &module.name, Binding::Module(inner));
            }
            Item::Use(_) => {}
        }
    }

    /// A module defines; it has no streams of its own.
    pub(super) fn refuse_actions(&mut self, statements: &[Statement]) {
        for statement in statements {
            let (span, word) = match statement {
                Statement::Select(select) => (select.from.stream.span, "select"),
                Statement::CreateStream(name) => (name.span, "create"),
                Statement::Create(create) => (create.name.span, "create"),
                _ => continue,
            };
            let message = format!("a module cannot `{word}`");
            self.errors.push(Diagnostic::new(span, message, "").help("modules hold definitions only"));
        }
    }

    fn define(&mut self, scope: ScopeId, kind: Kind, name: &'a Name, binding: Binding<'a>) {
        self.definitions.push(binding.clone());
        self.bind(scope, kind, name, binding);
    }

    fn bind(&mut self, scope: ScopeId, kind: Kind, name: &'a Name, binding: Binding<'a>) {
        let entries = &mut self.scopes[scope].entries;
        if entries.contains_key(&(kind, name.text.as_str())) {
            let message = format!("there is {} `{}` already", kind.article(), name.text);
            self.errors.push(Diagnostic::new(name.span, message, "second time here"));
        } else {
            entries.insert((kind, &name.text), binding);
        }
    }

    // --- use ---

    /// Makes what a `use` names known in its scope.
    pub(super) fn import(&mut self, scope: ScopeId, used: &'a Use) {
        let found = self.imported(scope, &used.path);
        let last = &used.path.names[used.path.names.len() - 1];
        let name = used.alias.as_ref().unwrap_or(last);
        if found.is_empty() {
            self.nothing_to_use(scope, &used.path);
        }
        let missing = found.is_empty().then_some(KINDS).into_iter().flatten();
        let missing = missing.map(|kind| (kind, Binding::Missing));
        for (kind, binding) in found.into_iter().chain(missing) {
            let entries = &mut self.scopes[scope].entries;
            entries.entry((kind, &name.text)).or_insert(binding);
        }
    }

    fn imported(&self, scope: ScopeId, path: &Qualified) -> Vec<(Kind, Binding<'a>)> {
        let names = &path.names;
        if let [first, .., last] = names.as_slice()
            && let Some(start) = self.visible(scope, Kind::Module, &first.text)
        {
            let Some(module) = self.descend(start, &names[1..names.len() - 1]) else { return Vec::new() };
            return all_of(|kind| self.member(&module, kind, &last.text));
        }
        if let [only] = names.as_slice()
            && let Some(module) = self.visible(scope, Kind::Module, &only.text)
        {
            return vec![(Kind::Module, module)];
        }
        let in_library = all_of(|kind| library_binding(&path.text(), kind));
        if !in_library.is_empty() {
            return in_library;
        }
        let Some((file, taken)) = self.files.find(path) else { return Vec::new() };
        let module = Binding::Module(self.file_scopes[file]);
        match &names[taken..] {
            [] => vec![(Kind::Module, module)],
            [between @ .., last] => match self.descend(module, between) {
                Some(module) => all_of(|kind| self.member(&module, kind, &last.text)),
                None => Vec::new(),
            },
        }
    }

    // --- looking up ---

    /// What a name stands for, looked at from a scope.
    pub(crate) fn find(&self, scope: ScopeId, path: &Qualified, kind: Kind) -> Option<Binding<'a>> {
        match path.names.as_slice() {
            [only] => self.visible(scope, kind, &only.text),
            [first, between @ .., last] => match self.visible(scope, Kind::Module, &first.text) {
                Some(Binding::Missing) => Some(Binding::Missing),
                Some(module) => self.member(&self.descend(module, between)?, kind, &last.text),
                None => library_binding(&path.text(), kind),
            },
            [] => None,
        }
    }

    /// A name as it is known in a scope and those around it.
    pub(super) fn visible(&self, scope: ScopeId, kind: Kind, name: &str) -> Option<Binding<'a>> {
        let mut at = Some(scope);
        while let Some(id) = at {
            if let Some(binding) = self.scopes[id].entries.get(&(kind, name)) {
                return Some(binding.clone());
            }
            at = self.scopes[id].parent;
        }
        None
    }

    /// From a module to one inside of it.
    pub(super) fn descend(&self, start: Binding<'a>, names: &[Name]) -> Option<Binding<'a>> {
        names.iter().try_fold(start, |module, name| self.member(&module, Kind::Module, &name.text))
    }

    /// What a module has under a name.
    fn member(&self, module: &Binding<'a>, kind: Kind, name: &str) -> Option<Binding<'a>> {
        match module {
            Binding::Module(scope) => self.scopes[*scope].entries.get(&(kind, name)).cloned(),
            Binding::LibraryModule(prefix) => library_binding(&format!("{prefix}::{name}"), kind),
            Binding::Missing => Some(Binding::Missing),
            _ => None,
        }
    }

    /// The names of a kind that are known in a scope and those around it.
    pub(crate) fn names_in(&self, scope: ScopeId, kind: Kind) -> impl Iterator<Item = &'a str> {
        let mut names = Vec::new();
        let mut at = Some(scope);
        while let Some(id) = at {
            names.extend(self.scopes[id].entries.keys().filter(|(known, _)| *known == kind).map(|(_, n)| *n));
            at = self.scopes[id].parent;
        }
        names.into_iter()
    }

    /// The names of a kind that a scope has itself.
    pub(super) fn members(&self, scope: ScopeId, kind: Kind) -> impl Iterator<Item = &'a str> {
        let entries = self.scopes[scope].entries.iter();
        entries.filter(move |((known, _), _)| *known == kind).map(|((_, name), _)| *name)
    }

    /// Whether a name is a constant here, and so cannot be a local.
    pub(crate) fn is_constant(&self, scope: ScopeId, name: &Name) -> bool {
        matches!(self.visible(scope, Kind::Constant, &name.text), Some(Binding::Constant(_)))
    }
}

/// What all kinds give, of those that give something.
fn all_of<'a>(find: impl Fn(Kind) -> Option<Binding<'a>>) -> Vec<(Kind, Binding<'a>)> {
    KINDS.into_iter().filter_map(|kind| Some((kind, find(kind)?))).collect()
}

pub(super) fn library_binding<'a>(name: &str, kind: Kind) -> Option<Binding<'a>> {
    match kind {
        Kind::Function => library::function(name).map(Binding::LibraryFunction),
        Kind::Constant => library::constant(name).map(Binding::LibraryConstant),
        Kind::Module => library::names::is_module(name).then(|| Binding::LibraryModule(name.to_owned())),
        _ => None,
    }
}

// === impl Kind ===

impl Kind {
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Function => "function",
            Self::Module => "module",
            Self::Script => "definition of a script",
            Self::Operator => "definition of an operator",
            Self::Pipeline => "definition of a pipeline",
            Self::Window => "window",
        }
    }

    fn article(self) -> String {
        let noun = self.noun();
        format!("a {noun}")
    }
}

// === impl Qualified ===

impl Qualified {
    /// As programs write it.
    pub(crate) fn text(&self) -> String {
        self.names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join("::")
    }

    /// A single name.
    pub(crate) fn of(name: &Name) -> Self {
        Self { names: vec![name.clone()], span: name.span }
    }
}

/// A place that no source has, for what is made up.
pub(super) const NOWHERE: Span = Span { start: 0, end: 0 };
