//! Loads the texts of a program: the main program and the modules it uses.

use std::{collections::HashMap, io, sync::Arc};

use crate::{
    ast::{DefineScript, Item, Name, Qualified, Script, ScriptBlock, Statement, Use},
    bounds::{SOURCE_MAX, bounded, too_long},
    diagnostic::{Diagnostic, Diagnostics},
    library::names,
    operators::OPERATORS,
    parser,
    source::{Sources, Span},
};

/// Maximum number of modules of one program. More than this indicates a mistake, such as the wrong folder.
const FILES_MAX: usize = 256;

/// Maximum number of names in the path of a module, because the loader tries each prefix of the path.
const NAMES_MAX: usize = 32;

/// Where the modules of a program come from.
pub trait Modules {
    /// The module at a path such as `["filters", "chat"]`; `None` if it does not exist.
    ///
    /// # Errors
    /// When the module exists and cannot be read.
    fn load(&self, path: &[&str]) -> Result<Option<Module>, ModuleError>;
}

/// Why a module that exists cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {error}")]
pub struct ModuleError {
    /// The module's name in errors: its file.
    pub name: String,
    /// Why the file cannot be read.
    pub error: io::Error,
}

/// The text of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The module's name in errors: its file.
    pub name: String,
    /// The module's definitions, in the syntax of programs.
    pub text: String,
}

/// A source of modules that has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoModules;

impl Modules for NoModules {
    fn load(&self, _: &[&str]) -> Result<Option<Module>, ModuleError> {
        Ok(None)
    }
}

/// The trees of all texts; the first is the main program.
#[derive(Debug, Default)]
pub(crate) struct Files {
    trees: Vec<Vec<Statement>>,
    /// Indices of files by module path.
    by_path: HashMap<String, usize>,
    /// The result of each `use`: the index of a file, and the number of path names that lead to it.
    found: HashMap<String, (usize, usize)>,
    /// The parsed definitions of [`OPERATORS`].
    operators: Vec<Statement>,
}

/// The trees, texts and errors of a program or a script, with those of the modules that it uses.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) files: Files,
    pub(crate) sources: Arc<Sources>,
    /// The errors of parsing and of loading modules.
    pub(crate) errors: Vec<Diagnostic>,
}

/// Reads a program and all modules that it uses.
///
/// # Errors
/// When the text is longer than [`SOURCE_MAX`](crate::bounds::SOURCE_MAX).
pub(crate) fn load_program(name: &str, text: &str, modules: &dyn Modules) -> Result<Loaded, Diagnostics> {
    bounded(name, text)?;
    let mut loader = Loader::new(modules);
    loader.file(name, text);
    Ok(loader.finish())
}

/// Reads a standalone script and all modules that it uses.
///
/// # Errors
/// When the text is longer than [`SOURCE_MAX`](crate::bounds::SOURCE_MAX).
pub(crate) fn load_script(name: &str, text: &str, modules: &dyn Modules) -> Result<Loaded, Diagnostics> {
    bounded(name, text)?;
    let mut loader = Loader::new(modules);
    loader.script(name, text);
    Ok(loader.finish())
}

/// Loads and parses texts, and collects their errors.
struct Loader<'m> {
    modules: &'m dyn Modules,
    files: Files,
    sources: Sources,
    errors: Vec<Diagnostic>,
    /// Paths of the modules being read; each one is used by the one before it.
    reading: Vec<String>,
}

impl<'m> Loader<'m> {
    fn new(modules: &'m dyn Modules) -> Self {
        Self {
            modules,
            files: Files::default(),
            sources: Sources::default(),
            errors: Vec::new(),
            reading: Vec::new(),
        }
    }

    /// Reads a standalone script and the modules that it uses. The resulting tree is a program that defines the
    /// script.
    fn script(&mut self, name: &str, text: &str) {
        let base = self.sources.add(name, text);
        let (script, errors) = parser::parse_script(text, base);
        self.errors.extend(errors);
        let span = Span::new(0, 0);
        let name = Name { text: "script".to_owned(), span };
        let blocks = vec![ScriptBlock { port: None, script }];
        self.tree(vec![Statement::DefineScript(DefineScript {
            name,
            params: Vec::new(),
            state: None,
            blocks,
        })]);
    }

    fn finish(mut self) -> Loaded {
        for (name, text) in OPERATORS {
            let base = self.sources.add(name, text);
            self.files.operators.extend(parser::parse(text, base).0);
        }
        Loaded { files: self.files, sources: Arc::new(self.sources), errors: self.errors }
    }

