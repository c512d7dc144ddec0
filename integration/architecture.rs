//! The tables in docs/architecture list each edge between actors and each queue, with its bound and what
//! happens when it is full. These tests parse the code and compare the tables with it (guarantee C4).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use quote::ToTokens;
use syn::{
    Field, Fields, FnArg, GenericArgument, ImplItem, Item, PathArguments, ReturnType, Signature, TraitItem,
    Type, UseTree, Visibility,
};

use crate::harness::{root, sources};

/// Modules whose collections are not queues, because their size depends on settings and programs, not on
/// peers.
const NOT_AT_RUN_TIME: [&str; 10] = [
    "settings",
    "trickle",
    "tools",
    "cli.rs",
    "cli",
    "commands",
    "recording",
    "replay",
    "log.rs",
    "log/filter.rs",
];

/// The crates below the proxy, each in `crates/NAME`.
const CRATES: [&str; 4] = ["event", "recovery", "trickle", "wire"];

/// Collection types that can grow, and the one that has tasks wait.
const GROWABLE: [&str; 9] = [
    "Vec",
    "VecDeque",
    "HashMap",
    "BTreeMap",
    "IndexMap",
    "Slab",
    "BytesMut",
    "UnboundedReceiver",
    "Semaphore",
];

/// The source folders: that of the proxy with an empty name, and that of each crate with the crate's name.
fn folders() -> impl Iterator<Item = (&'static str, PathBuf)> {
    let crates = CRATES.map(|name| (name, root().join("crates").join(name).join("src")));
    std::iter::once(("", root().join("src"))).chain(crates)
}

/// The files in a source folder, without tests, with their relative paths.
fn files(source: &Path) -> Vec<(PathBuf, Vec<Item>)> {
    let mut paths = sources(source);
    paths.retain(|path| !is_test(path));
    let parsed = paths.into_iter().map(|path| {
        let file = syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let mut items = Vec::new();
        flatten(file.items, &mut items);
        (path.strip_prefix(source).unwrap().to_owned(), items)
    });
    parsed.collect()
}

/// The items of all modules and files for which `wanted` is true, without tests. A crate counts as a module.
fn items(wanted: impl Fn(&str) -> bool) -> Vec<Item> {
    let mut items = Vec::new();
    for (name, source) in folders() {
        for (path, found) in files(&source) {
            let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
            let module = if name.is_empty() { first } else { name };
            if wanted(module) && wanted(path.to_str().unwrap()) {
                items.extend(found);
            }
        }
    }
    items
}

/// The items of all modules that messages pass through.
fn run_time_items() -> Vec<Item> {
    items(|module| !NOT_AT_RUN_TIME.contains(&module))
}

fn is_test(path: &Path) -> bool {
    path.file_stem().unwrap().to_str().unwrap().ends_with("tests")
}

fn flatten(from: Vec<Item>, items: &mut Vec<Item>) {
    for item in from {
        match item {
            Item::Mod(module) if module.attrs.is_empty() => {
                flatten(module.content.map(|(_, items)| items).unwrap_or_default(), items);
            }
            // with an attribute: tests
            Item::Mod(_) => {}
            item => items.push(item),
        }
    }
}

