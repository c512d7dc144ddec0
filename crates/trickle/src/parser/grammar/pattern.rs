//! The rules for patterns of `match` and of functions.

use crate::{
    ast::{BinaryOp, Extract, FieldPattern, FieldTest, Pattern},
    diagnostic::Diagnostic,
    parser::cursor::{Failed, Parsed, Parser},
    token::Token,
};

/// The binding power above comparisons, for the operand of `key == value` in a record pattern.
const ABOVE_COMPARISON: u8 = 9;

impl Parser<'_> {
    pub(in crate::parser) fn pattern(&mut self) -> Parsed<Pattern> {
        match self.peek() {
            Token::Word("_") => {
                self.advance();
                Ok(Pattern::Any)
            }
            Token::Symbol("%{") => self.nested(Self::record_pattern),
            Token::Symbol("%[") => self.nested(Self::array_pattern),
            Token::Symbol("%(") => self.nested(Self::tuple_pattern),
            Token::Symbol("~") => {
                self.advance();
                self.extract()
            }
            Token::Word(_) if matches!(self.peek_second(), Token::Format(_)) => self.extract(),
            _ => Ok(Pattern::Value(self.expression()?)),
        }
    }

    /// Parses an extractor, `kind|format|`.
    fn extract(&mut self) -> Parsed<Pattern> {
        let start = self.span();
        let kind = self.key("the name of an extractor")?;
        let Token::Format(format) = *self.peek() else {
            return Err(self.expected("the format of the extractor between `|` and `|`"));
        };
        self.advance();
        let span = start.to(self.last_span());
        Ok(Pattern::Extract(Extract { kind, format: format.to_owned(), span }))
    }

    fn record_pattern(&mut self) -> Parsed<Pattern> {
        self.advance();
        let mut fields = Vec::new();
        while !self.is("}") {
            fields.push(self.field_pattern()?);
            if !self.eat(",") {
                break;
            }
        }
        if !self.eat("}") {
            return Err(self.no_field_test("`,` or `}`"));
        }
        Ok(Pattern::Record(fields))
    }

    fn field_pattern(&mut self) -> Parsed<FieldPattern> {
        // A field may be called `present`; no other name follows then.
        let names = matches!(self.peek_second(), Token::Word(_) | Token::Quoted(_) | Token::TextStart);
        if names && self.is_any_word(&["present", "absent"]) {
            let test = if self.is_word("present") { FieldTest::Present } else { FieldTest::Absent };
            self.advance();
            return Ok(FieldPattern { key: self.field_key()?, alias: None, test });
        }
        let first = self.field_key()?;
        if !self.is("=") {
            return Ok(FieldPattern { key: first, alias: None, test: self.field_test()? });
        }
        let sign = self.at;
        self.advance();
        if !matches!(self.peek(), Token::Word(_) | Token::Quoted(_) | Token::TextStart) {
            return Err(self.no_alias(sign));
        }
        let key = self.field_key()?;
        if !self.is("~=") {
            return Err(self.no_alias(sign));
        }
        Ok(FieldPattern { key, alias: Some(first), test: self.field_test()? })
    }

    fn field_key(&mut self) -> Parsed<bytestring::ByteString> {
        let name = match self.peek() {
            Token::TextStart => self.plain_text("the name of a field")?,
            _ => self.key("the name of a field")?,
        };
        Ok(name.text.into())
    }

    fn field_test(&mut self) -> Parsed<FieldTest> {
        let Token::Symbol(symbol) = *self.peek() else {
            return Err(self.no_field_test("`==`, `~=`, `,` or `}`"));
        };
        let span = self.span();
        match (symbol, BinaryOp::of(symbol)) {
            ("," | "}", _) => Ok(FieldTest::Present),
            ("~=", _) => {
                self.advance();
                Ok(FieldTest::Matches(self.pattern()?))
            }
            (_, Some((op, 7 | 8))) => {
                self.advance();
                Ok(FieldTest::Compare(op, span, self.binary(ABOVE_COMPARISON)?))
            }
            _ => Err(self.no_field_test("`==`, `~=`, `,` or `}`")),
        }
    }

    fn array_pattern(&mut self) -> Parsed<Pattern> {
        self.advance();
        Ok(Pattern::Array(self.patterns_until("]")?))
    }

    /// Parses comma-separated patterns, up to and including the closing sign.
    pub(in crate::parser) fn patterns_until(&mut self, closing: &'static str) -> Parsed<Vec<Pattern>> {
        let mut items = Vec::new();
        while !self.is(closing) {
            items.push(self.pattern()?);
            if !self.eat(",") {
                break;
            }
        }
        if !self.eat(closing) {
            return Err(self.missing(&format!("`,` or `{closing}`")));
        }
        Ok(items)
    }

    /// Parses a tuple pattern. Both `...` and the older `..` allow more elements than the pattern has.
    fn tuple_pattern(&mut self) -> Parsed<Pattern> {
        self.advance();
        let mut items = Vec::new();
        let mut open = false;
        while !self.is(")") {
            if self.eat("...") || self.eat("..") {
                open = true;
                break;
            }
            items.push(self.pattern()?);
            if !self.eat(",") {
                break;
            }
        }
        if !self.eat(")") {
            return Err(self.missing(if open { "`)`" } else { "`,` or `)`" }));
        }
        Ok(Pattern::Tuple { items, open })
    }

    // --- advice ---

    /// Reports a `=` in a record pattern that does not define an alias.
    fn no_alias(&mut self, sign: usize) -> Failed {
        let help = match self.peek() {
            Token::Symbol("~") => "write `~=` before an extractor",
            Token::Symbol("|") => "write `~=` before an extractor: KEY ~= KIND|FORMAT|",
            _ => "use `==` to compare",
        };
        if *self.peek() == Token::Bad {
            return Failed;
        }
        let span = self.tokens[sign].span;
        let error = Diagnostic::new(span, "expected `==` or `~=`, found `=`", "expected `==` or `~=`");
        self.fail(error.help(help))
    }

    /// Reports an unexpected token after a field of a record pattern.
    fn no_field_test(&mut self, what: &str) -> Failed {
        let help = match self.peek() {
            Token::Symbol(":") => "use `==` to compare",
            Token::Symbol(".") if self.free_word(self.at - 1) == Some("event") => {
                "name the fields of the record without `event.`"
            }
            Token::Symbol(".") => "for a part of a field, use a nested pattern: KEY ~= %{ KEY == VALUE }",
            Token::Word("and") => "use `,` instead of `and`",
            Token::Word("or") => "all fields of a pattern must match; write one case for each alternative",
            _ => return self.missing(what),
        };
        self.complain(self.span(), what, Some(help.to_owned()))
    }
}
