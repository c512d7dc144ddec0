//! Strings with code in them.

use std::io;

use bytestring::ByteString;

use super::{Env, eval, limits};
use crate::{
    event::Value,
    trickle::{
        code::{PieceOp, TextOp},
        diagnostic::Fault,
    },
};

/// Puts a string together. Strings stand in it as they are, everything else as JSON.
pub(super) fn render(text: &TextOp, env: &Env<'_>) -> Result<ByteString, Box<Fault>> {
    let mut out = Vec::new();
    for piece in &text.pieces {
        env.steps.take(text.span)?;
        let fits = match piece {
            PieceOp::Literal(literal) => put(&mut out, literal),
            PieceOp::Code(op) => match &*eval(op, env)? {
                Value::String(string) => put(&mut out, string),
                other => serde_json::to_writer(Bounded(&mut out), other).is_ok(),
            },
        };
        if !fits {
            return Err(Fault::new(text.span, limits::TooMuch::Large.to_string()));
        }
    }
    let text = String::from_utf8(out).expect("only strings and JSON were written");
    Ok(text.into())
}

fn put(out: &mut Vec<u8>, text: &str) -> bool {
    io::Write::write_all(&mut Bounded(out), text.as_bytes()).is_ok()
}

/// Takes bytes up to the largest value there may be.
struct Bounded<'o>(&'o mut Vec<u8>);

impl io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > limits::SIZE_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
