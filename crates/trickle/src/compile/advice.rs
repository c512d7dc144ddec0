//! Errors and advice for unknown names.

use super::{
    Compiler, ExprContext,
    scope::{Binding, DEFINITION_KINDS, DefinitionKind, ScopeId, library_binding},
    world::World,
};
use crate::{
    ast::{BinaryOp, Expr, ExprKind, Link, Name, Qualified, Root, Segment, SegmentKind},
    diagnostic::{Diagnostic, listed, nearest},
    library,
};

/// The library module of aggregate functions, which need windows and are not supported.
const AGGREGATES: &str = "aggr";

/// Words for null in other languages.
const OTHER_NULLS: [&str; 4] = ["nil", "none", "undefined", "nul"];

/// Keywords that may be meant where a local is expected.
const WORDS: [&str; 4] = ["true", "false", "null", "drop"];

impl Compiler<'_, '_> {
    /// The error for a local that has no value yet.
    pub(super) fn unknown_local(&self, name: &Name) -> Diagnostic {
        let text = name.text.as_str();
        let mut error =
            Diagnostic::new(name.span, format!("there is no local `{text}`"), "has no value here");
        if self.world.is_crowded() {
            return error;
        }
        if let Some(key) =
            self.hyphenated.as_ref().filter(|(at, _)| *at == name.span.start).map(|(_, key)| key)
        {
            return error.help(format!("write a key with a `-` in backticks: .`{key}-{text}`"));
        }
        if let Some(error) =
            self.world.of_another_kind(self.scope, &Qualified::of(name), DefinitionKind::Constant)
        {
            return error;
        }
        let near = self.meant_word(text).map(str::to_owned).or_else(|| {
            let mut known = vec!["event", "state", "args"];
            known.extend(self.words());
            known.extend(self.locals.keys().map(String::as_str));
            known.extend(self.world.names_in(self.scope, DefinitionKind::Constant));
            nearest(text, known).map(str::to_owned)
        });
        error.help = Some(match (near, self.place) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, ExprContext::Script | ExprContext::Function) => format!("assign it first: let {text} = …"),
            (None, _) => format!("a field of the event is event.{text}, metadata is ${text}"),
        });
        error
    }

    /// Keywords that are allowed in the place of a local.
    fn words(&self) -> &'static [&'static str] {
        if self.place == ExprContext::Script { &WORDS } else { &WORDS[..3] }
    }

    /// The keyword meant by a word in capitals, or by a word of another language.
    fn meant_word(&self, text: &str) -> Option<&'static str> {
        let lower = text.to_ascii_lowercase();
        let null = OTHER_NULLS.contains(&lower.as_str()).then_some("null");
        null.or_else(|| self.words().iter().copied().find(|word| *word == lower))
    }

    /// Records the key before a `-` without spaces, as in `event.user-name`. If the name after the `-` is
    /// unknown, the error suggests a key in backticks.
    pub(super) fn mark_hyphen(&mut self, before: &Expr, link: &Link) {
        let close = before.span.end == link.span.start && link.span.end == link.operand.span.start;
        let (ExprKind::Path(path), ExprKind::Path(next)) = (&before.kind, &link.operand.kind) else { return };
        if let (true, BinaryOp::Sub, Some(Segment { kind: SegmentKind::Key(key), .. }), Root::Local(name)) =
            (close, link.op, path.segments.last(), &next.root)
        {
            self.hyphenated = Some((name.span.start, key.to_string()));
        }
    }
}

