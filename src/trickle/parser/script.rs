//! Statements of the script level: sequences, `let`, `emit`, `drop`, `match`.

use super::{Failed, Parsed, Parser, STATEMENTS};
use crate::trickle::{
    ast::{Case, Expr, ExprKind, Match, Path, Pattern},
    diagnostic::Diagnostic,
    token::Token,
};

impl Parser<'_> {
    /// The statements of a script up to its `end`, or nothing if one of them does not parse: without
    /// it the others would be blamed for what it does.
    pub(super) fn script_body(&mut self) -> Option<Vec<Expr>> {
        let mut body = Some(Vec::new());
        let blocks = self.blocks;
        while self.goes_on() && !self.is_word("end") && !self.is_any_word(&STATEMENTS) {
            if self.eat(";") {
                continue;
            }
            let start = self.at;
            match self.script_statement() {
                Ok(statement) => {
                    if let Some(body) = &mut body {
                        body.push(statement);
                    }
                }
                Err(Failed) => {
                    body = None;
                    if self.at == start {
                        self.advance();
                    }
                    self.recover(blocks);
                }
            }
        }
        body
    }

    fn script_statement(&mut self) -> Parsed<Expr> {
        let statement = self.expression()?;
        // A script on its own ends with its text.
        let ends_alone = self.blocks == 0 && *self.peek() == Token::End;
        if self.is(";") || self.is_word("end") || ends_alone {
            return Ok(statement);
        }
        Err(self.expected_end("`;` or `end` after the statement"))
    }

    /// The statements of a case up to the next case or the `end` of the match.
    fn case_body(&mut self) -> Parsed<Vec<Expr>> {
        let mut body = vec![self.expression()?];
        while self.eat(";") && !self.ends_case() && !self.is_any_word(&STATEMENTS) {
            body.push(self.expression()?);
        }
        if !self.ends_case() {
            return Err(self.expected_words(&["case", "default", "end"]));
        }
        Ok(body)
    }

    fn ends_case(&self) -> bool {
        self.is_any_word(&["case", "default", "end"])
    }

    /// `let path = value`
    pub(super) fn assignment(&mut self) -> Parsed<Expr> {
        let start = self.span();
        self.advance();
        let path = self.assignable()?;
        self.expect("=")?;
        let value = self.expression()?;
        let span = start.to(value.span);
        Ok(Expr { kind: ExprKind::Let { path, value: Box::new(value) }, span })
    }

    fn assignable(&mut self) -> Parsed<Path> {
        let target = self.nested(Self::primary)?;
        match target.kind {
            ExprKind::Path(path) => Ok(path),
            _ => {
                Err(self.fail(Diagnostic::new(target.span, "nothing can be assigned to this", "not a path")))
            }
        }
    }

    /// `emit [value] [=> "port"]`
    pub(super) fn emit(&mut self) -> Parsed<Expr> {
        let start = self.span();
        self.advance();
        let bare = self.is(";") || self.is("=>") || self.ends_case() || *self.peek() == Token::End;
        let value = if bare { None } else { Some(Box::new(self.expression()?)) };
        let port =
            if self.eat("=>") { Some(self.plain_text("the name of a port as a string")?) } else { None };
        Ok(Expr { kind: ExprKind::Emit { value, port }, span: start.to(self.last_span()) })
    }

    /// `match subject of case … end`
    pub(super) fn match_block(&mut self) -> Parsed<Expr> {
        let start = self.span();
        self.advance();
        let subject = self.expression()?;
        self.expect_word("of")?;
        let cases = self.block(|parser| parser.cases())?;
        let span = start.to(self.last_span());
        Ok(Expr { kind: ExprKind::Match(Box::new(Match { subject, cases })), span })
    }

    fn cases(&mut self) -> Parsed<Vec<Case>> {
        let mut cases = Vec::new();
        let mut caught_all = false;
        while !self.is_word("end") {
            if caught_all {
                let error = Diagnostic::new(self.span(), "this case is never reached", "")
                    .help("the case before it takes everything; make that one the last");
                return Err(self.fail(error));
            }
            let case = self.case()?;
            caught_all = case.guard.is_none() && matches!(case.pattern, Pattern::Any);
            cases.push(case);
        }
        if cases.is_empty() {
            return Err(self.expected_words(&["case", "default"]));
        }
        Ok(cases)
    }

    fn case(&mut self) -> Parsed<Case> {
        if self.eat_word("default") {
            self.expect("=>")?;
            return Ok(Case { bind: None, pattern: Pattern::Any, guard: None, body: self.case_body()? });
        }
        if !self.eat_word("case") {
            return Err(self.expected_words(&["case", "default", "end"]));
        }
        let binds = matches!(self.peek_second(), Token::Symbol("="));
        let bind = if binds { Some(self.name("a local")?) } else { None };
        if binds {
            self.expect("=")?;
        }
        let pattern = self.pattern()?;
        let guard = if self.eat_word("when") { Some(self.expression()?) } else { None };
        self.expect("=>")?;
        Ok(Case { bind, pattern, guard, body: self.case_body()? })
    }
}
