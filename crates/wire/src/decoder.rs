//! Bytes to messages: headers, limits, unmasking, reassembly, UTF-8.

use std::mem;

use bytes::{Bytes, BytesMut};

use super::Limits;
use super::{
    CloseFrame, Incoming, Message, Role,
    frame::{HEADER_MAX, Header, Opcode, apply_mask},
};

/// First room made for a payload whose bytes have not come yet. The room grows with what really comes,
/// so that a header alone, whatever it declares, takes no more than this.
const FIRST_ROOM: usize = 4 * 1024;

/// Messages up to this size that are all there are copied behind one another into one piece of memory of at
/// most this size, which lives as long as any of them: a burst of them costs one allocation.
const SMALL: usize = 4 * 1024;

/// What a peer did that RFC 6455 or our limits forbid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A reserved bit is set and no extension was agreed on.
    #[error("reserved bits are set")]
    ReservedBits,
    /// An opcode that nobody has defined.
    #[error("unknown opcode {0}")]
    Opcode(u8),
    /// A length of more than 63 bits, or in more bytes than it needs.
    #[error("length out of range")]
    Length,
    /// A control frame in fragments.
    #[error("fragmented control frame")]
    ControlFragmented,
    /// A control frame of more than 125 bytes.
    #[error("control frame too long")]
    ControlTooLong,
    /// A frame of a client without mask.
    #[error("frame without mask")]
    Unmasked,
    /// A frame of a server with mask.
    #[error("masked frame")]
    Masked,
    /// A continuation frame without a message to continue.
    #[error("continuation of nothing")]
    NothingToContinue,
    /// A new message before the fragmented one has ended.
    #[error("new message inside a fragmented one")]
    Unfinished,
    /// A frame above `max_frame`.
    #[error("frame larger than the limit of {0} bytes")]
    FrameTooBig(usize),
    /// A message above `max_message`.
    #[error("message larger than the limit of {0} bytes")]
    MessageTooBig(usize),
    /// A text message that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A close frame with one byte of payload.
    #[error("close frame with half a code")]
    CloseBody,
    /// A close code that must not be sent.
    #[error("close code {0} must not be sent")]
    CloseCode(u16),
    /// A close reason that is not UTF-8.
    #[error("close reason is not UTF-8")]
    CloseReason,
}

impl WireError {
    /// The close code that the peer gets for it (RFC 6455 section 7.4.1).
    pub fn close_code(&self) -> u16 {
        match self {
            Self::NotUtf8 | Self::CloseReason => 1007,
            Self::FrameTooBig(_) | Self::MessageTooBig(_) => 1009,
            _ => 1002,
        }
    }
}

/// Turns a peer's bytes into messages and control frames, in whatever pieces they come.
///
/// Holds at most one message in the making (bounded by `max_message`), one control frame and one
/// header.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    max_message: u32,
    max_frame: u32,
    header: [u8; HEADER_MAX],
    header_len: usize,
    frame: Option<Frame>,
    message: Option<Partial>,
    control: BytesMut,
    /// Room for the small messages of this turn.
    small: BytesMut,
}

/// The frame whose payload is being read.
#[derive(Debug)]
struct Frame {
    header: Header,
    /// Bytes of its payload that have come.
    got: usize,
}

/// The message whose frames are being read.
#[derive(Debug)]
struct Partial {
    binary: bool,
    payload: BytesMut,
    /// So many bytes of its payload have been seen to be UTF-8.
    checked: usize,
}

