//! Strings and heredocs, with escapes and interpolated code.

use super::{Lexer, Mode};
use crate::{diagnostic::Diagnostic, source::Span, token::Token};

impl Lexer<'_> {
    pub(super) fn open_text(&mut self) {
        let start = self.at;
        let heredoc = self.rest().starts_with("\"\"\"");
        self.at += if heredoc { 3 } else { 1 };
        self.push(Token::TextStart, start);
        if heredoc {
            self.take_while(|c| c == ' ' || c == '\t' || c == '\r');
            if self.peek() == Some('\n') {
                self.at += 1;
            } else {
                self.bad(start, "the text of a heredoc begins on the line after `\"\"\"`", "");
            }
        }
        self.modes.push(Mode::Text { heredoc, start });
    }

    /// Reads literal text up to the end of the string or the next interpolated code.
    pub(super) fn piece(&mut self, heredoc: bool, opened: usize) {
        let start = self.at;
        let mut piece = String::new();
        loop {
            piece.push_str(self.take_while(|c| !matches!(c, '"' | '\\' | '#' | '\n')));
            let rest = self.rest();
            match self.peek() {
                Some('\\') => self.escape(&mut piece),
                Some('#') if rest.starts_with("#{") => break,
                Some('"') if !heredoc || rest.starts_with("\"\"\"") => break,
                Some('\n') if !heredoc => break,
                Some(c) => {
                    piece.push(c);
                    self.at += c.len_utf8();
                }
                None => break,
            }
        }
        if !piece.is_empty() {
            self.push(Token::Piece(piece), start);
        }
        self.after_piece(heredoc, opened);
    }

    fn after_piece(&mut self, heredoc: bool, opened: usize) {
        let start = self.at;
        match self.peek() {
            Some('#') => {
                self.at += 2;
                self.modes.push(Mode::Code { braces: 0, start });
                self.push(Token::CodeStart, start);
            }
            Some('"') => {
                self.at += if heredoc { 3 } else { 1 };
                self.modes.pop();
                self.push(Token::TextEnd, start);
            }
            Some(_) => {
                self.modes.pop();
                let around = match self.modes[..] {
                    [.., Mode::Text { heredoc: false, .. }, Mode::Code { start, .. }] => Some(start),
                    _ => None,
                };
                self.leave_line();
                // Inside interpolated code, the quote that opened this string was meant to close the outer one.
                if let Some(start) = around {
                    return self.open_code(start);
                }
                self.bad(opened, "this string does not end on its line", "a closing `\"` is missing");
            }
            // The end of the source: `finish` reports it.
            None => {}
        }
    }

    /// At the end of a line, closes the strings that must end on it, with their interpolated code.
    fn leave_line(&mut self) {
        while self.modes.last().is_some_and(|mode| !matches!(mode, Mode::Text { heredoc: true, .. })) {
            self.modes.pop();
        }
    }

    /// Reports a `#{` without a `}`.
    pub(super) fn open_code(&mut self, start: usize) {
        self.push(Token::Bad, start);
        let span = Span::new(start, start + "#{".len());
        self.errors.push(Diagnostic::new(span, "this `#{` is not closed", "a `}` is missing after the code"));
    }

    fn escape(&mut self, piece: &mut String) {
        let start = self.at;
        self.at += 1;
        let Some(kind) = self.peek() else { return };
        self.at += kind.len_utf8();
        match kind {
            '"' | '\\' | '/' | '#' | '{' | '}' | '\'' => piece.push(kind),
            'b' => piece.push('\u{8}'),
            'f' => piece.push('\u{c}'),
            'n' => piece.push('\n'),
            'r' => piece.push('\r'),
            't' => piece.push('\t'),
            'u' => match self.unicode() {
                Some(c) => piece.push(c),
                None => {
                    let half = self.at - start > "\\u".len();
                    let label = if half { "half of a surrogate pair" } else { "`\\u` takes four hex digits" };
                    self.bad(start, "not a Unicode escape", label);
                }
            },
            other => {
                let message = format!("unknown escape `\\{}`", other.escape_debug());
                self.bad(start, message, "write a backslash as `\\\\`");
            }
        }
    }

    /// Reads four hex digits, or a surrogate pair as in JSON; `None` if they are invalid.
    fn unicode(&mut self) -> Option<char> {
        let high = self.hex4()?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high);
        }
        self.rest().starts_with("\\u").then(|| self.at += 2)?;
        let low = self.hex4()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
        char::from_u32(0x10000 + ((high - 0xd800) << 10) + low)
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4).filter(|four| four.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }
}
