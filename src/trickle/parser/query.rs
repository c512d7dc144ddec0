//! Statements of the query level.

use super::{Failed, Parsed, Parser, STATEMENTS};
use crate::trickle::{
    ast::{
        CreateScript, DefineScript, DefineWindow, Group, GroupBy, Name, Param, Select, Statement, StreamRef,
    },
    diagnostic::Diagnostic,
    token::Token,
};

/// Settings of `#!config`. Programs of the reference system carry them; here a program's name is its
/// key in the settings, and metrics are always on, so they are checked and have no effect.
const CONFIG_KEYS: [&str; 2] = ["id", "metrics_interval_s"];

/// What follows `create` and `define` in the reference system and is not built yet.
const LATER: [&str; 4] = ["operator", "pipeline", "flow", "connector"];

impl Parser<'_> {
    /// All statements up to the end of the source.
    pub(super) fn program(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        while self.goes_on() {
            if self.eat(";") || self.config() {
                continue;
            }
            let start = self.at;
            match self.statement() {
                Ok(statement) => statements.push(statement),
                Err(Failed) => {
                    // A statement keyword that failed on itself must not be met again.
                    if self.at == start {
                        self.advance();
                    }
                    self.recover(0);
                    self.eat(";");
                }
            }
        }
        statements
    }

    /// Takes a `#!config` line.
    fn config(&mut self) -> bool {
        let Token::Config(setting) = self.peek() else { return false };
        let key = setting.split('=').next().unwrap_or("").trim();
        let has_value = setting.split_once('=').is_some_and(|(_, value)| !value.trim().is_empty());
        if !CONFIG_KEYS.contains(&key) {
            let message = format!("unknown setting `{key}`");
            let error = Diagnostic::new(self.span(), message, "known are `id` and `metrics_interval_s`");
            let error = error.nearest(key, CONFIG_KEYS);
            self.errors.push(error);
        } else if !has_value {
            self.errors.push(Diagnostic::new(self.span(), format!("`{key}` has no value"), ""));
        }
        self.advance();
        true
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let span = self.span();
        let statement = match self.peek() {
            Token::Word("select") => self.select(),
            Token::Word("create") => self.create(),
            Token::Word("define") => self.define(),
            Token::Word("use" | "mod") => Err(self.fail(Diagnostic::not_yet(span, "modules are"))),
            Token::Word("const" | "fn" | "intrinsic") => {
                Err(self.fail(Diagnostic::not_yet(span, "constants and functions are")))
            }
            Token::Word("deploy" | "connect") => {
                let error = Diagnostic::new(span, "a program cannot deploy", "")
                    .help("routes and upstreams are in the settings");
                Err(self.fail(error))
            }
            _ => Err(self.expected_words(&["select", "create", "define"])),
        }?;
        if *self.peek() != Token::End && !self.is(";") {
            return Err(self.expected_end("`;` after the statement"));
        }
        Ok(statement)
    }

    fn select(&mut self) -> Parsed<Statement> {
        self.advance();
        let target = self.expression()?;
        self.expect_word("from")?;
        let from = self.stream_ref("a stream to read from")?;
        let windows = if self.eat("[") { self.windows()? } else { Vec::new() };
        let filter = if self.eat_word("where") { Some(self.expression()?) } else { None };
        let group = if self.is_word("group") { Some(self.group_by()?) } else { None };
        if !self.eat_word("into") {
            return Err(self.missing_into(filter.is_some(), group.is_some()));
        }
        let into = self.stream_ref("a stream to write to")?;
        let having = if self.eat_word("having") { Some(self.expression()?) } else { None };
        Ok(Statement::Select(Box::new(Select { target, from, windows, filter, group, into, having })))
    }

    fn missing_into(&mut self, filtered: bool, grouped: bool) -> Failed {
        match (filtered, grouped) {
            (false, false) => self.expected_words(&["where", "group", "into"]),
            (true, false) => self.expected_words(&["group", "into"]),
            _ => self.expected_words(&["into"]),
        }
    }

    fn stream_ref(&mut self, what: &str) -> Parsed<StreamRef> {
        let stream = self.name(what)?;
        let port = if self.eat("/") { Some(self.key("the name of a port")?) } else { None };
        Ok(StreamRef { stream, port })
    }

    fn windows(&mut self) -> Parsed<Vec<Name>> {
        let mut windows = vec![self.name("a window")?];
        while self.eat(",") {
            windows.push(self.name("a window")?);
        }
        self.expect("]")?;
        Ok(windows)
    }

    fn group_by(&mut self) -> Parsed<Group> {
        self.advance();
        self.expect_word("by")?;
        self.group()
    }

    fn group(&mut self) -> Parsed<Group> {
        let start = self.span();
        let by = if self.eat_word("set") {
            self.expect("(")?;
            let mut groups = vec![self.nested(Self::group)?];
            while self.eat(",") {
                groups.push(self.nested(Self::group)?);
            }
            self.expect(")")?;
            GroupBy::Set(groups)
        } else if self.eat_word("each") {
            self.expect("(")?;
            let each = self.expression()?;
            self.expect(")")?;
            GroupBy::Each(each)
        } else {
            GroupBy::Value(self.expression()?)
        };
        Ok(Group { by, span: start.to(self.last_span()) })
    }

    fn create(&mut self) -> Parsed<Statement> {
        self.advance();
        if self.eat_word("stream") {
            return Ok(Statement::CreateStream(self.name("a stream")?));
        }
        self.refuse_later()?;
        if !self.eat_word("script") {
            return Err(self.expected_words(&["stream", "script"]));
        }
        let name = self.name("a script")?;
        let from = if self.eat_word("from") { Some(self.name("a defined script")?) } else { None };
        if from.is_some() && self.is("::") {
            return Err(self.fail(Diagnostic::not_yet(self.last_span(), "modules are")));
        }
        let params = if self.eat_word("with") { self.block(|parser| parser.params())? } else { Vec::new() };
        Ok(Statement::CreateScript(CreateScript { name, from, params }))
    }

    fn refuse_later(&mut self) -> Parsed<()> {
        let named = self.is_any_word(&LATER);
        if named || matches!(self.peek_second(), Token::Symbol("::")) {
            return Err(self.fail(Diagnostic::not_yet(self.span(), "this kind of node is")));
        }
        Ok(())
    }

    fn define(&mut self) -> Parsed<Statement> {
        self.advance();
        self.refuse_later()?;
        if self.eat_word("script") {
            return self.define_script();
        }
        if self.is_any_word(&["tumbling", "sliding"]) {
            let kind = self.name("a kind of window")?;
            self.expect_word("window")?;
            let name = self.name("a window")?;
            return self.define_window(kind, name);
        }
        if self.eat_word("window") {
            let name = self.name("a window")?;
            self.expect_word("from")?;
            let kind = self.name("a kind of window")?;
            return self.define_window(kind, name);
        }
        Err(self.expected_words(&["script", "window", "tumbling"]))
    }

    /// `define script name [with params [end]] script … end`; the `end` of `with` is the older form.
    fn define_script(&mut self) -> Parsed<Statement> {
        let name = self.name("a script")?;
        let params = if self.eat_word("with") || self.eat_word("args") {
            let params = self.params()?;
            self.eat_word("end");
            params
        } else {
            Vec::new()
        };
        self.expect_word("script")?;
        let body = self.block(|parser| Ok(parser.script_body()))?;
        Ok(Statement::DefineScript(DefineScript { name, params, body }))
    }

    fn define_window(&mut self, kind: Name, name: Name) -> Parsed<Statement> {
        self.expect_word("with")?;
        let (params, body) = self.block(|parser| {
            let params = parser.params()?;
            let body = if parser.eat_word("script") { parser.script_body() } else { Some(Vec::new()) };
            Ok((params, body))
        })?;
        Ok(Statement::DefineWindow(DefineWindow { kind, name, params, body }))
    }

    /// `key = value, …`, a comma at the end allowed.
    fn params(&mut self) -> Parsed<Vec<Param>> {
        let mut params = Vec::new();
        while !self.is_any_word(&["end", "script"]) {
            let name = self.key("the name of a parameter")?;
            self.expect("=")?;
            params.push(Param { name, value: self.expression()? });
            if !self.eat(",") {
                break;
            }
        }
        if self.is_any_word(&STATEMENTS) {
            return Err(self.expected_words(&["end"]));
        }
        Ok(params)
    }
}