impl Decoder {
    /// A decoder for the frames of `role`'s peer.
    pub fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            max_message: limits.max_message.try_into().unwrap_or(u32::MAX),
            max_frame: limits.max_frame.try_into().unwrap_or(u32::MAX),
            header: [0; HEADER_MAX],
            header_len: 0,
            frame: None,
            message: None,
            control: BytesMut::new(),
            small: BytesMut::new(),
        }
    }

    /// Bytes held of a message that is not whole yet.
    pub fn unfinished(&self) -> usize {
        self.message.as_ref().map_or(0, |partial| partial.payload.capacity())
    }

    /// Frees the message and the control frame in the making; the decoder is of no use afterwards.
    pub fn forget(&mut self) {
        self.message = None;
        self.control = BytesMut::new();
    }

    /// Frees what serves one turn only.
    pub fn end_turn(&mut self) {
        self.small = BytesMut::new();
    }

    /// Takes bytes from the front of `input` until something is complete, `input` is used up, or `frames`
    /// frames have been decoded. `frames` is reduced by what was decoded.
    ///
    /// # Errors
    /// The first thing the peer did that is not allowed; the decoder is of no use afterwards.
    pub fn decode(&mut self, input: &mut &[u8], frames: &mut usize) -> Result<Option<Incoming>, WireError> {
        while *frames > 0 {
            if let Some((header, size)) = self.whole_small(input) {
                *frames -= 1;
                return self.decode_small(&header, size, input).map(Some);
            }
            if self.frame.is_none() {
                match self.read_header(input)? {
                    Some(header) => self.begin(header, input.len())?,
                    None => return Ok(None),
                }
            }
            if !self.read_payload(input) {
                return Ok(None);
            }
            *frames -= 1;
            if let Some(incoming) = self.end()? {
                return Ok(Some(incoming));
            }
        }
        Ok(None)
    }

    /// Where the bytes of a large payload may be read to directly, and how many may be: the caller reads
    /// into the buffer, then calls [`Decoder::filled`]. None while less than `least` bytes are missing.
    pub fn direct(&mut self, least: usize) -> Option<(&mut BytesMut, usize)> {
        let frame = self.frame.as_ref()?;
        let missing = frame.header.len as usize - frame.got;
        if missing < least || frame.header.opcode.is_control() {
            return None;
        }
        let payload = &mut self.message.as_mut()?.payload;
        make_room(payload, missing, least, self.max_message as usize);
        let room = missing.min(payload.capacity() - payload.len());
        Some((payload, room))
    }

    /// Tells that `count` bytes have been appended to the buffer that [`Decoder::direct`] gave.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn filled(&mut self, count: usize) -> Result<Option<Incoming>, WireError> {
        let (Some(frame), Some(partial)) = (&mut self.frame, &mut self.message) else {
            return Ok(None);
        };
        let at = partial.payload.len() - count;
        if let Some(mask) = frame.header.mask {
            apply_mask(&mut partial.payload[at..], mask, frame.got);
        }
        frame.got += count;
        if (frame.got as u64) < frame.header.len { Ok(None) } else { self.end() }
    }

    /// The header of a small message in one frame that is all there, the usual case, and the header's size.
    fn whole_small(&self, input: &[u8]) -> Option<(Header, usize)> {
        if self.header_len > 0 || self.frame.is_some() || self.message.is_some() {
            return None;
        }
        let size = Header::size(*input.first_chunk()?);
        let header = Header::parse(input.get(..size)?).ok()?;
        let is_message = header.fin && matches!(header.opcode, Opcode::Text | Opcode::Binary);
        let is_whole = header.len <= (input.len() - size).min(SMALL) as u64;
        (is_message && is_whole).then_some((header, size))
    }

    fn decode_small(
        &mut self,
        header: &Header,
        size: usize,
        input: &mut &[u8],
    ) -> Result<Incoming, WireError> {
        self.check(header)?;
        take(input, size);
        let is_last = header.len == input.len() as u64;
        let bytes = take(input, header.len as usize);
        let mut payload = if is_last { BytesMut::from(bytes) } else { self.copy_small(bytes, input.len()) };
        if let Some(mask) = header.mask {
            apply_mask(&mut payload, mask, 0);
        }
        Partial::new(header.opcode == Opcode::Binary, payload).finish().map(Incoming::Message)
    }

    /// Copies into the memory of the turn's small messages; `behind` bytes are yet to be decoded.
    fn copy_small(&mut self, bytes: &[u8], behind: usize) -> BytesMut {
        if self.small.capacity() < bytes.len() {
            self.small = BytesMut::with_capacity((bytes.len() + behind).min(SMALL));
        }
        self.small.extend_from_slice(bytes);
        self.small.split()
    }

    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, WireError> {
        loop {
            let want = match self.header_len {
                0 | 1 => 2,
                _ => Header::size([self.header[0], self.header[1]]),
            };
            if self.header_len == want {
                self.header_len = 0;
                return Header::parse(&self.header[..want]).map(Some);
            }
            if input.is_empty() {
                return Ok(None);
            }
            let count = (want - self.header_len).min(input.len());
            self.header[self.header_len..self.header_len + count].copy_from_slice(take(input, count));
            self.header_len += count;
        }
    }

    /// Checks a header and makes room for its payload, as far as it has come.
    fn begin(&mut self, header: Header, available: usize) -> Result<(), WireError> {
        self.check(&header)?;
        if !header.opcode.is_control() {
            let binary = header.opcode == Opcode::Binary;
            let partial = self.message.get_or_insert_with(|| Partial::new(binary, BytesMut::new()));
            make_room(&mut partial.payload, header.len as usize, available, self.max_message as usize);
        }
        self.frame = Some(Frame { header, got: 0 });
        Ok(())
    }

    /// Whether such a frame may come now, and is within the limits.
    fn check(&self, header: &Header) -> Result<(), WireError> {
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(WireError::Unmasked),
            (Role::Client, Some(_)) => return Err(WireError::Masked),
            _ => {}
        }
        if header.opcode.is_control() {
            return Ok(());
        }
        match (&self.message, header.opcode) {
            (None, Opcode::Continuation) => return Err(WireError::NothingToContinue),
            (Some(_), Opcode::Text | Opcode::Binary) => return Err(WireError::Unfinished),
            _ => {}
        }
        if header.len > self.max_frame.into() {
            return Err(WireError::FrameTooBig(self.max_frame as usize));
        }
        let before = self.message.as_ref().map_or(0, |partial| partial.payload.len());
        if header.len > u64::from(self.max_message) - before as u64 {
            return Err(WireError::MessageTooBig(self.max_message as usize));
        }
        Ok(())
    }

    /// Moves payload from `input`; tells whether the frame is complete.
    fn read_payload(&mut self, input: &mut &[u8]) -> bool {
        let Some(frame) = &mut self.frame else { return false };
        let missing = frame.header.len as usize - frame.got;
        let count = missing.min(input.len());
        let payload = match &mut self.message {
            Some(partial) if !frame.header.opcode.is_control() => &mut partial.payload,
            _ => &mut self.control,
        };
        make_room(payload, missing, count, self.max_message as usize);
        let at = payload.len();
        payload.extend_from_slice(take(input, count));
        if let Some(mask) = frame.header.mask {
            apply_mask(&mut payload[at..], mask, frame.got);
        }
        frame.got += count;
        count == missing
    }

    /// Ends the frame; gives what it completes.
    fn end(&mut self) -> Result<Option<Incoming>, WireError> {
        let Some(Frame { header, .. }) = self.frame.take() else { return Ok(None) };
        let incoming = match header.opcode {
            Opcode::Close => Incoming::Close(CloseFrame::parse(&self.take_control())?),
            Opcode::Ping => Incoming::Ping(self.take_control()),
            Opcode::Pong => Incoming::Pong(self.take_control()),
            _ if !header.fin => return self.message.as_mut().map_or(Ok(()), Partial::check).map(|()| None),
            _ => match self.message.take() {
                Some(partial) => Incoming::Message(partial.finish()?),
                None => return Ok(None),
            },
        };
        Ok(Some(incoming))
    }

    fn take_control(&mut self) -> Bytes {
        mem::take(&mut self.control).freeze()
    }
}

