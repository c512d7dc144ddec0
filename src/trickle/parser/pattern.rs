//! Patterns of `match` and of functions.

use super::{Parsed, Parser};
use crate::trickle::{
    ast::{BinaryOp, Extract, FieldPattern, FieldTest, Pattern},
    token::Token,
};

/// What binds tighter than a comparison: the operand of `key == value` in a record pattern.
const ABOVE_COMPARISON: u8 = 9;

impl Parser<'_> {
    pub(super) fn pattern(&mut self) -> Parsed<Pattern> {
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

    /// `kind|format|`
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
        self.expect("}")?;
        Ok(Pattern::Record(fields))
    }

    fn field_pattern(&mut self) -> Parsed<FieldPattern> {
        // A field may itself be called `present`: then no other name follows.
        let names = matches!(self.peek_second(), Token::Word(_) | Token::Quoted(_) | Token::TextStart);
        if names && self.is_any_word(&["present", "absent"]) {
            let test = if self.is_word("present") { FieldTest::Present } else { FieldTest::Absent };
            self.advance();
            return Ok(FieldPattern { key: self.field_key()?, alias: None, test });
        }
        let first = self.field_key()?;
        let (key, alias) = if self.eat("=") { (self.field_key()?, Some(first)) } else { (first, None) };
        if alias.is_some() && !self.is("~=") {
            return Err(self.expected("`~=`: only what is extracted can have another name"));
        }
        Ok(FieldPattern { key, alias, test: self.field_test()? })
    }

    fn field_key(&mut self) -> Parsed<bytestring::ByteString> {
        let name = match self.peek() {
            Token::TextStart => self.plain_text("the name of a field")?,
            _ => self.key("the name of a field")?,
        };
        Ok(name.text.into())
    }

    fn field_test(&mut self) -> Parsed<FieldTest> {
        let Token::Symbol(symbol) = *self.peek() else { return Err(self.expected("`==`, `~=`, `,` or `}`")) };
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
            _ => Err(self.expected("`==`, `~=`, `,` or `}`")),
        }
    }

    fn array_pattern(&mut self) -> Parsed<Pattern> {
        self.advance();
        Ok(Pattern::Array(self.patterns_until("]")?))
    }

    /// Patterns with commas between, and what closes them.
    pub(super) fn patterns_until(&mut self, closing: &'static str) -> Parsed<Vec<Pattern>> {
        let mut items = Vec::new();
        while !self.is(closing) {
            items.push(self.pattern()?);
            if !self.eat(",") {
                break;
            }
        }
        self.expect(closing)?;
        Ok(items)
    }

    /// Both `...` and the older `..` leave a tuple open.
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
        self.expect(")")?;
        Ok(Pattern::Tuple { items, open })
    }
}
