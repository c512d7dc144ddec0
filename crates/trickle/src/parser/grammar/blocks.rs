//! Blocks closed by `end`: errors about missing ones, and recovery after errors.

use crate::{
    diagnostic::{Diagnostic, similar},
    parser::{
        cursor::{Block, Failed, Parsed, Parser},
        keywords::{BLOCKS, STATEMENTS},
    },
    token::{RESERVED, Token},
};

impl Parser<'_> {
    /// Parses the rest of a block after its first word, including its `end`. `opener` is the token by which
    /// errors name the block.
    pub(in crate::parser) fn block<T>(
        &mut self,
        opener: usize,
        parse: impl FnOnce(&mut Self) -> Parsed<T>,
    ) -> Parsed<T> {
        self.open(opener);
        let parsed = parse(self)?;
        if !self.is_word("end") {
            return Err(self.not_closed("`end`"));
        }
        self.compare_indentation(opener);
        self.advance();
        self.blocks.pop();
        if self.blocks.is_empty() {
            self.suspect = None;
        }
        Ok(parsed)
    }

    /// Records a block that begins at a token.
    pub(in crate::parser) fn open(&mut self, opener: usize) {
        self.blocks.push(Block { opener, inside: self.at, errors: self.errors.len() });
    }

    /// Recovers after a failed statement of a program. If the head of a definition has syntax errors, its
    /// block is skipped too.
    pub(in crate::parser) fn after_failed_head(&mut self, start: usize, blocks: usize) {
        if self.blocks.len() == blocks && self.free_word(start) == Some("define") {
            self.open(start);
        }
    }

    /// Remembers the block that begins at the token `opener` if its `end` is indented less than the block. Such an
    /// `end` likely belongs to another block, and a later error refers to it.
    fn compare_indentation(&mut self, opener: usize) {
        if self.suspect.is_none()
            && self.begins_line(self.at)
            && self.indentation(self.at) < self.indentation(opener)
        {
            self.suspect = Some(opener);
        }
    }

    /// Reports that a block is not closed, unless the block contains a syntax error, because that error may
    /// hide the `end`.
    pub(in crate::parser) fn not_closed(&mut self, what: &str) -> Failed {
        if self.has_errors_in_block() {
            return Failed;
        }
        let mistyped = matches!(*self.peek(), Token::Word(word) if !RESERVED.contains(&word) && similar(word, &["end"]).is_some());
        if mistyped || !self.cannot_go_on() {
            return self.expected_words(&["end"]);
        }
        if let Token::Word(word) = *self.peek()
            && STATEMENTS.contains(&word)
            && self.is_within()
        {
            let message = format!("`{word}` is allowed in programs and pipelines only");
            return self.fail(Diagnostic::new(self.span(), message, ""));
        }
        let help = self.advice_on_blocks();
        self.complain(self.end_of_last(), what, help)
    }

    /// Whether the next token is certainly outside of the innermost block.
    fn cannot_go_on(&self) -> bool {
        self.begins_line(self.at)
            || self.is_any_word(&STATEMENTS)
            || self.is_any_word(&["from", "into", "group", "having"])
            || matches!(self.peek(), Token::End | Token::Symbol(";" | ")" | "]" | "}"))
    }

    /// Whether something in the innermost block has already been reported.
    pub(in crate::parser) fn has_errors_in_block(&self) -> bool {
        self.blocks.last().is_some_and(|block| self.errors.len() > block.errors)
    }

    /// The advice about which block is not closed; `None` if that is unknown.
    fn advice_on_blocks(&self) -> Option<String> {
        let innermost = self.blocks.last()?.opener;
        let suspect = self.suspect.filter(|suspect| *suspect > innermost);
        let opener = suspect.unwrap_or(innermost);
        let Token::Word(word) = self.tokens[opener].token else { return None };
        let line = self.line(opener);
        Some(match suspect {
            Some(_) => format!("judging by the indentation, the `{word}` of line {line} is not closed"),
            None => format!("the `{word}` of line {line} is not closed"),
        })
    }

    /// Whether the next token begins a line that is not indented more than the innermost block, although the
    /// contents of the block are. The block should then have ended.
    pub(in crate::parser) fn is_outdented(&self) -> bool {
        let Some(block) = self.blocks.last() else { return false };
        // After another error, the indentation is not reliable.
        if self.has_errors_in_block() || !self.begins_line(self.at) {
            return false;
        }
        let depth = self.indentation(block.opener);
        self.begins_line(block.inside)
            && self.indentation(self.at) <= depth
            && self.indentation(block.inside) > depth
    }

    /// Whether the next token seems to be inside the innermost block: it is the first token of the block, or
    /// its line has the same indentation as the first.
    fn is_within(&self) -> bool {
        let Some(Block { opener, inside, .. }) = self.blocks.last().copied() else { return false };
        let first = self.indentation(inside);
        inside == self.at
            || self.begins_line(self.at)
                && self.begins_line(inside)
                && first > self.indentation(opener)
                && self.indentation(self.at) >= first
    }

    /// Reports a case after one that matches everything. If it is indented less than the first case of its
    /// block, it belongs to another block.
    pub(in crate::parser) fn unreachable_case(&mut self, first: usize) -> Failed {
        let stray = self.begins_line(self.at)
            && self.begins_line(first)
            && self.indentation(self.at) < self.indentation(first);
        if stray && self.blocks.len() > 1 {
            let failed = self.not_closed("`end`");
            self.blocks.pop();
            return failed;
        }
        let error = Diagnostic::new(self.span(), "this case is never reached", "")
            .help("the case before it matches everything; move that case to the end");
        self.fail(error)
    }

    /// Reports an `end` without a block, unless the block had syntax errors.
    pub(in crate::parser) fn stray_end(&mut self) -> Failed {
        if self.errors.is_empty() {
            let error = Diagnostic::new(self.span(), "this `end` closes nothing", "no block is open here");
            self.errors.push(error);
        }
        Failed
    }

    /// Whether the next token is a `script` that begins the block of another port.
    pub(in crate::parser) fn at_separator(&self) -> bool {
        self.separated == Some(self.blocks.len()) && self.is_word("script")
    }

    /// Recovers after an error: skips to the end of the statement that began with `blocks` open blocks. Stops
    /// before the `;` of the statement, before the `end` of the enclosing block, or before the next statement
    /// of the query level.
    pub(in crate::parser) fn recover(&mut self, blocks: usize) {
        let mut deeper = self.blocks.len().saturating_sub(blocks);
        let mut braces = 0_usize;
        self.blocks.truncate(blocks);
        while *self.peek() != Token::End {
            let member = self.at > 0 && matches!(self.tokens[self.at - 1].token, Token::Symbol("." | "$"));
            match self.peek() {
                Token::Symbol(";") if deeper == 0 && braces == 0 => return,
                // A block of another language: its statements are not reported separately.
                Token::Symbol("{" | "%{") => braces += 1,
                Token::Symbol("}") => braces = braces.saturating_sub(1),
                Token::Word("end") if !member && deeper == 0 && blocks > 0 => return,
                Token::Word("end") if !member => deeper = deeper.saturating_sub(1),
                Token::Word("script") if !member && deeper == 0 && self.separated == Some(blocks) => return,
                // In a patch, `merge` is an operation.
                Token::Word("merge")
                    if matches!(self.peek_second(), Token::TextStart | Token::Symbol("=>")) => {}
                Token::Word(word) if !member && BLOCKS.contains(word) => deeper += 1,
                // Inside a script, these words show that an `end` is missing.
                Token::Word(word) if !member && STATEMENTS.contains(word) => return,
                _ => {}
            }
            self.advance();
        }
    }
}
