//! Numbers: decimal, `0x…`, `0b…`, with `_` between digits; floats have a decimal point.

use super::Lexer;
use crate::token::Token;

impl Lexer<'_> {
    pub(super) fn number(&mut self) {
        let start = self.at;
        let rest = self.rest();
        match rest.as_bytes().get(1) {
            Some(b'x') if rest.starts_with('0') => self.based(16, char::is_alphanumeric),
            Some(b'b') if rest.starts_with('0') => self.based(2, char::is_alphanumeric),
            _ => self.decimal(),
        }
        let stuck = self.take_while(|c| c == '_' || c.is_alphanumeric());
        if !stuck.is_empty() {
            self.tokens.pop();
            let exponent = stuck.starts_with(['e', 'E']);
            let pointed = self.text[start..self.at].contains('.');
            let error = self.bad(start, format!("`{stuck}` directly follows a number"), "not a number");
            if exponent {
                let missing =
                    if pointed { "an exponent needs digits" } else { "an exponent needs a decimal point" };
                error.help = Some(format!("{missing}: 1.0e3"));
            }
        }
    }

    /// Reads a number with a prefix, `0x…` or `0b…`.
    fn based(&mut self, radix: u32, digit: impl Fn(char) -> bool) {
        let start = self.at;
        self.at += 2;
        let digits = self.take_while(|c| c == '_' || digit(c)).replace('_', "");
        match u64::from_str_radix(&digits, radix) {
            Ok(number) => self.push(Token::Int(number), start),
            Err(_) => {
                let readable = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
                let label = match radix {
                    _ if readable => "",
                    2 => "the digits are 0 and 1",
                    _ => "the digits are 0 to 9 and a to f",
                };
                self.bad(start, "not a 64-bit integer", label);
            }
        }
    }

    fn decimal(&mut self) {
        let start = self.at;
        self.take_while(|c| c == '_' || c.is_ascii_digit());
        let fraction =
            self.rest().strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if fraction {
            self.at += 1;
            self.take_while(|c| c == '_' || c.is_ascii_digit());
            self.exponent();
        }
        let digits = self.text[start..self.at].replace('_', "");
        let token = if fraction {
            digits.parse().ok().filter(|float: &f64| float.is_finite()).map(Token::Float)
        } else {
            digits.parse().ok().map(Token::Int)
        };
        match token {
            Some(token) => self.push(token, start),
            None => {
                self.bad(start, "this number is too large", "");
            }
        }
    }

    fn exponent(&mut self) {
        let rest = self.rest();
        let Some(after) = rest.strip_prefix(['e', 'E']) else { return };
        let digits = after.strip_prefix(['+', '-']).unwrap_or(after);
        if digits.starts_with(|c: char| c.is_ascii_digit()) {
            self.at += rest.len() - digits.len();
            self.take_while(|c| c.is_ascii_digit());
        }
    }
}