/// The last name of a type's path: `VecDeque` for `std::collections::VecDeque<u8>`.
fn last_name(of: &Type) -> Option<String> {
    match of {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
}

/// Whether a type is or contains one of [`GROWABLE`].
fn grows(of: &Type) -> bool {
    let Type::Path(path) = of else { return false };
    path.path.segments.iter().any(|segment| {
        let inner = match &segment.arguments {
            PathArguments::AngleBracketed(arguments) => arguments.args.iter().collect(),
            _ => Vec::new(),
        };
        GROWABLE.contains(&segment.ident.to_string().as_str())
            || inner.into_iter().any(|argument| match argument {
                GenericArgument::Type(inner) => grows(inner),
                _ => false,
            })
    })
}

fn fields(of: &Fields) -> impl Iterator<Item = (String, &Field)> {
    of.iter().enumerate().map(|(at, field)| {
        let name = field.ident.as_ref().map_or_else(|| at.to_string(), ToString::to_string);
        (name, field)
    })
}

/// The fields that can grow, such as `Outbox::chunks`.
fn queues(items: &[Item]) -> BTreeSet<String> {
    let mut queues = BTreeSet::new();
    for item in items {
        match item {
            Item::Struct(item) => {
                let growing = fields(&item.fields).filter(|(_, field)| grows(&field.ty));
                queues.extend(growing.map(|(name, _)| format!("{}::{name}", item.ident)));
            }
            Item::Enum(item) => {
                for variant in &item.variants {
                    let growing = fields(&variant.fields).filter(|(_, field)| grows(&field.ty));
                    queues.extend(growing.map(|_| format!("{}::{}", item.ident, variant.ident)));
                }
            }
            _ => {}
        }
    }
    queues
}

/// The messages that actors handle, such as `Session ← DataMessage`.
fn edges(items: &[Item]) -> BTreeSet<String> {
    let mut edges = BTreeSet::new();
    for item in items {
        let Item::Impl(item) = item else { continue };
        let Some((_, path, _)) = &item.trait_ else { continue };
        let Some(segment) = path.segments.last().filter(|segment| segment.ident == "Handler") else {
            continue;
        };
        let PathArguments::AngleBracketed(arguments) = &segment.arguments else { continue };
        let message = arguments.args.to_token_stream().to_string();
        edges.insert(format!("{} ← {message}", last_name(&item.self_ty).unwrap()));
    }
    edges
}

/// The names of all constants and functions.
fn constants() -> BTreeSet<String> {
    let names = items(|_| true).into_iter().filter_map(|item| match item {
        Item::Const(item) => Some(item.ident.to_string()),
        Item::Fn(item) => Some(item.sig.ident.to_string()),
        _ => None,
    });
    names.collect()
}

/// The rows of the table in a file of docs/architecture, without its header.
fn table(file: &str) -> Vec<Vec<String>> {
    let path = root().join("docs/architecture").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows =
        text.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.skip(2).map(cells).collect()
}

/// The texts in backquotes in a table cell.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Whether a settings key has this name, such as `buffer` or `server.buffer`.
fn is_key(name: &str) -> bool {
    let text = std::fs::read_to_string(root().join("docs/settings.md")).unwrap();
    let last = name.rsplit('.').next().unwrap();
    text.contains(&format!("| `{name}` |")) || text.contains(&format!("| `{last}` |"))
}

#[track_caller]
fn expect_same(documented: &BTreeSet<String>, real: &BTreeSet<String>) {
    let missing: Vec<_> = real.difference(documented).collect();
    let gone: Vec<_> = documented.difference(real).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not in the table: {missing:?}; not in the code: {gone:?}"
    );
}

#[track_caller]
fn expect_bounds(rows: &[Vec<String>], bound: usize, known: &BTreeSet<String>) {
    for row in rows {
        let names = quoted(&row[bound]);
        let number = row[bound].contains(|letter: char| letter.is_ascii_digit());
        assert!(!names.is_empty() || number, "no bound: {row:?}");
        for name in names {
            let name = name.trim_end_matches("()").rsplit("::").next().unwrap();
            assert!(known.contains(name) || is_key(name), "{name} is neither a constant nor a key: {row:?}");
        }
        assert!(row.last().is_some_and(|policy| !policy.is_empty()), "no policy: {row:?}");
    }
}

#[test]
fn the_table_of_edges_lists_every_message_that_an_actor_handles() {
    let items = run_time_items();
    let rows = table("edges.md");
    let mut documented = BTreeSet::new();
    for row in &rows {
        for receiver in quoted(&row[1]) {
            documented.extend(quoted(&row[2]).iter().map(|message| format!("{receiver} ← {message}")));
        }
    }
    expect_same(&documented, &edges(&items));
    expect_bounds(&rows, 4, &constants());
}

#[test]
fn the_table_of_queues_lists_every_field_that_can_grow() {
    let items = run_time_items();
    let rows = table("queues.md");
    let documented = rows.iter().flat_map(|row| quoted(&row[0])).map(str::to_owned).collect();
    expect_same(&documented, &queues(&items));
    expect_bounds(&rows, 2, &constants());
}

/// Top-level modules of a source folder, each with a set of other modules.
type Modules = BTreeMap<String, BTreeSet<String>>;

