//! Evaluates strings with interpolated code.

use std::io;

use bytestring::ByteString;

use super::{Env, eval};
use crate::{
    code::{PieceOp, TextOp},
    diagnostic::Fault,
    value::limits::LimitExceeded,
};
use towline_event::Value;

/// Builds an interpolated string. String values are inserted unchanged, all others as JSON.
pub(super) fn render(text: &TextOp, env: &Env<'_>) -> Result<ByteString, Box<Fault>> {
    let mut out = Vec::new();
    let max = env.steps.limits().max_value;
    for piece in &text.pieces {
        env.steps.take(text.span)?;
        let fits = match piece {
            PieceOp::Literal(literal) => put(&mut out, literal, max),
            PieceOp::Code(op) => match &*eval(op, env)? {
                Value::String(string) => put(&mut out, string, max),
                other => serde_json::to_writer(Bounded { out: &mut out, max }, other).is_ok(),
            },
        };
        if !fits {
            return Err(Fault::new(text.span, LimitExceeded::Large(max).to_string()));
        }
    }
    let rendered = String::from_utf8(out).expect("only strings and JSON were written");
    let rendered = Value::string(rendered);
    env.steps.weigh(&rendered, text.span)?;
    match rendered {
        Value::String(rendered) => Ok(rendered),
        _ => Ok(ByteString::new()),
    }
}

fn put(out: &mut Vec<u8>, text: &str, max: usize) -> bool {
    io::Write::write_all(&mut Bounded { out, max }, text.as_bytes()).is_ok()
}

/// A writer that fails when the text exceeds the size limit of a value.
struct Bounded<'o> {
    out: &'o mut Vec<u8>,
    max: usize,
}

impl io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.out.len() + bytes.len() > self.max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
