//! The rules for statements of the query level.

use crate::{
    ast::{Group, GroupBy, Qualified, Select, Statement, StreamRef},
    diagnostic::Diagnostic,
    parser::cursor::{Failed, Parsed, Parser},
    token::Token,
};

/// Keys of `#!config`, which programs of the reference system use. In Towline the name of a program is its
/// key in the settings, and metrics are always on, so these keys are checked but have no effect.
const CONFIG_KEYS: [&str; 2] = ["id", "metrics_interval_s"];

/// Words that may follow a stream in a `select`.
const AFTER_STREAM: [&str; 4] = ["where", "group", "into", "having"];

impl Parser<'_> {
    /// Parses all statements up to the end of the text.
    pub(in crate::parser) fn program(&mut self) -> Vec<Statement> {
        self.statements(|_| false)
    }

    /// Parses the statements of a module or a pipeline, including its `end`.
    pub(in crate::parser) fn statements_of_block(&mut self) -> Vec<Statement> {
        self.statements(|parser| parser.is_word("end"))
    }

    fn statements(&mut self, ends: impl Fn(&Self) -> bool) -> Vec<Statement> {
        let mut statements = Vec::new();
        let blocks = self.blocks.len();
        while self.goes_on() && !ends(self) {
            if self.eat(";") || self.config() {
                continue;
            }
            let start = self.at;
            match self.statement(&ends) {
                Ok(statement) => statements.push(statement),
                Err(Failed) => {
                    self.after_failed_head(start, blocks);
                    // Skip a keyword that failed at its own position, so that the loop makes progress.
                    if self.at == start {
                        self.advance();
                    }
                    self.recover(blocks);
                    self.eat(";");
                }
            }
        }
        statements
    }

    /// Reads a `#!config` line. Returns whether there is one.
    fn config(&mut self) -> bool {
        let Token::Config(setting) = self.peek() else { return false };
        let key = setting.split('=').next().unwrap_or("").trim();
        let has_value = setting.split_once('=').is_some_and(|(_, value)| !value.trim().is_empty());
        if !CONFIG_KEYS.contains(&key) {
            let message = format!("unknown setting `{key}`");
            let error = Diagnostic::new(self.span(), message, "known keys are `id` and `metrics_interval_s`");
            let error = error.nearest(key, CONFIG_KEYS);
            self.errors.push(error);
        } else if !has_value {
            self.errors.push(Diagnostic::new(self.span(), format!("`{key}` has no value"), ""));
        }
        self.advance();
        true
    }

    fn statement(&mut self, ends: &impl Fn(&Self) -> bool) -> Parsed<Statement> {
        let (start, span) = (self.at, self.span());
        let statement = match self.peek() {
            Token::Word("select") => self.select(),
            Token::Word("create") => self.create(),
            Token::Word("define") => self.nested(Self::define),
            Token::Word("deploy" | "connect") => {
                let error = Diagnostic::new(span, "a program cannot deploy", "")
                    .help("routes and upstreams are in the settings");
                Err(self.fail(error))
            }
            _ => match self.item() {
                Some(item) => item.map(Statement::Item),
                None => Err(self.unknown_statement()),
            },
        }?;
        if *self.peek() != Token::End && !self.is(";") && !self.is_word("end") && !ends(self) {
            return Err(self.program_goes_on(start));
        }
        Ok(statement)
    }

    fn select(&mut self) -> Parsed<Statement> {
        let start = self.at;
        self.advance();
        let target = self.expression()?;
        if !self.eat_word("from") {
            return Err(self.no_from(start));
        }
        let from = self.stream_ref("a stream to read from")?;
        let windows = if self.eat("[") { self.windows()? } else { Vec::new() };
        let filter = if self.eat_word("where") { Some(self.expression()?) } else { None };
        let group = if self.is_word("group") { Some(self.group_by()?) } else { None };
        if !self.eat_word("into") {
            return Err(self.no_into(filter.is_some(), group.is_some()));
        }
        let into = self.stream_ref("a stream to write to")?;
        let having = if self.eat_word("having") { Some(self.expression()?) } else { None };
        Ok(Statement::Select(Box::new(Select { target, from, windows, filter, group, into, having })))
    }

    fn stream_ref(&mut self, what: &str) -> Parsed<StreamRef> {
        // A keyword followed by a token that fits only after the keyword is not meant as a name.
        let goes_on = matches!(self.peek_second(), Token::Word(next) if !AFTER_STREAM.contains(next));
        if goes_on && self.is_any_word(&AFTER_STREAM) {
            return Err(self.expected(what));
        }
        // `move` begins an operation of a patch, and is a port too.
        let stream = match self.is_any_word(&["move"]) {
            true => self.key("a stream")?,
            false => self.name(if matches!(self.peek(), Token::Word(_)) { "a stream" } else { what })?,
        };
        let port = if self.eat("/") { Some(self.key("the name of a port")?) } else { None };
        Ok(StreamRef { stream, port })
    }

    fn windows(&mut self) -> Parsed<Vec<Qualified>> {
        let mut windows = vec![self.qualified_name("a window")?];
        while self.eat(",") {
            windows.push(self.qualified_name("a window")?);
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
}
