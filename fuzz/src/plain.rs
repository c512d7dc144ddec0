//! A reference decoder for RFC 6455. It gets all bytes at once and has no limits on time or memory.

use towline::wire::{CloseFrame, Incoming, Limits, Message, Role, WireError, is_sendable};

/// An incomplete message: whether it is binary, and its payload.
type Partial = (bool, Vec<u8>);

/// Decodes `bytes`, up to the first violation or incomplete frame. Returns the messages and control frames,
/// and the violation if there is one.
pub fn read(role: Role, limits: Limits, mut bytes: &[u8]) -> (Vec<Incoming>, Option<WireError>) {
    let mut got = Vec::new();
    let mut partial = None;
    loop {
        match frame(role, limits, &mut bytes, &mut partial) {
            Ok(Some(incoming)) => got.extend(incoming),
            Ok(None) => return (got, None),
            Err(error) => return (got, Some(error)),
        }
    }
}

/// Decodes one frame; `None` when it is incomplete.
fn frame(
    role: Role,
    limits: Limits,
    bytes: &mut &[u8],
    partial: &mut Option<Partial>,
) -> Result<Option<Option<Incoming>>, WireError> {
    let Some((header, size)) = header(bytes) else { return Ok(None) };
    check(&header, role, limits, partial.as_ref())?;
    let (opcode, len) = (header.first & 0x0f, header.len as usize);
    let Some(payload) = bytes[size..].get(..len) else { return Ok(None) };
    let key = header.mask.unwrap_or_default();
    let payload: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    *bytes = &bytes[size + len..];
    match opcode {
        8 => return Ok(Some(Some(Incoming::Close(close(&payload)?)))),
        9 => return Ok(Some(Some(Incoming::Ping(payload.into())))),
        10 => return Ok(Some(Some(Incoming::Pong(payload.into())))),
        _ => {}
    }
    let (binary, mut whole) = partial.take().unwrap_or((opcode == 2, Vec::new()));
    whole.extend(payload);
    if header.first & 0x80 == 0 {
        if !binary && std::str::from_utf8(&whole).is_err_and(|error| error.error_len().is_some()) {
            return Err(WireError::NotUtf8);
        }
        *partial = Some((binary, whole));
        return Ok(Some(None));
    }
    let message = match binary {
        true => Message::Binary(whole.into()),
        false => Message::Text(String::from_utf8(whole).map_err(|_| WireError::NotUtf8)?.into()),
    };
    Ok(Some(Some(Incoming::Message(message))))
}

struct Header {
    first: u8,
    short: u8,
    len: u64,
    mask: Option<[u8; 4]>,
}

/// The header and its size in bytes; `None` if it is incomplete.
fn header(bytes: &[u8]) -> Option<(Header, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let mut rest = &bytes[2..];
    let len = match second & 0x7f {
        126 => u64::from(u16::from_be_bytes(take(&mut rest)?)),
        127 => u64::from_be_bytes(take(&mut rest)?),
        short => short.into(),
    };
    let mask = if second & 0x80 == 0 { None } else { Some(take(&mut rest)?) };
    Some((Header { first, short: second & 0x7f, len, mask }, bytes.len() - rest.len()))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn check(header: &Header, role: Role, limits: Limits, partial: Option<&Partial>) -> Result<(), WireError> {
    let &Header { first, short, len, mask } = header;
    let opcode = first & 0x0f;
    let before = partial.map_or(0, |(_, payload)| payload.len());
    let errors = [
        (first & 0x70 != 0, WireError::ReservedBits),
        (!matches!(opcode, 0..=2 | 8..=10), WireError::Opcode(opcode)),
        (short == 126 && len < 126, WireError::Length),
        (short == 127 && !(65_536..1 << 63).contains(&len), WireError::Length),
        (opcode >= 8 && first & 0x80 == 0, WireError::ControlFragmented),
        (opcode >= 8 && len > 125, WireError::ControlTooLong),
        (role == Role::Server && mask.is_none(), WireError::Unmasked),
        (role == Role::Client && mask.is_some(), WireError::Masked),
        (opcode == 0 && partial.is_none(), WireError::NothingToContinue),
        (matches!(opcode, 1 | 2) && partial.is_some(), WireError::Unfinished),
        (opcode < 8 && len > limits.max_frame as u64, WireError::FrameTooBig(limits.max_frame)),
        (
            opcode < 8 && len > (limits.max_message - before) as u64,
            WireError::MessageTooBig(limits.max_message),
        ),
    ];
    errors.into_iter().find(|(wrong, _)| *wrong).map_or(Ok(()), |(_, error)| Err(error))
}

fn close(payload: &[u8]) -> Result<Option<CloseFrame>, WireError> {
    match payload {
        [] => Ok(None),
        [_] => Err(WireError::CloseBody),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !is_sendable(code) {
                return Err(WireError::CloseCode(code));
            }
            let reason = std::str::from_utf8(reason).map_err(|_| WireError::CloseReason)?;
            Ok(Some(CloseFrame::new(code, reason)))
        }
    }
}