impl World<'_> {
    /// Reports an unknown name.
    pub(crate) fn report_unknown(&mut self, scope: ScopeId, path: &Qualified, kind: DefinitionKind) {
        let error = if self.is_crowded() {
            Diagnostic::new(path.span, format!("there is no {} `{}`", kind.noun(), path.text()), "")
        } else {
            self.unknown(scope, path, kind)
        };
        self.errors.push(error);
    }

    /// Reports a `use` of an unknown name.
    pub(super) fn nothing_to_use(&mut self, scope: ScopeId, path: &Qualified) {
        let text = path.text();
        let message = format!("there is no module `{text}`");
        let label = "not in this program, the library or the module path";
        let error = Diagnostic::new(path.span, message, label);
        let error = if self.is_crowded() {
            error
        } else if let Some(error) = self.aggregate(scope, path) {
            error
        } else {
            let modules = library_modules();
            let near = nearest(&text, modules.iter().map(String::as_str))
                .map(str::to_owned)
                .or_else(|| nearest_in_library(&text, None))
                .or_else(|| nearest(&text, self.names_in(scope, DefinitionKind::Module)).map(str::to_owned));
            match near {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error,
            }
        };
        self.errors.push(error);
    }

    fn unknown(&self, scope: ScopeId, path: &Qualified, kind: DefinitionKind) -> Diagnostic {
        let special = self.aggregate(scope, path).or_else(|| self.of_another_kind(scope, path, kind));
        if let Some(error) = special {
            return error;
        }
        let text = path.text();
        let label = match kind {
            DefinitionKind::Script | DefinitionKind::Operator | DefinitionKind::Pipeline => {
                "not defined in this program"
            }
            _ => "",
        };
        let message = format!("there is no {} `{text}`", kind.noun());
        let mut error = Diagnostic::new(path.span, message, label);
        let near = match path.names.as_slice() {
            [_] => nearest(&text, self.names_in(scope, kind)).map(str::to_owned),
            names => self.nearest_member(scope, names, kind),
        };
        if let Some(near) = near {
            return error.help(format!("did you mean `{near}`?"));
        }
        let same = same_last_name(&text, kind);
        match same.as_slice() {
            [] if path.names.len() > 1 => error.label = format!("not in `{}`", module_of(&path.names)),
            [] => {}
            [only] => error = error.help(format!("did you mean `{only}`?")),
            several => error = error.help(format!("known ones are {}", listed(several.iter().copied()))),
        }
        error
    }

    /// The error for an aggregate function; `None` if the path is not one.
    fn aggregate(&self, scope: ScopeId, path: &Qualified) -> Option<Diagnostic> {
        let first = path.names.first()?;
        let is_one =
            first.text == AGGREGATES && self.visible(scope, DefinitionKind::Module, AGGREGATES).is_none();
        is_one.then(|| Diagnostic::not_yet(path.span, "aggregates are"))
    }

    /// The error for a name that exists, but is of another kind than the expected one; `None` if the name is
    /// unknown.
    fn of_another_kind(
        &self,
        scope: ScopeId,
        path: &Qualified,
        wanted: DefinitionKind,
    ) -> Option<Diagnostic> {
        let kinds =
            DEFINITION_KINDS.into_iter().filter(|kind| *kind != wanted && *kind != DefinitionKind::Window);
        let mut found = kinds.filter_map(|kind| {
            let binding = self.find(scope, path, kind).filter(|binding| !binding.is_missing())?;
            Some((kind, binding))
        });
        let (kind, binding) = found.next()?;
        let text = path.text();
        let article =
            if matches!(kind, DefinitionKind::Constant | DefinitionKind::Function | DefinitionKind::Module) {
                "a"
            } else {
                "the"
            };
        let is = format!("`{text}` is {article} {}", kind.noun());
        let label = match wanted {
            DefinitionKind::Constant => "not a value",
            DefinitionKind::Function => "not a function",
            _ if article == "a" => return None,
            _ => {
                let message = format!("there is no {} `{text}`", wanted.noun());
                return Some(Diagnostic::new(path.span, message, is));
            }
        };
        let error = Diagnostic::new(path.span, is, label);
        Some(match kind {
            DefinitionKind::Function => {
                let args = if self.takes_nothing(&binding) { "" } else { "…" };
                error.help(format!("call it: {text}({args})"))
            }
            DefinitionKind::Module => error.help(format!("use its members, such as {text}::name")),
            _ => error,
        })
    }

    fn takes_nothing(&self, binding: &Binding<'_>) -> bool {
        match binding {
            Binding::Function(id) => self.has_no_params(*id),
            Binding::LibraryFunction(function) => function.arity.takes(0),
            _ => false,
        }
    }

    /// The most similar name in the module that a path leads to, or in the library; `None` if no name is
    /// similar.
    fn nearest_member(&self, scope: ScopeId, names: &[Name], kind: DefinitionKind) -> Option<String> {
        let [first, between @ .., last] = names else { return None };
        let prefix = module_of(names);
        let module = self.visible(scope, DefinitionKind::Module, &first.text);
        match module.and_then(|module| self.descend(module, between)) {
            Some(Binding::Module(inner)) => {
                nearest(&last.text, self.members(inner, kind)).map(|near| format!("{prefix}::{near}"))
            }
            Some(Binding::LibraryModule(library)) => {
                let near = nearest_in_library(&format!("{library}::{}", last.text), Some(kind))?;
                near.strip_prefix(library.as_str()).map(|rest| format!("{prefix}{rest}"))
            }
            _ => nearest_in_library(&format!("{prefix}::{}", last.text), Some(kind)),
        }
    }
}

/// The path without its last name.
fn module_of(names: &[Name]) -> String {
    let before = names[..names.len() - 1].iter().map(|name| name.text.as_str());
    before.collect::<Vec<_>>().join("::")
}

/// The library name most similar to a path. The last name and the part before it are compared separately,
/// because a long matching prefix would hide any difference in the last name.
fn nearest_in_library(path: &str, kind: Option<DefinitionKind>) -> Option<String> {
    let (prefix, last) = path.rsplit_once("::")?;
    let modules = library_modules();
    let known = |module: &str| modules.iter().any(|known| known == module);
    let module = if known(prefix) { prefix } else { nearest(prefix, modules.iter().map(String::as_str))? };
    let wanted = |name: &str| kind.is_none_or(|kind| library_binding(name, kind).is_some());
    let members = || {
        let inside =
            library::names::names().filter(|name| wanted(name)).filter_map(|name| name.rsplit_once("::"));
        inside.filter(|(inside, _)| *inside == module).map(|(_, member)| member)
    };
    let exact = members().find(|member| *member == last && module != prefix);
    let member = exact.or_else(|| nearest(last, members()))?;
    Some(format!("{module}::{member}"))
}

/// Library names with the same last name: for `string::len` without its `use`, or for
/// `std::system::hostname`, whose module is `tremor::system`.
fn same_last_name(path: &str, kind: DefinitionKind) -> Vec<&'static str> {
    let mut ending = path;
    loop {
        let ends = |name: &&str| name.strip_suffix(ending).is_some_and(|before| before.ends_with("::"));
        let same: Vec<&str> = library::names::names().filter(ends).collect();
        let of_kind = same.iter().copied().filter(|name| library_binding(name, kind).is_some());
        match (of_kind.collect::<Vec<_>>(), ending.split_once("::")) {
            (of_kind, _) if !of_kind.is_empty() => return of_kind,
            _ if !same.is_empty() && path.contains("::") => return same,
            // If the path has several names, the last one alone is not specific enough.
            (_, Some((_, rest))) if rest.contains("::") => ending = rest,
            _ => return Vec::new(),
        }
    }
}

/// The paths of all library modules.
fn library_modules() -> Vec<String> {
    let mut modules: Vec<String> = library::names::names()
        .filter_map(|name| name.rsplit_once("::"))
        .map(|(module, _)| module.to_owned())
        .collect();
    modules.sort();
    modules.dedup();
    modules
}
