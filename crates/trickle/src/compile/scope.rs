//! Scopes of definitions: where names are visible, and what they refer to.

use std::{collections::HashMap, rc::Rc};

use super::world::{ConstantId, FunctionId, World};
use crate::{
    ast::{DefineOperator, DefinePipeline, DefineScript, Item, Name, Qualified, Script, Statement, Use},
    diagnostic::Diagnostic,
    library,
    source::Span,
};
use towline_event::Value;

/// The index of a scope in [`World`](super::world::World).
pub(crate) type ScopeId = usize;

/// The kind of a definition. Each kind has its own namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum DefinitionKind {
    Constant,
    Function,
    Module,
    Script,
    Operator,
    Pipeline,
    Window,
}

/// All kinds. A `use` imports the definitions of all kinds that have the name.
pub(super) const DEFINITION_KINDS: [DefinitionKind; 7] = [
    DefinitionKind::Constant,
    DefinitionKind::Function,
    DefinitionKind::Module,
    DefinitionKind::Script,
    DefinitionKind::Operator,
    DefinitionKind::Pipeline,
    DefinitionKind::Window,
];

/// The definition that a name refers to.
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
    /// A module of the library, such as `std::string`.
    LibraryModule(String),
    /// A `use` of an unknown name, reported once at the `use`.
    Missing,
}

/// The scopes of a script.
#[derive(Debug)]
pub(crate) struct ScriptScopes {
    /// The scope that encloses the script.
    pub(crate) around: ScopeId,
    /// The scope of each block of the script.
    pub(crate) blocks: Vec<ScopeId>,
}

/// The definitions in a program, a module, a pipeline or a script.
#[derive(Default)]
pub(super) struct Scope<'a> {
    /// The enclosing scope, where names are looked up that this scope does not define.
    parent: Option<ScopeId>,
    /// The definitions and imports of this scope. Paths through this scope can use both.
    entries: HashMap<(DefinitionKind, &'a str), Binding<'a>>,
}

impl<'a> World<'a> {
    // --- gathering ---

