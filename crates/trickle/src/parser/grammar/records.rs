//! The rules for `patch`, `merge` and binary literals.

use crate::{
    ast::{BytesKind, BytesPart, Expr, ExprKind, Operation, OperationKind, Patch},
    diagnostic::Diagnostic,
    parser::{
        cursor::{Parsed, Parser},
        keywords::OPERATIONS,
    },
    token::Token,
};

/// The words of a type in a binary literal, which may be in any order.
const BYTES_TYPES: [&str; 6] = ["integer", "binary", "signed", "unsigned", "big", "little"];

impl Parser<'_> {
    /// Parses `patch subject of operation; … end`.
    pub(in crate::parser) fn patch_block(&mut self) -> Parsed<ExprKind> {
        let opener = self.at;
        self.advance();
        let subject = self.expression()?;
        self.expect_of(opener)?;
        let operations = self.block(opener, |parser| {
            let mut operations = vec![parser.operation()?];
            while (parser.eat(";") || parser.eat(",")) && !parser.is_word("end") {
                operations.push(parser.operation()?);
            }
            if parser.is_word("end") || *parser.peek() == Token::End {
                Ok(operations)
            } else {
                Err(parser.missing("`;` or `end`"))
            }
        })?;
        Ok(ExprKind::Patch(Box::new(Patch { subject, operations })))
    }

    fn operation(&mut self) -> Parsed<Operation> {
        let start = self.span();
        let word = match *self.peek() {
            Token::Word(word) if OPERATIONS.contains(&word) => word,
            _ => return Err(self.no_operation()),
        };
        self.advance();
        let all = self.is("=>");
        let kind = match word {
            "erase" => OperationKind::Erase(self.patch_key()?),
            "merge" if all => OperationKind::MergeAll(self.after_arrow()?),
            "default" if all => OperationKind::DefaultAll(self.after_arrow()?),
            "move" => {
                let (from, to) = self.two_keys()?;
                OperationKind::Move(from, to)
            }
            "copy" => {
                let (from, to) = self.two_keys()?;
                OperationKind::Copy(from, to)
            }
            _ => {
                let key = self.patch_key()?;
                let value = self.after_arrow()?;
                match word {
                    "insert" => OperationKind::Insert(key, value),
                    "upsert" => OperationKind::Upsert(key, value),
                    "update" => OperationKind::Update(key, value),
                    "merge" => OperationKind::Merge(key, value),
                    _ => OperationKind::Default(key, value),
                }
            }
        };
        Ok(Operation { kind, span: start.to(self.last_span()) })
    }

    fn two_keys(&mut self) -> Parsed<(Expr, Expr)> {
        let from = self.patch_key()?;
        self.expect("=>")?;
        Ok((from, self.patch_key()?))
    }

    /// Parses the key of a `patch` operation. It is a string or, as in Tremor 0.11, another expression. A bare
    /// word is an error, because it is likely a key without quotes.
    fn patch_key(&mut self) -> Parsed<Expr> {
        let ends = matches!(self.peek_second(), Token::Symbol("=>" | ";" | ",") | Token::Word("end"));
        match self.peek() {
            Token::Word(_) if ends => Err(self.no_patch_key()),
            Token::Word(_) | Token::TextStart | Token::Symbol("(" | "$") => self.binary(1),
            _ => Err(self.no_patch_key()),
        }
    }

    fn after_arrow(&mut self) -> Parsed<Expr> {
        self.expect("=>")?;
        self.expression()
    }

    /// Parses `merge subject of spec end`.
    pub(in crate::parser) fn merge_block(&mut self) -> Parsed<ExprKind> {
        let opener = self.at;
        self.advance();
        let subject = self.expression()?;
        self.expect_of(opener)?;
        let spec = self.block(opener, Self::expression)?;
        Ok(ExprKind::Merge(Box::new((subject, spec))))
    }

    // --- binaries ---

    /// Parses `<< part, … >>`.
    pub(in crate::parser) fn bytes(&mut self) -> Parsed<ExprKind> {
        self.advance();
        let mut parts = Vec::new();
        while !self.is(">>") {
            parts.push(self.bytes_part()?);
            if !self.eat(",") {
                break;
            }
        }
        if !self.eat(">>") {
            return Err(self.missing("`:`, `/`, `,` or `>>`"));
        }
        Ok(ExprKind::Bytes(parts))
    }

    /// Parses a part of a binary literal, `value:size/type`.
    fn bytes_part(&mut self) -> Parsed<BytesPart> {
        let value = self.unary()?;
        let size_span = self.span();
        let size = if self.eat(":") { Some(self.bytes_size()?) } else { None };
        let mut part = BytesPart { value, kind: BytesKind::Unsigned, size, little: false };
        if self.eat("/") {
            self.bytes_type(&mut part)?;
        }
        if part.kind != BytesKind::Binary && part.size.is_some_and(|bits| bits > 64) {
            let span = size_span.to(self.last_span());
            return Err(self.fail(Diagnostic::new(span, "a number has at most 64 bits", "")));
        }
        Ok(part)
    }

    fn bytes_size(&mut self) -> Parsed<u64> {
        let Token::Int(size) = *self.peek() else { return Err(self.expected("a number of bits")) };
        self.advance();
        Ok(size)
    }

    /// Parses the type of a part, such as `unsigned-big-integer`: optional words joined by `-` or `_`.
    fn bytes_type(&mut self, part: &mut BytesPart) -> Parsed<()> {
        loop {
            let span = self.span();
            let words = self.key("the type of a binary")?.text;
            for word in words.split('_') {
                match word {
                    "integer" | "big" | "unsigned" => {}
                    "signed" => part.kind = BytesKind::Signed,
                    "binary" => part.kind = BytesKind::Binary,
                    "little" => part.little = true,
                    _ => {
                        let message = format!("`{word}` is not a binary type");
                        let error = Diagnostic::new(span, message, "").nearest(word, BYTES_TYPES);
                        return Err(self.fail(error));
                    }
                }
            }
            if !self.eat("-") {
                return Ok(());
            }
        }
    }
}
