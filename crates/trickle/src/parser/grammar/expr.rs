//! The rules for expressions: operators, paths, literals.

use crate::{
    ast::{BinaryOp, Expr, ExprKind, Field, Link, Name, Path, Piece, Root, Segment, SegmentKind, UnaryOp},
    diagnostic::Diagnostic,
    parser::cursor::{Failed, Parsed, Parser},
    source::Span,
    token::{RESERVED, Token},
};
use towline_event::Value;

impl Parser<'_> {
    /// Parses any expression or statement. The compiler refuses statements where they are not allowed.
    pub(in crate::parser) fn expression(&mut self) -> Parsed<Expr> {
        match self.peek() {
            Token::Word("let") => self.nested(Self::assignment),
            Token::Word("emit") => self.nested(Self::emit),
            Token::Word("drop") => {
                self.advance();
                Ok(Expr { kind: ExprKind::Drop, span: self.last_span() })
            }
            _ => self.binary(1),
        }
    }

    /// Parses operators with a binding power of at least `power`.
    pub(in crate::parser) fn binary(&mut self, power: u8) -> Parsed<Expr> {
        self.nested(|parser| {
            let mut left = parser.unary()?;
            let mut built = u8::MAX;
            while let Some((op, binds)) = parser.operator()?
                && binds >= power
            {
                let span = parser.span();
                parser.advance();
                let operand = parser.binary(binds + 1)?;
                let link = Link { op, span, operand };
                left = chain(left, link, binds == built);
                built = binds;
            }
            Ok(left)
        })
    }

    /// The operator at the current position with its binding power; `None` if there is no operator.
    fn operator(&mut self) -> Parsed<Option<(BinaryOp, u8)>> {
        match *self.peek() {
            Token::Word(word) => Ok(BinaryOp::of(word)),
            Token::Symbol("=") => Err(self.equals_sign()),
            Token::Symbol("&") if *self.peek_second() == Token::Symbol("&") => {
                Err(self.no_operator(2, "use `and`"))
            }
            Token::Symbol("|") if *self.peek_second() == Token::Symbol("|") => {
                Err(self.no_operator(2, "use `or`"))
            }
            Token::Symbol("|") => Err(self.fail(Diagnostic::not_yet(self.span(), "the operator `|` is"))),
            Token::Symbol("%(" | "%[" | "%{") => {
                let error = Diagnostic::new(self.span(), "a pattern cannot follow a value", "")
                    .help("for the remainder of a division write a space after `%`");
                Err(self.fail(error))
            }
            Token::Symbol(symbol) => Ok(BinaryOp::of(symbol)),
            _ => Ok(None),
        }
    }

    pub(in crate::parser) fn unary(&mut self) -> Parsed<Expr> {
        let op = match self.peek() {
            Token::Symbol("+") => UnaryOp::Plus,
            Token::Symbol("-") => UnaryOp::Minus,
            Token::Symbol("!") => UnaryOp::BitNot,
            Token::Word("not") => UnaryOp::Not,
            Token::Word("present" | "absent") => return self.presence(),
            _ => return self.primary(),
        };
        let start = self.span();
        self.advance();
        let operand = Box::new(self.nested(Self::unary)?);
        let span = start.to(operand.span);
        Ok(Expr { kind: ExprKind::Unary { op, operand }, span })
    }

    fn presence(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let present = self.is_word("present");
        self.advance();
        let asked = self.nested(Self::primary)?;
        let span = start.to(asked.span);
        match asked.kind {
            ExprKind::Path(path) => Ok(Expr { kind: ExprKind::Presence { present, path }, span }),
            _ => {
                let word = if present { "present" } else { "absent" };
                let error = Diagnostic::new(asked.span, format!("`{word}` needs a path"), "not a path");
                Err(self.fail(error))
            }
        }
    }

    /// Parses an operand, with the path segments after it.
    pub(in crate::parser) fn primary(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let kind = match self.peek() {
            Token::Int(number) => self.literal(Value::from(*number)),
            Token::Float(number) => self.literal(Value::Float(*number)),
            Token::Word("true") => self.literal(Value::Bool(true)),
            Token::Word("false") => self.literal(Value::Bool(false)),
            Token::Word("null") => self.literal(Value::Null),
            Token::TextStart => self.text()?,
            Token::Symbol("[") => self.array()?,
            Token::Symbol("{") => self.record()?,
            Token::Symbol("(") => self.parenthesis()?,
            Token::Word("match") => return self.nested(Self::match_block),
            Token::Word("for") => return self.nested(Self::for_block),
            Token::Word("patch") => self.nested(Self::patch_block)?,
            Token::Word("merge") => self.nested(Self::merge_block)?,
            Token::Word("recur") => return self.recur(),
            Token::Word(word @ ("group" | "window")) => return Err(self.of_windows(word)),
            Token::Symbol("<<") => self.nested(Self::bytes)?,
            Token::Symbol("$") => return self.meta(),
            Token::Word(_) | Token::Quoted(_) if self.is_qualified() => self.qualified_expression()?,
            Token::Word(_) | Token::Quoted(_) => return self.path(),
            _ => return Err(self.no_operand()),
        };
        let value = Expr { kind, span: start.to(self.last_span()) };
        if !(self.is(".") || self.is("[")) {
            return Ok(value);
        }
        match value.kind {
            ExprKind::Path(Path { root, segments, .. }) if segments.is_empty() => self.segments(root, start),
            kind => self.segments(Root::Expr(Box::new(Expr { kind, ..value })), start),
        }
    }

    /// Reports `group[0]` and `window`, which are available in selects with windows only.
    fn of_windows(&mut self, word: &str) -> Failed {
        let what = if word == "group" { "grouping is" } else { "windows are" };
        self.fail(Diagnostic::not_yet(self.span(), what))
    }

    fn literal(&mut self, value: Value) -> ExprKind {
        self.advance();
        ExprKind::Literal(value)
    }

    fn parenthesis(&mut self) -> Parsed<ExprKind> {
        self.advance();
        let inner = self.expression()?;
        self.expect(")")?;
        Ok(inner.kind)
    }

    fn array(&mut self) -> Parsed<ExprKind> {
        self.advance();
        let mut items = Vec::new();
        while !self.is("]") {
            items.push(self.expression()?);
            if !self.eat(",") {
                break;
            }
        }
        if !self.eat("]") {
            return Err(self.missing("`,` or `]`"));
        }
        Ok(ExprKind::Array(items))
    }

    fn record(&mut self) -> Parsed<ExprKind> {
        self.advance();
        let mut fields = Vec::new();
        while !self.is("}") {
            fields.push(self.field()?);
            if !self.eat(",") && !self.semicolon_for_comma() {
                break;
            }
        }
        if !self.eat("}") {
            return Err(self.missing("`,` or `}`"));
        }
        Ok(ExprKind::Record(fields))
    }

    /// Reports and skips a `;` used instead of a comma between two fields of a record. Returns whether there
    /// is one.
    fn semicolon_for_comma(&mut self) -> bool {
        let goes_on = self.is(";") && *self.peek_second() == Token::TextStart;
        if goes_on {
            self.no_comma_of_fields();
            self.advance();
        }
        goes_on
    }

    fn field(&mut self) -> Parsed<Field> {
        if let Token::Word(word) | Token::Quoted(word) = *self.peek() {
            return Err(self.bare_key(word));
        }
        if *self.peek() != Token::TextStart {
            return Err(self.expected("a key in double quotes or `}`"));
        }
        let start = self.span();
        let kind = self.text()?;
        let key = Expr { kind, span: start.to(self.last_span()) };
        self.expect(":")?;
        Ok(Field { key, value: self.expression()? })
    }

    // --- strings ---

    fn text(&mut self) -> Parsed<ExprKind> {
        self.advance();
        let mut pieces = Vec::new();
        loop {
            match self.peek() {
                Token::Piece(piece) => {
                    pieces.push(Piece::Literal(piece.clone()));
                    self.advance();
                }
                Token::CodeStart => {
                    self.advance();
                    pieces.push(Piece::Code(self.expression()?));
                    if *self.peek() != Token::CodeEnd {
                        return Err(self.expected("`}` after the code in the string"));
                    }
                    self.advance();
                }
                Token::TextEnd => {
                    self.advance();
                    return Ok(plain(pieces));
                }
                _ => return Err(self.expected("the end of the string")),
            }
        }
    }

    /// Parses a string without interpolated code.
    pub(in crate::parser) fn plain_text(&mut self, what: &str) -> Parsed<Name> {
        if *self.peek() != Token::TextStart {
            return Err(self.expected(what));
        }
        let start = self.span();
        let kind = self.text()?;
        let span = start.to(self.last_span());
        match kind {
            ExprKind::Literal(Value::String(text)) => Ok(Name { text: text.to_string(), span }),
            _ => Err(self.fail(Diagnostic::new(span, "code is not allowed in this string", ""))),
        }
    }

    // --- paths ---

    fn path(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let root = match *self.peek() {
            Token::Word("event") => Root::Event,
            Token::Word("state") => Root::State,
            Token::Word("args") => Root::Args,
            Token::Word(word) => {
                if let Some(advice) = misplaced(word) {
                    return Err(self.misplaced(word, advice));
                }
                if RESERVED.contains(&word) {
                    return Err(self.expected("an expression"));
                }
                Root::Local(self.name("a local")?)
            }
            _ => Root::Local(self.name("a local")?),
        };
        if !matches!(root, Root::Local(_)) {
            self.advance();
        }
        self.segments(root, start)
    }

    /// Parses `$` or `$name`, and the segments after it.
    fn meta(&mut self) -> Parsed<Expr> {
        let start = self.span();
        self.advance();
        let mut first = Vec::new();
        if matches!(self.peek(), Token::Word(_) | Token::Quoted(_)) && self.span().start == start.end {
            let name = self.key("the name of metadata")?;
            first.push(Segment { kind: SegmentKind::Key(name.text.into()), span: name.span });
        }
        self.segments_after(Root::Meta, start, first)
    }

    fn segments(&mut self, root: Root, start: Span) -> Parsed<Expr> {
        self.segments_after(root, start, Vec::new())
    }

    fn segments_after(&mut self, root: Root, start: Span, mut segments: Vec<Segment>) -> Parsed<Expr> {
        loop {
            let opened = self.span();
            let kind = if self.eat(".") {
                SegmentKind::Key(self.member()?.text.into())
            } else if self.eat("[") {
                self.subscript()?
            } else {
                break;
            };
            segments.push(Segment { kind, span: opened.to(self.last_span()) });
        }
        let span = start.to(self.last_span());
        Ok(Expr { kind: ExprKind::Path(Path { root, segments, span }), span })
    }

    /// Parses the key after a `.`.
    fn member(&mut self) -> Parsed<Name> {
        match self.peek() {
            Token::Word(_) | Token::Quoted(_) => self.key("a key after `.`"),
            _ => Err(self.no_member()),
        }
    }

    fn subscript(&mut self) -> Parsed<SegmentKind> {
        let first = self.expression()?;
        let kind = if self.eat(":") {
            SegmentKind::Range(Box::new(first), Box::new(self.expression()?))
        } else {
            match first.kind {
                ExprKind::Literal(Value::String(key)) => SegmentKind::Key(key),
                _ => SegmentKind::Index(Box::new(first)),
            }
        };
        if !self.eat("]") {
            return Err(self.missing("`]`"));
        }
        Ok(kind)
    }
}

/// The advice for a definition inside an expression; `None` if the word begins no definition.
fn misplaced(word: &str) -> Option<&'static str> {
    match word {
        "fn" | "const" | "mod" | "use" => Some(
            "definitions are statements of a program, a module or a script, and are not allowed inside one",
        ),
        "intrinsic" => Some("library functions need no declaration"),
        _ => None,
    }
}

/// Adds an operator to a chain of the same precedence, or begins a new chain.
fn chain(left: Expr, link: Link, same: bool) -> Expr {
    let span = left.span.to(link.operand.span);
    match left.kind {
        ExprKind::Chain { first, mut rest } if same => {
            rest.push(link);
            Expr { kind: ExprKind::Chain { first, rest }, span }
        }
        kind => {
            let first = Box::new(Expr { kind, span: left.span });
            Expr { kind: ExprKind::Chain { first, rest: vec![link] }, span }
        }
    }
}

/// Turns a string without interpolated code into a literal.
fn plain(mut pieces: Vec<Piece>) -> ExprKind {
    match pieces.as_mut_slice() {
        [] => ExprKind::Literal(Value::string("")),
        [Piece::Literal(text)] => ExprKind::Literal(Value::string(std::mem::take(text))),
        _ => ExprKind::Text(pieces),
    }
}