    fn file(&mut self, name: &str, text: &str) -> usize {
        let base = self.sources.add(name, text);
        let (statements, errors) = parser::parse(text, base);
        self.errors.extend(errors);
        self.tree(statements)
    }

    /// Stores a tree, and reads the modules that it uses. Returns the index of the tree.
    fn tree(&mut self, statements: Vec<Statement>) -> usize {
        let mut uses = Vec::new();
        uses_in(&statements, &mut uses);
        let paths: Vec<Qualified> = uses.into_iter().map(|used| used.path.clone()).collect();
        self.files.trees.push(statements);
        let index = self.files.trees.len() - 1;
        for path in paths {
            self.follow(&path);
        }
        index
    }

    /// Reads the module that a path leads to, if it exists.
    fn follow(&mut self, path: &Qualified) {
        let text = path.text();
        if names::is_known(&text) {
            return;
        }
        if path.names.len() > NAMES_MAX {
            return;
        }
        let names: Vec<&str> = path.names.iter().map(|name| name.text.as_str()).collect();
        for taken in (1..=names.len()).rev() {
            if let Some(file) = self.module(&names[..taken], path.span) {
                self.files.found.insert(text, (file, taken));
                return;
            }
        }
    }

    fn module(&mut self, names: &[&str], span: Span) -> Option<usize> {
        let path = names.join("::");
        if let Some(begin) = self.reading.iter().position(|reading| *reading == path) {
            let mut cycle = self.reading[begin..].to_vec();
            cycle.push(path);
            let message = format!("modules use each other in a cycle: {}", cycle.join(" -> "));
            self.errors.push(Diagnostic::new(span, message, "this closes the cycle"));
            return None;
        }
        if let Some(file) = self.files.by_path.get(&path) {
            return Some(*file);
        }
        let module = match self.modules.load(names) {
            Ok(module) => module?,
            Err(error) => {
                self.errors.push(Diagnostic::new(
                    span,
                    format!("cannot read the module `{path}`: {error}"),
                    "",
                ));
                return None;
            }
        };
        if module.text.len() > SOURCE_MAX || self.files.trees.len() > FILES_MAX {
            let message = if module.text.len() > SOURCE_MAX {
                too_long("the module")
            } else {
                format!("the program uses more than {FILES_MAX} modules")
            };
            self.errors.push(Diagnostic::new(span, message, ""));
            return None;
        }
        self.reading.push(path.clone());
        let file = self.file(&module.name, &module.text);
        self.reading.pop();
        self.files.by_path.insert(path, file);
        Some(file)
    }
}

/// Appends every `use` in the statements, at any depth, to `uses`.
fn uses_in<'a>(statements: &'a [Statement], uses: &mut Vec<&'a Use>) {
    for statement in statements {
        match statement {
            Statement::Item(item) => uses_in_item(item, uses),
            Statement::DefineScript(script) => {
                script.blocks.iter().for_each(|block| uses_in_script(block.script.as_ref(), uses));
            }
            Statement::DefineWindow(window) => uses_in_script(window.script.as_ref(), uses),
            Statement::DefinePipeline(pipeline) => uses_in(&pipeline.statements, uses),
            _ => {}
        }
    }
}

fn uses_in_script<'a>(script: Option<&'a Script>, uses: &mut Vec<&'a Use>) {
    for item in script.into_iter().flat_map(|script| &script.items) {
        uses_in_item(item, uses);
    }
}

fn uses_in_item<'a>(item: &'a Item, uses: &mut Vec<&'a Use>) {
    match item {
        Item::Use(list) => uses.extend(list),
        Item::Module(module) => uses_in(&module.statements, uses),
        Item::Constant(_) | Item::Function(_) => {}
    }
}

// === impl Files ===

impl Files {
    /// The statements of each file; the first file is the main program.
    pub(crate) fn statements(&self) -> impl Iterator<Item = &[Statement]> {
        self.trees.iter().map(Vec::as_slice)
    }

    /// The statements of the main program.
    pub(crate) fn program(&self) -> &[Statement] {
        self.trees.first().map_or(&[], Vec::as_slice)
    }

    /// The script that implements the operator of that name; `None` for an unknown operator.
    pub(crate) fn operator(&self, name: &str) -> Option<&DefineScript> {
        let at = OPERATORS.iter().position(|(known, _)| *known == name)?;
        match self.operators.get(at) {
            Some(Statement::DefineScript(script)) => Some(script),
            _ => None,
        }
    }

    /// The file that a `use` leads to, and the number of path names that lead to it; `None` if there is no
    /// such file.
    pub(crate) fn find(&self, path: &Qualified) -> Option<(usize, usize)> {
        self.found.get(&path.text()).copied()
    }
}
