//! `define` and `create`: scripts, operators, pipelines, windows, streams.

use crate::{
    ast::{
        Create, Creation, DefineOperator, DefinePipeline, DefineScript, DefineWindow, Name, Param, Qualified,
        Script, ScriptBlock, Statement,
    },
    diagnostic::Diagnostic,
    parser::{
        cursor::{Parsed, Parser},
        keywords::{AFTER_PARAMS, STATEMENTS},
    },
    token::Token,
};

/// Definitions of the reference system's deployments, which are settings in Towline.
const SETTINGS: [&str; 2] = ["flow", "connector"];

impl Parser<'_> {
    pub(in crate::parser) fn create(&mut self) -> Parsed<Statement> {
        self.advance();
        if self.eat_word("stream") {
            return Ok(Statement::CreateStream(self.name("a stream")?));
        }
        self.refuse_settings()?;
        let (kind, what) = match self.peek() {
            Token::Word("script") => (Creation::Script, "a script"),
            Token::Word("operator") => (Creation::Operator, "an operator"),
            Token::Word("pipeline") => (Creation::Pipeline, "a pipeline"),
            _ => return Err(self.expected_words(&["stream", "script", "operator", "pipeline"])),
        };
        self.advance();
        let name = self.name(what)?;
        let from = if self.eat_word("from") { Some(self.qualified_name("a definition")?) } else { None };
        let params = self.params_with_end()?;
        Ok(Statement::Create(Create { kind, name, from, params }))
    }

    fn refuse_settings(&mut self) -> Parsed<()> {
        let Token::Word(word) = *self.peek() else { return Ok(()) };
        if !SETTINGS.contains(&word) {
            return Ok(());
        }
        let error = Diagnostic::new(self.span(), format!("a program has no {word}s"), "")
            .help("listeners, upstreams and routes are in the settings");
        Err(self.fail(error))
    }

    pub(in crate::parser) fn define(&mut self) -> Parsed<Statement> {
        self.advance();
        self.refuse_settings()?;
        if self.eat_word("script") {
            return self.define_script();
        }
        if self.eat_word("pipeline") {
            return self.define_pipeline();
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
        self.define_operator()
    }

    /// Parses `define script name [with params [end]] [state value] [script from port …]… script … end`; the
    /// `end` of `with` is the older form.
    fn define_script(&mut self) -> Parsed<Statement> {
        let name = self.name("a script")?;
        let params = self.definition_params()?;
        let state = if self.eat_word("state") { Some(self.expression()?) } else { None };
        let opener = self.at;
        self.expect_word("script")?;
        let around = self.separated.take();
        let blocks = self.block(opener, Self::script_blocks);
        self.separated = around;
        Ok(Statement::DefineScript(DefineScript { name, params, state, blocks: blocks? }))
    }

    /// Parses the blocks of a script after the first word `script`, up to the `end`.
    fn script_blocks(&mut self) -> Parsed<Vec<ScriptBlock>> {
        let mut blocks: Vec<ScriptBlock> = Vec::new();
        while self.eat_word("from") {
            let port = self.key("the name of a port")?;
            if port.text == "in" {
                let error = Diagnostic::new(port.span, "`in` is the port of the block without `from`", "");
                self.errors.push(error);
            }
            if blocks.iter().any(|block| block.port.as_ref().is_some_and(|known| known.text == port.text)) {
                let message = format!("there is already a block for the port `{}`", port.text);
                self.errors.push(Diagnostic::new(port.span, message, "defined again here"));
            }
            self.separated = Some(self.blocks.len());
            let script = self.script_body();
            if script.as_ref().is_some_and(|script| script.body.is_empty()) {
                return Err(self.expected("a statement"));
            }
            blocks.push(ScriptBlock { port: Some(port), script });
            if !self.eat_word("script") {
                return Err(self.expected("`script` and the statements for the port `in`"));
            }
        }
        self.separated = None;
        blocks.push(ScriptBlock { port: None, script: self.script_body() });
        Ok(blocks)
    }

    /// Parses parameters: `with a = 1 [end]`, `args a, b = 2`, or nothing.
    fn definition_params(&mut self) -> Parsed<Vec<Param>> {
        let args = self.is_word("args");
        if !args && !self.is_word("with") {
            return Ok(Vec::new());
        }
        self.advance();
        let params = self.params(args)?;
        self.eat_word("end");
        Ok(params)
    }

    /// Parses `define pipeline name [from ports] [into ports] [args params] pipeline … end`; the bracketed
    /// parts may be in any order.
    fn define_pipeline(&mut self) -> Parsed<Statement> {
        let name = self.name("a pipeline")?;
        let (mut from, mut into, mut params) = (Vec::new(), Vec::new(), Vec::new());
        while !self.is_word("pipeline") {
            match self.peek() {
                Token::Word("from") if from.is_empty() => from = self.ports()?,
                Token::Word("into") if into.is_empty() => into = self.ports()?,
                Token::Word("args" | "with") if params.is_empty() => params = self.definition_params()?,
                _ => return Err(self.expected_words(&["args", "from", "into", "pipeline"])),
            }
        }
        let opener = self.at;
        self.advance();
        let statements = self.block(opener, |parser| Ok(parser.statements_of_block()))?;
        Ok(Statement::DefinePipeline(DefinePipeline { name, from, into, params, statements }))
    }

    fn ports(&mut self) -> Parsed<Vec<Name>> {
        self.advance();
        let mut ports: Vec<Name> = vec![self.name("a port")?];
        while self.eat(",") {
            let port = self.name("a port")?;
            if ports.iter().any(|known| known.text == port.text) {
                let message = format!("there is already a port `{}`", port.text);
                self.errors.push(Diagnostic::new(port.span, message, "defined again here"));
            }
            ports.push(port);
        }
        Ok(ports)
    }

    /// Parses `define kind operator name [with params end]`, or
    /// `define operator name from kind [with params end]`.
    fn define_operator(&mut self) -> Parsed<Statement> {
        let (kind, name) = if self.is_word("operator") {
            self.advance();
            let name = self.name("an operator")?;
            self.expect_word("from")?;
            (self.qualified_name("a kind of operator")?, name)
        } else if self.is_kind_of_operator() {
            let kind: Qualified = self.qualified_name("a kind of operator")?;
            self.expect_word("operator")?;
            (kind, self.name("an operator")?)
        } else {
            return Err(self.expected_words(&["script", "pipeline", "operator", "window", "tumbling"]));
        };
        let params = self.operator_params()?;
        Ok(Statement::DefineOperator(DefineOperator { kind, name, params }))
    }

    fn is_kind_of_operator(&self) -> bool {
        matches!(self.peek(), Token::Word(_))
            && matches!(self.peek_second(), Token::Symbol("::") | Token::Word("operator"))
    }

    fn define_window(&mut self, kind: Name, name: Name) -> Parsed<Statement> {
        if self.eat_word("state") {
            self.expression()?;
        }
        let opener = self.at;
        if self.eat_word("script") {
            let blocks = self.block(opener, Self::script_blocks)?;
            let script = blocks.into_iter().last().and_then(|block| block.script);
            return Ok(Statement::DefineWindow(DefineWindow { kind, name, params: Vec::new(), script }));
        }
        self.expect_word("with")?;
        let (params, script) = self.block(opener, |parser| {
            let params = parser.params(false)?;
            let script =
                if parser.eat_word("script") { parser.script_body() } else { Some(Script::default()) };
            Ok((params, script))
        })?;
        Ok(Statement::DefineWindow(DefineWindow { kind, name, params, script }))
    }

    /// Parses `[args params] [with params end]`, both optional.
    fn operator_params(&mut self) -> Parsed<Vec<Param>> {
        let mut params = if self.eat_word("args") { self.params(true)? } else { Vec::new() };
        params.extend(self.params_with_end()?);
        Ok(params)
    }

    fn params_with_end(&mut self) -> Parsed<Vec<Param>> {
        let opener = self.at;
        if self.eat_word("with") { self.block(opener, |parser| parser.params(false)) } else { Ok(Vec::new()) }
    }

    /// Parses `key = value, …`, with an optional trailing comma. If `bare` is true, values may be missing.
    fn params(&mut self, bare: bool) -> Parsed<Vec<Param>> {
        let mut params = Vec::new();
        while !self.is_any_word(&AFTER_PARAMS) || *self.peek_second() == Token::Symbol("=") {
            let name = self.key("the name of a parameter")?;
            let value = if bare && !self.is("=") {
                None
            } else {
                self.expect("=")?;
                Some(self.expression()?)
            };
            params.push(Param { name, value });
            if !self.eat(",") {
                break;
            }
        }
        if self.is_any_word(&STATEMENTS) {
            return Err(self.expected_words(&["end"]));
        }
        self.check_end_of_params()?;
        Ok(params)
    }

    /// Fails if the parameters end because another sign is used instead of a comma.
    fn check_end_of_params(&mut self) -> Parsed<()> {
        let another = *self.peek_second() == Token::Symbol("=") && matches!(self.peek(), Token::Word(_));
        if another {
            return Err(self.missing("`,`"));
        }
        let third = self.tokens.get(self.at + 2).map(|placed| &placed.token);
        if self.is(";") && (third == Some(&Token::Symbol("=")) || self.is_end_of_params(self.at + 1)) {
            return Err(self.no_comma_of_params());
        }
        Ok(())
    }

    fn is_end_of_params(&self, token: usize) -> bool {
        self.free_word(token).is_some_and(|word| AFTER_PARAMS.contains(&word))
    }
}
