//! The rules for statements of scripts: sequences, `let`, `emit`, `drop`, `match`, `for`.

use crate::{
    ast::{
        BinaryOp, Case, Expr, ExprKind, Fold, For, ForCase, Item, MatchExpr, Name, Path, Pattern, Root,
        Script,
    },
    diagnostic::Diagnostic,
    parser::{
        cursor::{Failed, Parsed, Parser},
        keywords::STATEMENTS,
    },
    token::{RESERVED, Token},
};

impl Parser<'_> {
    /// Parses the statements and definitions of a script, including its `end`. Returns `None` if one of them
    /// has syntax errors, because its absence would cause misleading errors in the others.
    pub(in crate::parser) fn script_body(&mut self) -> Option<Script> {
        let mut script = Script::default();
        // A constant at the end is the script's value. A script with definitions only passes the event on.
        let mut value = None;
        let sound = self.sequence(|parser| {
            let span = parser.span();
            match parser.item() {
                Some(item) => {
                    let item = item?;
                    value = match &item {
                        Item::Constant(constant) => Some(Path::of(Root::Local(constant.name.clone()), span)),
                        _ if script.body.is_empty() => Some(Path::of(Root::Event, span)),
                        _ => value.take(),
                    };
                    script.items.push(item);
                }
                None => {
                    value = None;
                    script.body.push(parser.expression()?);
                }
            }
            Ok(())
        });
        script.body.extend(value.map(|path| Expr { span: path.span, kind: ExprKind::Path(path) }));
        sound.then_some(script)
    }

    /// Parses the statements of a function, including its `end`. Returns `None` if one of them has syntax
    /// errors.
    pub(in crate::parser) fn statements_until_end(&mut self) -> Option<Vec<Expr>> {
        let mut body = Vec::new();
        let sound = self.sequence(|parser| {
            body.push(parser.expression()?);
            Ok(())
        });
        sound.then_some(body)
    }

    /// Parses a sequence separated by semicolons, up to an `end`. Returns false if one of the parts has
    /// syntax errors.
    fn sequence(&mut self, mut parse: impl FnMut(&mut Self) -> Parsed<()>) -> bool {
        let mut sound = true;
        let blocks = self.blocks.len();
        while self.goes_on() && !self.ends_sequence() {
            if self.eat(";") {
                continue;
            }
            let start = self.at;
            let parsed = parse(self).and_then(|()| match self.ends_statement() {
                true => Ok(()),
                false => Err(self.statement_goes_on(start)),
            });
            if let Err(Failed) = parsed {
                sound = false;
                if self.at == start {
                    self.advance();
                }
                self.recover(blocks);
            }
        }
        sound
    }

    fn ends_statement(&self) -> bool {
        // A standalone script ends with its text.
        let ends_alone = self.blocks.is_empty() && *self.peek() == Token::End;
        self.is(";") || self.is_word("end") || self.at_separator() || ends_alone
    }

    fn ends_sequence(&self) -> bool {
        self.is_word("end") || self.is_any_word(&STATEMENTS) || self.at_separator()
    }

    /// Parses the statements of a case, up to the next case or the `end` of the match.
    fn case_body(&mut self) -> Parsed<Vec<Expr>> {
        let mut start = self.at;
        let mut body = vec![self.expression()?];
        // Version 0.11 of the reference system has commas here.
        while (self.eat(";") || self.eat(",")) && !self.ends_case() && !self.is_any_word(&STATEMENTS) {
            start = self.at;
            body.push(self.expression()?);
        }
        if !self.ends_case() {
            return Err(self.case_goes_on(start));
        }
        Ok(body)
    }

    fn ends_case(&self) -> bool {
        self.is_any_word(&["case", "default", "end", "into"])
    }

    /// Parses `let path = value`.
    pub(in crate::parser) fn assignment(&mut self) -> Parsed<Expr> {
        let start = self.span();
        self.advance();
        let path = self.assignable()?;
        self.expect("=")?;
        let value = self.expression()?;
        let span = start.to(value.span);
        Ok(Expr { kind: ExprKind::Let { path, value: Box::new(value) }, span })
    }

    fn assignable(&mut self) -> Parsed<Path> {
        self.refuse_keyword()?;
        let target = self.nested(Self::primary)?;
        match target.kind {
            ExprKind::Path(path) => Ok(path),
            _ => Err(self.fail(Diagnostic::new(target.span, "cannot assign to this", "not a path"))),
        }
    }

    /// Refuses keywords that begin a value after `let`.
    fn refuse_keyword(&mut self) -> Parsed<()> {
        match *self.peek() {
            Token::Word("event" | "state" | "args") => Ok(()),
            Token::Word(word) if RESERVED.contains(&word) => {
                let refused = self.name("a local").map(drop);
                // Here the word opens no block.
                self.advance();
                refused
            }
            _ => Ok(()),
        }
    }

    /// Parses `emit [value] [=> "port"]`.
    pub(in crate::parser) fn emit(&mut self) -> Parsed<Expr> {
        let start = self.span();
        self.advance();
        let bare = self.is(";") || self.is("=>") || self.ends_case() || *self.peek() == Token::End;
        let value = if bare { None } else { Some(Box::new(self.expression()?)) };
        let port =
            if self.eat("=>") { Some(self.plain_text("the name of a port as a string")?) } else { None };
        Ok(Expr { kind: ExprKind::Emit { value, port }, span: start.to(self.last_span()) })
    }

    /// Parses the `of` of a block that begins at the token `opener`.
    pub(in crate::parser) fn expect_of(&mut self, opener: usize) -> Parsed<()> {
        if self.eat_word("of") { Ok(()) } else { Err(self.no_beginning(&["of"], opener)) }
    }

    /// Parses the `=>` between the pattern and the body of a case; fails if it is missing.
    pub(in crate::parser) fn arrow(&mut self) -> Parsed<()> {
        if self.eat("=>") { Ok(()) } else { Err(self.no_arrow()) }
    }

    /// Parses `match subject of case … end`.
    pub(in crate::parser) fn match_block(&mut self) -> Parsed<Expr> {
        let (start, opener) = (self.span(), self.at);
        self.advance();
        let subject = self.expression()?;
        self.expect_of(opener)?;
        let cases = self.block(opener, |parser| parser.cases_of(Self::pattern))?;
        let span = start.to(self.last_span());
        Ok(Expr { kind: ExprKind::Match(Box::new(MatchExpr { subject, cases })), span })
    }

    /// Parses all cases of a block, including its `end`; `pattern` parses their patterns.
    pub(in crate::parser) fn cases_of(
        &mut self,
        mut pattern: impl FnMut(&mut Self) -> Parsed<Pattern>,
    ) -> Parsed<Vec<Case>> {
        let first = self.at;
        let mut cases = Vec::new();
        let mut caught_all = false;
        while !self.is_word("end") {
            if caught_all {
                return Err(self.unreachable_case(first));
            }
            let case = self.case(&mut pattern)?;
            caught_all = case.guard.is_none() && matches!(case.pattern, Pattern::Any);
            cases.push(case);
        }
        if cases.is_empty() {
            return Err(self.expected_words(&["case", "default"]));
        }
        Ok(cases)
    }

    fn case(&mut self, parse: &mut impl FnMut(&mut Self) -> Parsed<Pattern>) -> Parsed<Case> {
        if self.eat_word("default") {
            self.arrow()?;
            return Ok(Case { bind: None, pattern: Pattern::Any, guard: None, body: self.case_body()? });
        }
        if !self.eat_word("case") {
            return Err(self.no_case(&["case", "default", "end"]));
        }
        let binds = matches!(self.peek_second(), Token::Symbol("="));
        let bind = if binds { Some(self.name("a local")?) } else { None };
        if binds {
            self.expect("=")?;
        }
        let pattern = parse(self)?;
        let guard = if self.eat_word("when") { Some(self.binary(1)?) } else { None };
        self.arrow()?;
        Ok(Case { bind, pattern, guard, body: self.case_body()? })
    }

    /// Parses `for subject of case (key, value) … end`.
    pub(in crate::parser) fn for_block(&mut self) -> Parsed<Expr> {
        let (start, opener) = (self.span(), self.at);
        self.advance();
        let subject = self.expression()?;
        self.expect_of(opener)?;
        let (cases, fold) = self.block(opener, |parser| {
            let mut cases = Vec::new();
            while !parser.is_any_word(&["end", "into"]) {
                cases.push(parser.for_case()?);
            }
            if cases.is_empty() {
                return Err(parser.expected_words(&["case"]));
            }
            let fold = if parser.eat_word("into") { Some(parser.fold()?) } else { None };
            Ok((cases, fold))
        })?;
        let span = start.to(self.last_span());
        Ok(Expr { kind: ExprKind::For(Box::new(For { subject, cases, fold })), span })
    }

    /// Parses `start [use operator]` after `into`.
    fn fold(&mut self) -> Parsed<Fold> {
        let start = self.expression()?;
        let mut fold = Fold { span: start.span, start, op: BinaryOp::Add };
        if self.eat_word("use") {
            fold.span = self.span();
            fold.op = self.folding_operator()?;
        }
        Ok(fold)
    }

    fn folding_operator(&mut self) -> Parsed<BinaryOp> {
        let op = match *self.peek() {
            Token::Word(text) | Token::Symbol(text) if BinaryOp::FOLDING.contains(&text) => {
                BinaryOp::of(text)
            }
            _ => None,
        };
        let Some((op, _)) = op else { return Err(self.expected_words(&BinaryOp::FOLDING)) };
        self.advance();
        Ok(op)
    }

    fn for_case(&mut self) -> Parsed<ForCase> {
        if self.eat_word("default") {
            self.arrow()?;
            return Ok(ForCase { names: None, guard: None, body: self.case_body()? });
        }
        if !self.eat_word("case") {
            return Err(self.no_case(&["case", "default", "end"]));
        }
        let names = if self.eat_word("_") { None } else { Some(self.for_names()?) };
        let guard = if self.eat_word("when") { Some(self.binary(1)?) } else { None };
        self.arrow()?;
        Ok(ForCase { names, guard, body: self.case_body()? })
    }

    /// Parses `(key, value)`.
    fn for_names(&mut self) -> Parsed<(Name, Name)> {
        if !self.eat("(") {
            return Err(self.no_pair());
        }
        let key = self.name("the key or index")?;
        self.expect(",")?;
        let value = self.name("the value")?;
        self.expect(")")?;
        Ok((key, value))
    }
}