impl Partial {
    fn new(binary: bool, payload: BytesMut) -> Self {
        Self { binary, payload, checked: 0 }
    }

    /// Looks at what a fragment has added: what cannot become text any more is not waited for. The last
    /// character may be incomplete.
    fn check(&mut self) -> Result<(), WireError> {
        if self.binary {
            return Ok(());
        }
        match std::str::from_utf8(&self.payload[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(WireError::NotUtf8),
        }
        Ok(())
    }

    /// One pass of UTF-8 over the whole message, so that a character may span fragments.
    fn finish(self) -> Result<Message, WireError> {
        let payload = self.payload.freeze();
        if self.binary {
            return Ok(Message::Binary(payload));
        }
        payload.try_into().map(Message::Text).map_err(|_| WireError::NotUtf8)
    }
}

/// Makes room for `missing` bytes of which `available` are there: all of them when they are there, else
/// twice of what there is. All room together is at most `max`.
fn make_room(payload: &mut BytesMut, missing: usize, available: usize, max: usize) {
    if payload.capacity() - payload.len() < available.min(missing) || payload.capacity() == 0 {
        let ahead = available.max(payload.len()).max(FIRST_ROOM);
        grow(payload, missing.min(ahead), max);
    }
}

/// Makes room for `more` bytes, and for as many again as there are, so that growing costs little, but never
/// for more than `max` (C4).
fn grow(payload: &mut BytesMut, more: usize, max: usize) {
    if payload.capacity() * 2 <= max {
        return payload.reserve(more);
    }
    let mut exact = Vec::from(mem::take(payload));
    exact.reserve_exact(max.max(exact.len() + more) - exact.len());
    *payload = Bytes::from(exact).into();
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(count);
    *input = rest;
    taken
}