/// The modules that each module uses, by paths in its code that begin with `crate`. In the top file of a
/// module, `super` is the crate as well.
fn uses(source: &Path) -> Modules {
    let mut modules = Modules::new();
    for (path, items) in files(source) {
        let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.trim_end_matches(".rs");
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let at_top = path.components().count() == 1 || path.ends_with(format!("{module}/mod.rs"));
        let roots: &[&str] = if at_top { &["crate", "super"] } else { &["crate"] };
        let used = modules.entry(module.to_owned()).or_default();
        for item in items {
            match item {
                Item::Use(item) => used_by(&item.tree, roots, false, used),
                item => {
                    let tokens = item.to_token_stream().to_string();
                    roots.iter().for_each(|root| used.extend(paths_in(&tokens, root)));
                }
            }
        }
        used.remove(module);
    }
    let known: BTreeSet<_> = modules.keys().cloned().collect();
    modules.values_mut().for_each(|used| used.retain(|module| known.contains(module)));
    modules
}

/// Collects the modules that a `use` names: the names after one of the roots.
fn used_by(tree: &UseTree, roots: &[&str], below_crate: bool, used: &mut BTreeSet<String>) {
    match tree {
        UseTree::Path(path) if below_crate => _ = used.insert(path.ident.to_string()),
        UseTree::Path(path) if roots.iter().any(|root| path.ident == root) => {
            used_by(&path.tree, roots, true, used);
        }
        UseTree::Name(name) if below_crate => _ = used.insert(name.ident.to_string()),
        UseTree::Rename(name) if below_crate => _ = used.insert(name.ident.to_string()),
        UseTree::Group(group) => group.items.iter().for_each(|tree| used_by(tree, roots, below_crate, used)),
        _ => {}
    }
}

/// The names after a root and `::` in the tokens of an item.
fn paths_in(tokens: &str, root: &str) -> Vec<String> {
    let root = format!("{root} :: ");
    let behind = tokens.split(&root).skip(1).map(|rest| {
        rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap().to_owned()
    });
    behind.collect()
}

/// The modules that `module` depends on, directly or indirectly.
fn reachable(modules: &Modules, module: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<_> = modules[module].iter().collect();
    while let Some(other) = next.pop() {
        if reached.insert(other.clone()) {
            next.extend(&modules[other]);
        }
    }
    reached
}

#[test]
fn no_module_depends_on_itself_indirectly() {
    for (name, source) in folders() {
        let modules = uses(&source);
        assert!(
            name == "event" || modules.values().any(|used| !used.is_empty()),
            "no dependencies found in {name}"
        );
        let in_circle = |module: &&String| reachable(&modules, module).contains(*module);
        let in_circles: Vec<_> = modules.keys().filter(in_circle).map(String::as_str).collect();
        assert!(in_circles.is_empty(), "{name}: modules in a circle: {in_circles:?}");
    }
}

/// Whether a type is a `Result` whose error is a `String`, or holds one.
fn fails_with_text(of: &Type) -> bool {
    let Type::Path(path) = of else { return false };
    path.path.segments.iter().any(|segment| {
        let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return false };
        let inner = arguments.args.iter().filter_map(|argument| match argument {
            GenericArgument::Type(inner) => Some(inner),
            _ => None,
        });
        let inner: Vec<_> = inner.collect();
        let error = inner.get(1).and_then(|error| last_name(error));
        (segment.ident == "Result" && error.is_some_and(|name| name == "String"))
            || inner.into_iter().any(fails_with_text)
    })
}

/// The name of a function, and the types of its arguments and of its result.
fn function(signature: &Signature) -> (String, Vec<&Type>) {
    let arguments = signature.inputs.iter().filter_map(|argument| match argument {
        FnArg::Typed(argument) => Some(&*argument.ty),
        FnArg::Receiver(_) => None,
    });
    let output = match &signature.output {
        ReturnType::Type(_, output) => Some(&**output),
        ReturnType::Default => None,
    };
    (signature.ident.to_string(), arguments.chain(output).collect())
}

