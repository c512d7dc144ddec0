//! The names of a program: streams, scripts, definitions.

use std::collections::HashMap;

use super::{Channel, IN};
use crate::trickle::{
    ast::{CreateScript, DefineScript, Name, Statement},
    diagnostic::Diagnostic,
    source::Span,
};

/// Streams that every program has.
pub(super) const BUILT_IN: [&str; 4] = ["in", "out", "err", "reply"];

/// All names, with the channels they stand for.
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    pub(super) entities: HashMap<&'a str, Entity<'a>>,
    pub(super) definitions: HashMap<&'a str, &'a DefineScript>,
    pub(super) channels: Vec<ChannelInfo>,
    /// All statements did parse: what has no name here has none.
    complete: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Entity<'a> {
    Stream(Channel),
    Script { input: Channel, definition: Option<&'a DefineScript> },
}

/// What messages about a channel say.
#[derive(Debug)]
pub(super) struct ChannelInfo {
    /// As the program writes it: `name` or `name/port`.
    pub(super) name: String,
    /// Where it was made.
    pub(super) span: Span,
    pub(super) kind: ChannelKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChannelKind {
    In,
    Stream,
    /// The entrance of a script.
    Script,
    /// A port of a script that a select reads from.
    Port,
}

/// Gathers all names, so that statements may stand in any order.
pub(super) fn resolve<'a>(statements: &'a [Statement], errors: &mut Vec<Diagnostic>) -> Names<'a> {
    let mut names = Names { complete: errors.is_empty(), ..Names::default() };
    names.add_channel("in".to_owned(), Span::new(0, 0), ChannelKind::In);
    debug_assert_eq!(names.channels.len(), IN + 1);
    for statement in statements {
        if let Statement::DefineScript(definition) = statement {
            if names.definitions.contains_key(definition.name.text.as_str()) {
                errors.push(taken(&definition.name, "definition of a script"));
            } else {
                names.definitions.insert(&definition.name.text, definition);
            }
        }
    }
    for statement in statements {
        match statement {
            Statement::CreateStream(name) => names.create_stream(name, errors),
            Statement::CreateScript(create) => names.create_script(create, errors),
            _ => {}
        }
    }
    names
}

fn taken(name: &Name, what: &str) -> Diagnostic {
    Diagnostic::new(name.span, format!("there is a {what} `{}` already", name.text), "second time here")
}

impl<'a> Names<'a> {
    pub(super) fn add_channel(&mut self, name: String, span: Span, kind: ChannelKind) -> Channel {
        self.channels.push(ChannelInfo { name, span, kind });
        self.channels.len() - 1
    }

    fn create_stream(&mut self, name: &'a Name, errors: &mut Vec<Diagnostic>) {
        if self.is_free(name, errors) {
            let channel = self.add_channel(name.text.clone(), name.span, ChannelKind::Stream);
            self.entities.insert(&name.text, Entity::Stream(channel));
        }
    }

    fn create_script(&mut self, create: &'a CreateScript, errors: &mut Vec<Diagnostic>) {
        let wanted = create.from.as_ref().unwrap_or(&create.name);
        let definition = self.definitions.get(wanted.text.as_str()).copied();
        if definition.is_none() && self.complete {
            let message = format!("there is no definition of a script `{}`", wanted.text);
            let error = Diagnostic::new(wanted.span, message, "not defined in this program");
            errors.push(error.nearest(&wanted.text, self.definitions.keys().copied()));
        }
        if self.is_free(&create.name, errors) {
            let name = create.name.text.clone();
            let input = self.add_channel(name, create.name.span, ChannelKind::Script);
            self.entities.insert(&create.name.text, Entity::Script { input, definition });
        }
    }

    fn is_free(&self, name: &Name, errors: &mut Vec<Diagnostic>) -> bool {
        let text = name.text.as_str();
        if BUILT_IN.contains(&text) {
            let message = format!("`{text}` is a built-in stream");
            errors.push(Diagnostic::new(name.span, message, "take another name"));
            return false;
        }
        let what = match self.entities.get(text) {
            None => return true,
            Some(Entity::Stream(_)) => "stream",
            Some(Entity::Script { .. }) => "script",
        };
        errors.push(taken(name, what));
        false
    }

    /// The error for a name that is no stream. It may be one in a statement that does not parse.
    pub(super) fn unknown(&self, name: &Name) -> Option<Diagnostic> {
        self.complete.then(|| self.unknown_stream(name))
    }

    fn unknown_stream(&self, name: &Name) -> Diagnostic {
        let text = name.text.as_str();
        let error = Diagnostic::new(
            name.span,
            format!("there is no stream `{text}`"),
            "not a stream or script of this program",
        );
        if self.definitions.contains_key(text) {
            return error.help(format!("the script is only defined; add: create script {text};"));
        }
        error.nearest(text, BUILT_IN.into_iter().chain(self.entities.keys().copied()))
    }
}