    /// Creates scopes for statements and nested statements. Imports are resolved later, because they need all
    /// definitions.
    pub(super) fn scope_of(
        &mut self,
        parent: Option<ScopeId>,
        statements: &'a [Statement],
        uses: &mut Vec<(ScopeId, &'a Use)>,
    ) -> ScopeId {
        let scope = self.new_scope(parent);
        // The imports of this scope precede those of nested scopes, which may depend on them.
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
                self.define(scope, DefinitionKind::Script, &script.name, Binding::Script(script, scopes));
            }
            Statement::DefineOperator(operator) => {
                self.define(
                    scope,
                    DefinitionKind::Operator,
                    &operator.name,
                    Binding::Operator(operator, scope),
                );
            }
            Statement::DefinePipeline(pipeline) => {
                let inner = self.scope_of(Some(scope), &pipeline.statements, uses);
                self.define(
                    scope,
                    DefinitionKind::Pipeline,
                    &pipeline.name,
                    Binding::Pipeline(pipeline, inner),
                );
            }
            Statement::DefineWindow(window) => {
                self.errors.push(Diagnostic::not_yet(window.name.span, "windows are"));
                self.bind(scope, DefinitionKind::Window, &window.name, Binding::Window);
            }
            Statement::Select(_) | Statement::CreateStream(_) | Statement::Create(_) => {}
        }
    }

    fn declare_item(&mut self, scope: ScopeId, item: &'a Item, uses: &mut Vec<(ScopeId, &'a Use)>) {
        match item {
            Item::Constant(constant) => {
                let id = self.add_constant(constant, scope);
                self.bind(scope, DefinitionKind::Constant, &constant.name, Binding::Constant(id));
            }
            Item::Function(function) => {
                let id = self.add_function(function, scope);
                self.bind(scope, DefinitionKind::Function, &function.name, Binding::Function(id));
            }
            Item::Module(module) => {
                self.refuse_actions(&module.statements);
                let inner = self.scope_of(Some(scope), &module.statements, uses);
                self.bind(scope, DefinitionKind::Module, &module.name, Binding::Module(inner));
            }
            Item::Use(_) => {}
        }
    }

    /// Refuses statements other than definitions in a module.
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

    fn define(&mut self, scope: ScopeId, kind: DefinitionKind, name: &'a Name, binding: Binding<'a>) {
        self.definitions.push(binding.clone());
        self.bind(scope, kind, name, binding);
    }

    fn bind(&mut self, scope: ScopeId, kind: DefinitionKind, name: &'a Name, binding: Binding<'a>) {
        let entries = &mut self.scopes[scope].entries;
        if entries.contains_key(&(kind, name.text.as_str())) {
            let message = format!("there is already {} `{}`", kind.article(), name.text);
            self.errors.push(Diagnostic::new(name.span, message, "defined again here"));
        } else {
            entries.insert((kind, &name.text), binding);
        }
    }

    // --- use ---

    /// Adds the definitions that a `use` names to its scope.
    pub(super) fn import(&mut self, scope: ScopeId, used: &'a Use) {
        let found = self.imported(scope, &used.path);
        let last = &used.path.names[used.path.names.len() - 1];
        let name = used.alias.as_ref().unwrap_or(last);
        if found.is_empty() {
            self.nothing_to_use(scope, &used.path);
        }
        let missing = found.is_empty().then_some(DEFINITION_KINDS).into_iter().flatten();
        let missing = missing.map(|kind| (kind, Binding::Missing));
        for (kind, binding) in found.into_iter().chain(missing) {
            let entries = &mut self.scopes[scope].entries;
            entries.entry((kind, &name.text)).or_insert(binding);
        }
    }

    fn imported(&self, scope: ScopeId, path: &Qualified) -> Vec<(DefinitionKind, Binding<'a>)> {
        let names = &path.names;
        if let [first, .., last] = names.as_slice()
            && let Some(start) = self.visible(scope, DefinitionKind::Module, &first.text)
        {
            let Some(module) = self.descend(start, &names[1..names.len() - 1]) else { return Vec::new() };
            return all_of(|kind| self.member(&module, kind, &last.text));
        }
        if let [only] = names.as_slice()
            && let Some(module) = self.visible(scope, DefinitionKind::Module, &only.text)
        {
            return vec![(DefinitionKind::Module, module)];
        }
        let in_library = all_of(|kind| library_binding(&path.text(), kind));
        if !in_library.is_empty() {
            return in_library;
        }
        let Some((file, taken)) = self.files.find(path) else { return Vec::new() };
        let module = Binding::Module(self.file_scopes[file]);
        match &names[taken..] {
            [] => vec![(DefinitionKind::Module, module)],
            [between @ .., last] => match self.descend(module, between) {
                Some(module) => all_of(|kind| self.member(&module, kind, &last.text)),
                None => Vec::new(),
            },
        }
    }

    // --- looking up ---

    /// The definition that a path refers to in a scope; `None` if there is none.
    pub(crate) fn find(&self, scope: ScopeId, path: &Qualified, kind: DefinitionKind) -> Option<Binding<'a>> {
        match path.names.as_slice() {
            [only] => self.visible(scope, kind, &only.text),
            [first, between @ .., last] => match self.visible(scope, DefinitionKind::Module, &first.text) {
                Some(Binding::Missing) => Some(Binding::Missing),
                Some(module) => self.member(&self.descend(module, between)?, kind, &last.text),
                None => library_binding(&path.text(), kind),
            },
            [] => None,
        }
    }

    /// The definition of a name in a scope or its enclosing scopes; `None` if there is none.
    pub(super) fn visible(&self, scope: ScopeId, kind: DefinitionKind, name: &str) -> Option<Binding<'a>> {
        let mut at = Some(scope);
        while let Some(id) = at {
            if let Some(binding) = self.scopes[id].entries.get(&(kind, name)) {
                return Some(binding.clone());
            }
            at = self.scopes[id].parent;
        }
        None
    }

    /// Follows the names of a path through nested modules; `None` if a name is not defined.
    pub(super) fn descend(&self, start: Binding<'a>, names: &[Name]) -> Option<Binding<'a>> {
        names.iter().try_fold(start, |module, name| self.member(&module, DefinitionKind::Module, &name.text))
    }

    /// The definition of a name in a module; `None` if there is none.
    fn member(&self, module: &Binding<'a>, kind: DefinitionKind, name: &str) -> Option<Binding<'a>> {
        match module {
            Binding::Module(scope) => self.scopes[*scope].entries.get(&(kind, name)).cloned(),
            Binding::LibraryModule(prefix) => library_binding(&format!("{prefix}::{name}"), kind),
            Binding::Missing => Some(Binding::Missing),
            _ => None,
        }
    }

    /// The names of a kind that are visible in a scope.
    pub(crate) fn names_in(&self, scope: ScopeId, kind: DefinitionKind) -> impl Iterator<Item = &'a str> {
        let mut names = Vec::new();
        let mut at = Some(scope);
        while let Some(id) = at {
            names.extend(self.scopes[id].entries.keys().filter(|(known, _)| *known == kind).map(|(_, n)| *n));
            at = self.scopes[id].parent;
        }
        names.into_iter()
    }

    /// The names of a kind that a scope defines or imports.
    pub(super) fn members(&self, scope: ScopeId, kind: DefinitionKind) -> impl Iterator<Item = &'a str> {
        let entries = self.scopes[scope].entries.iter();
        entries.filter(move |((known, _), _)| *known == kind).map(|((_, name), _)| *name)
    }

    /// Whether a name is a constant in a scope, so that it cannot be a local.
    pub(crate) fn is_constant(&self, scope: ScopeId, name: &Name) -> bool {
        matches!(self.visible(scope, DefinitionKind::Constant, &name.text), Some(Binding::Constant(_)))
    }
}

/// The results of a lookup for each kind of definition, without the kinds that have none.
fn all_of<'a>(find: impl Fn(DefinitionKind) -> Option<Binding<'a>>) -> Vec<(DefinitionKind, Binding<'a>)> {
    DEFINITION_KINDS.into_iter().filter_map(|kind| Some((kind, find(kind)?))).collect()
}

pub(super) fn library_binding<'a>(name: &str, kind: DefinitionKind) -> Option<Binding<'a>> {
    match kind {
        DefinitionKind::Function => library::function(name).map(Binding::LibraryFunction),
        DefinitionKind::Constant => library::constant(name).map(Binding::LibraryConstant),
        DefinitionKind::Module => {
            library::names::is_module(name).then(|| Binding::LibraryModule(name.to_owned()))
        }
        _ => None,
    }
}

// === impl DefinitionKind ===

impl DefinitionKind {
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
    /// The path as programs write it.
    pub(crate) fn text(&self) -> String {
        self.names.iter().map(|name| name.text.as_str()).collect::<Vec<_>>().join("::")
    }

    /// The path of a single name.
    pub(crate) fn of(name: &Name) -> Self {
        Self { names: vec![name.clone()], span: name.span }
    }
}

/// A span outside of all sources, for synthetic nodes.
pub(super) const NOWHERE: Span = Span { start: 0, end: 0 };