/// The public parts of an item, each with its name and its types.
fn public_parts(item: &Item) -> Vec<(String, Vec<&Type>)> {
    let is_public = |visibility: &Visibility| matches!(visibility, Visibility::Public(_));
    match item {
        Item::Fn(item) if is_public(&item.vis) => vec![function(&item.sig)],
        Item::Type(item) if is_public(&item.vis) => vec![(item.ident.to_string(), vec![&*item.ty])],
        Item::Struct(item) => {
            let fields = item.fields.iter().filter(|field| is_public(&field.vis));
            vec![(item.ident.to_string(), fields.map(|field| &field.ty).collect())]
        }
        Item::Enum(item) if is_public(&item.vis) => {
            let fields = item.variants.iter().flat_map(|variant| &variant.fields);
            vec![(item.ident.to_string(), fields.map(|field| &field.ty).collect())]
        }
        Item::Trait(item) if is_public(&item.vis) => {
            let functions = item.items.iter().filter_map(|item| match item {
                TraitItem::Fn(item) => Some(function(&item.sig)),
                _ => None,
            });
            functions.collect()
        }
        Item::Impl(item) if item.trait_.is_none() => {
            let functions = item.items.iter().filter_map(|item| match item {
                ImplItem::Fn(item) if is_public(&item.vis) => Some(function(&item.sig)),
                _ => None,
            });
            functions.collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn no_error_crosses_a_module_as_a_string() {
    let mut parts = 0;
    let mut found = Vec::new();
    for item in items(|module| module != "trickle") {
        for (name, types) in public_parts(&item) {
            parts += 1;
            if types.into_iter().any(fails_with_text) {
                found.push(name);
            }
        }
    }
    assert!(parts > 500, "only {parts} public parts are found");
    assert!(found.is_empty(), "give these errors a type with a kind and a detail: {found:?}");
    let texts: Type = syn::parse_quote!(Option<Result<Vec<u8>, String>>);
    let kinds: Type = syn::parse_quote!(Result<String, FormatError>);
    assert!(fails_with_text(&texts) && !fails_with_text(&kinds));
}

/// Maximum number of lines of a file, comments included. A longer file has several responsibilities.
const FILE_LINES_MAX: usize = 500;
/// Maximum number of lines of a function. A longer function does several things.
const FUNCTION_LINES_MAX: usize = 60;

/// Files with more lines than [`FILE_LINES_MAX`], which are yet to be split.
const KNOWN_LONG_FILES: &[&str] = &[];

/// Functions with more lines than [`FUNCTION_LINES_MAX`], which are yet to be split.
const KNOWN_LONG_FUNCTIONS: &[&str] = &[];

/// The name of the function whose signature starts on a line; `None` for other lines.
fn function_name(line: &str) -> Option<&str> {
    let (before, behind) = line.split_once("fn ")?;
    let qualifiers = ["pub", "pub(crate)", "pub(super)", "const", "async"];
    let begins = before.split_whitespace().all(|word| qualifiers.contains(&word));
    let name = behind.split(['(', '<']).next()?;
    begins.then_some(name)
}

/// The functions of a formatted file, with their numbers of lines. A function ends at the brace with the
/// indentation of its first line.
fn function_lengths(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line).filter(|_| !line.ends_with(['}', ';'])) else { continue };
        let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let length = lines[at..].iter().position(|line| *line == end);
        found.push((name, length.map_or(1, |length| length + 1)));
    }
    found
}

#[test]
fn no_file_and_no_function_is_too_long() {
    let folders = ["src", "crates", "integration", "benches"];
    let paths = folders.into_iter().flat_map(|folder| sources(&root().join(folder)));
    let mut too_long = Vec::new();
    let mut functions = 0;
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap();
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX && !KNOWN_LONG_FILES.contains(&name) {
            too_long.push(format!("{name}: {lines} lines"));
        }
        for (function, lines) in function_lengths(&text) {
            functions += 1;
            let function = format!("{name}: {function}");
            if lines > FUNCTION_LINES_MAX && !KNOWN_LONG_FUNCTIONS.contains(&function.as_str()) {
                too_long.push(format!("{function}: {lines} lines"));
            }
        }
    }
    assert!(functions > 1000, "only {functions} functions are found");
    assert!(too_long.is_empty(), "split these: {too_long:#?}");
}
