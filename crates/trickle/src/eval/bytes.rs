//! Binary literals: `<< value:bits/type, … >>`.

use bytes::Bytes;

use super::{Env, eval};
use crate::{
    ast::BytesKind,
    code::{BytesOp, BytesPartOp},
    diagnostic::Fault,
    value::describe::{article, overflow},
};
use towline_event::Value;

/// Default size of a number, in bits.
const BITS: u64 = 8;

/// A bit string under construction.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// The bits that do not fill a byte yet.
    rest: u8,
    /// The number of bits in `rest`.
    pending: u32,
}

/// Builds a binary. If the bits do not fill the last byte, they become its low bits.
pub(super) fn bytes(op: &BytesOp, env: &Env<'_>) -> Result<Value, Box<Fault>> {
    let mut bits = Bits::default();
    for part in &op.parts {
        env.steps.take(part.span)?;
        let value = eval(&part.value, env)?;
        match part.kind {
            BytesKind::Binary => binary(part, &value, &mut bits, env)?,
            BytesKind::Unsigned | BytesKind::Signed => number(part, &value, &mut bits)?,
        }
    }
    if bits.pending > 0 {
        bits.bytes.push(bits.rest);
    }
    Ok(Value::Bytes(Bytes::from(bits.bytes)))
}

fn number(part: &BytesPartOp, value: &Value, bits: &mut Bits) -> Result<(), Box<Fault>> {
    let size = part.size.unwrap_or(BITS).min(64) as u32;
    let number = match (value, part.kind) {
        (Value::Int(number), BytesKind::Signed) => *number as u64,
        (Value::Int(number), _) if *number >= 0 => *number as u64,
        (Value::Uint(number), BytesKind::Unsigned) => *number,
        (Value::Big(big), _) => return Err(Fault::new(part.span, overflow(big))),
        (other, kind) => {
            let wanted = if kind == BytesKind::Signed { "a signed" } else { "an unsigned" };
            let found = match other {
                Value::Int(number) => number.to_string(),
                other => article(other),
            };
            return Err(Fault::new(part.span, format!("{wanted} integer is needed here, not {found}")));
        }
    };
    let number = if part.little { swapped(number, size) } else { number };
    bits.push(number, size);
    Ok(())
}

/// Reverses the bytes that `size` bits occupy.
fn swapped(number: u64, size: u32) -> u64 {
    let bytes = size.div_ceil(8);
    if bytes == 0 { 0 } else { number.swap_bytes() >> (64 - 8 * bytes) }
}

fn binary(part: &BytesPartOp, value: &Value, bits: &mut Bits, env: &Env<'_>) -> Result<(), Box<Fault>> {
    let whole: &[u8] = match value {
        Value::Bytes(bytes) => bytes,
        Value::String(text) => text.as_bytes(),
        other => {
            return Err(Fault::new(part.span, format!("a binary is needed here, not {}", article(other))));
        }
    };
    let taken = match part.size {
        Some(size) => usize::try_from(size).ok().and_then(|size| whole.get(..size)).ok_or_else(|| {
            let message = format!("{size} bytes are required, but the binary has {}", whole.len());
            Fault::new(part.span, message)
        })?,
        None => whole,
    };
    env.steps.room(bits.bytes.len() + taken.len(), part.span)?;
    env.steps.spend(taken.len() / 64).map_err(|message| Fault::new(part.span, message))?;
    if bits.pending == 0 {
        bits.bytes.extend_from_slice(taken);
    } else {
        for byte in taken {
            bits.push(u64::from(*byte), 8);
        }
    }
    Ok(())
}

impl Bits {
    /// Appends the low `size` bits of a number, highest bit first.
    fn push(&mut self, number: u64, size: u32) {
        for at in (0..size).rev() {
            self.rest = self.rest << 1 | (number >> at & 1) as u8;
            self.pending += 1;
            if self.pending == 8 {
                self.bytes.push(self.rest);
                self.rest = 0;
                self.pending = 0;
            }
        }
    }
}
