//! Decodes bytes to messages: headers, limits, unmasking, reassembly, UTF-8.

use std::mem;

use bytes::{Bytes, BytesMut};

use super::Limits;
use super::{
    Burst, BurstLimits, CloseFrame, Incoming, Message, Role,
    buffer::READ_BYTES,
    frame::{HEADER_MAX, Header, Opcode, apply_mask},
    room::{Rest, RoomLimits, make_room},
};

/// Maximum size in bytes of messages that are copied one after another into a shared allocation of at most
/// this size. The allocation lives as long as any of them. A burst of small messages then costs one
/// allocation.
const SMALL: usize = 4 * 1024;

/// A violation of RFC 6455 or of the proxy's limits by the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A reserved bit is set, and no extension is negotiated.
    #[error("reserved bits are set")]
    ReservedBits,
    /// An opcode that is not defined.
    #[error("unknown opcode {0}")]
    Opcode(u8),
    /// A length of more than 63 bits, or one that is not encoded in the fewest bytes.
    #[error("length out of range")]
    Length,
    /// A control frame without FIN.
    #[error("fragmented control frame")]
    ControlFragmented,
    /// A control frame with more than 125 bytes of payload.
    #[error("control frame too long")]
    ControlTooLong,
    /// A frame from a client that is not masked.
    #[error("unmasked frame from a client")]
    Unmasked,
    /// A masked frame from a server.
    #[error("masked frame from a server")]
    Masked,
    /// A continuation frame outside a fragmented message.
    #[error("continuation frame outside a fragmented message")]
    NothingToContinue,
    /// A new message starts before the fragmented one has ended.
    #[error("new message before the fragmented one has ended")]
    Unfinished,
    /// A frame larger than `max_frame` bytes. The field is the limit.
    #[error("frame larger than the limit of {0} bytes")]
    FrameTooBig(usize),
    /// A message larger than `max_message` bytes. The field is the limit.
    #[error("message larger than the limit of {0} bytes")]
    MessageTooBig(usize),
    /// A text message that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// A close frame with one byte of payload.
    #[error("close frame with a payload of one byte")]
    CloseBody,
    /// A close code that must not be sent.
    #[error("close code {0} must not be sent")]
    CloseCode(u16),
    /// A close reason that is not UTF-8.
    #[error("close reason is not UTF-8")]
    CloseReason,
}

impl WireError {
    /// The close code for the violation (RFC 6455 section 7.4.1).
    pub fn close_code(&self) -> u16 {
        match self {
            Self::NotUtf8 | Self::CloseReason => 1007,
            Self::FrameTooBig(_) | Self::MessageTooBig(_) => 1009,
            _ => 1002,
        }
    }
}

/// Decodes a peer's bytes, in pieces of any size, into messages and control frames.
///
/// The decoder holds at most one incomplete message (bounded by `max_message`), one control frame and one
/// header.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    max_message: u32,
    max_frame: u32,
    /// Maximum number of bytes that are reserved for a message long before they arrive.
    ahead: u32,
    /// What has not arrived completely. `None` between two turns in which nothing is incomplete, so that an idle
    /// connection does not hold it.
    partial: Option<Box<PartialInput>>,
    /// The allocation that the small messages of the current turn share.
    small: BytesMut,
}

/// The frame and the message of which a part has arrived.
#[derive(Debug, Default)]
struct PartialInput {
    header: [u8; HEADER_MAX],
    header_len: usize,
    frame: Option<PartialFrame>,
    message: Option<PartialMessage>,
    control: BytesMut,
}

/// The frame whose payload is being read.
#[derive(Debug)]
struct PartialFrame {
    header: Header,
    /// Number of bytes of the frame's payload received so far.
    got: usize,
}

/// The message whose frames are being read.
#[derive(Debug)]
struct PartialMessage {
    binary: bool,
    payload: BytesMut,
    /// The length of the payload's prefix that is checked to be UTF-8.
    checked: usize,
}

impl Decoder {
    /// Creates a decoder for the frames that the peer of `role` sends.
    pub fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            max_message: bounded(limits.max_message),
            max_frame: bounded(limits.max_frame),
            ahead: 0,
            partial: None,
            small: BytesMut::new(),
        }
    }

    /// Applies other limits from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.max_message = bounded(limits.max_message);
        self.max_frame = bounded(limits.max_frame);
    }

    /// Sets how many bytes may be reserved for a message long before they arrive: in a new decoder, none.
    pub fn reserve_ahead(&mut self, bytes: usize) {
        self.ahead = bounded(bytes);
    }

    /// Number of bytes of memory that an incomplete message holds, also of those that have not arrived.
    pub fn unfinished(&self) -> usize {
        self.message().map_or(0, |message| message.payload.capacity())
    }

    /// Frees the incomplete message and control frame. The decoder must not be used afterwards.
    pub fn forget(&mut self) {
        self.partial = None;
    }

    /// Frees the memory that is needed only within one turn.
    pub fn end_turn(&mut self) {
        self.small = BytesMut::new();
        if self.is_between_messages() {
            self.partial = None;
        }
    }

    fn room_limits(&self) -> RoomLimits {
        RoomLimits { max: self.max_message as usize, ahead: self.ahead as usize }
    }

    /// The message of which a part has arrived.
    fn message(&self) -> Option<&PartialMessage> {
        self.partial.as_ref()?.message.as_ref()
    }

    /// Whether nothing is incomplete.
    #[inline]
    fn is_between_messages(&self) -> bool {
        self.partial.as_ref().is_none_or(|partial| {
            partial.header_len == 0 && partial.frame.is_none() && partial.message.is_none()
        })
    }

    /// Decodes bytes from the front of `input` until a message or control frame is complete, `input` is
    /// empty, or `frames` frames have been decoded. Subtracts the number of decoded frames from `frames`.
    /// Returns `None` if nothing is complete yet.
    ///
    /// # Errors
    /// The peer's first violation. The decoder must not be used afterwards.
    pub fn decode(&mut self, input: &mut &[u8], frames: &mut usize) -> Result<Option<Incoming>, WireError> {
        while *frames > 0 {
            if let Some((header, size)) = self.whole_small(input) {
                *frames -= 1;
                return self.decode_small(&header, size, input).map(Some);
            }
            if self.partial.as_ref().is_none_or(|partial| partial.frame.is_none()) {
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

    /// Decodes complete small messages from the front of `input`. Subtracts their number from `frames`.
    /// [`Decoder::decode`] handles everything else, and reports violations. Returns `None` if `input` does not begin with
    /// such a message, or the limits allow none.
    pub fn decode_burst(
        &mut self,
        input: &mut &[u8],
        frames: &mut usize,
        limits: &BurstLimits,
    ) -> Option<Burst> {
        if limits.messages == 0 || !self.is_between_messages() {
            return None;
        }
        let peer = match self.role {
            Role::Server => Role::Client,
            Role::Client => Role::Server,
        };
        let limits = BurstLimits { messages: limits.messages.min(*frames), ..*limits };
        let len_max = (self.max_frame.min(self.max_message) as usize).min(SMALL);
        let burst = Burst::read(input, peer, &limits, len_max)?;
        *frames -= burst.len();
        Some(burst)
    }

    /// The buffer into which a large payload can be read directly, and the number of bytes that are missing.
    /// The caller reads into the buffer, then calls [`Decoder::filled`]. `None` if fewer than `least` bytes
    /// are missing, or if all of a message are that is larger than the caller's own buffer.
    pub fn direct(&mut self, least: usize) -> Option<(&mut BytesMut, usize)> {
        let limits = self.room_limits();
        let partial = self.partial.as_deref_mut()?;
        let frame = partial.frame.as_ref()?;
        let missing = frame.missing();
        if missing < least || frame.header.opcode.is_control() {
            return None;
        }
        let payload = &mut partial.message.as_mut()?.payload;
        // The more bytes arrive first, the more memory is reserved at once.
        if payload.is_empty() && missing > READ_BYTES {
            return None;
        }
        make_room(payload, frame.rest(), least, limits);
        let room = missing.min(payload.capacity() - payload.len());
        Some((payload, room))
    }

    /// Accounts for `count` bytes that the caller appended to the buffer from [`Decoder::direct`].
    ///
    /// # Errors
    /// The same errors as [`Decoder::decode`].
    pub fn filled(&mut self, count: usize) -> Result<Option<Incoming>, WireError> {
        let Some(PartialInput { frame: Some(frame), message: Some(message), .. }) =
            self.partial.as_deref_mut()
        else {
            return Ok(None);
        };
        let at = message.payload.len() - count;
        if let Some(mask) = frame.header.mask {
            apply_mask(&mut message.payload[at..], mask, frame.got);
        }
        frame.got += count;
        if (frame.got as u64) < frame.header.len { Ok(None) } else { self.end() }
    }

    /// The header of a small unfragmented message that has arrived whole (the usual case), and the size of
    /// the header in bytes. `None` in all other cases.
    fn whole_small(&self, input: &[u8]) -> Option<(Header, usize)> {
        if !self.is_between_messages() {
            return None;
        }
        let (header, size) = Header::of_short_message(input)?;
        let is_whole = header.len <= (input.len() - size).min(SMALL) as u64;
        is_whole.then_some((header, size))
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
        PartialMessage::new(header.opcode == Opcode::Binary, payload).finish().map(Incoming::Message)
    }

    /// Copies a small message into the shared allocation of the turn. `behind` is the number of bytes yet to
    /// be decoded.
    fn copy_small(&mut self, bytes: &[u8], behind: usize) -> BytesMut {
        if self.small.capacity() < bytes.len() {
            self.small = BytesMut::with_capacity((bytes.len() + behind).min(SMALL));
        }
        self.small.extend_from_slice(bytes);
        self.small.split()
    }

    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, WireError> {
        if input.is_empty() {
            return Ok(None);
        }
        let PartialInput { header, header_len, .. } = self.partial.get_or_insert_default().as_mut();
        loop {
            let want = match *header_len {
                0 | 1 => 2,
                _ => Header::size([header[0], header[1]]),
            };
            if *header_len == want {
                *header_len = 0;
                return Header::parse(&header[..want]).map(Some);
            }
            if input.is_empty() {
                return Ok(None);
            }
            let count = (want - *header_len).min(input.len());
            header[*header_len..*header_len + count].copy_from_slice(take(input, count));
            *header_len += count;
        }
    }

    /// Checks a header, then allocates memory for the part of the payload that has arrived: `available`
    /// bytes.
    fn begin(&mut self, header: Header, available: usize) -> Result<(), WireError> {
        self.check(&header)?;
        let limits = self.room_limits();
        let partial = self.partial.get_or_insert_default();
        let frame = PartialFrame { header, got: 0 };
        if !header.opcode.is_control() {
            let binary = header.opcode == Opcode::Binary;
            let new = || PartialMessage::new(binary, BytesMut::new());
            let message = partial.message.get_or_insert_with(new);
            make_room(&mut message.payload, frame.rest(), available, limits);
        }
        partial.frame = Some(frame);
        Ok(())
    }

    /// Checks that the protocol allows the frame now, and that it is within the limits.
    fn check(&self, header: &Header) -> Result<(), WireError> {
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(WireError::Unmasked),
            (Role::Client, Some(_)) => return Err(WireError::Masked),
            _ => {}
        }
        if header.opcode.is_control() {
            return Ok(());
        }
        match (self.message(), header.opcode) {
            (None, Opcode::Continuation) => return Err(WireError::NothingToContinue),
            (Some(_), Opcode::Text | Opcode::Binary) => return Err(WireError::Unfinished),
            _ => {}
        }
        if header.len > self.max_frame.into() {
            return Err(WireError::FrameTooBig(self.max_frame as usize));
        }
        let before = self.message().map_or(0, |message| message.payload.len());
        // The limit may have become lower since the message began.
        if header.len > u64::from(self.max_message).saturating_sub(before as u64) {
            return Err(WireError::MessageTooBig(self.max_message as usize));
        }
        Ok(())
    }

    /// Moves payload from `input` into the current frame. Returns whether the frame is complete.
    fn read_payload(&mut self, input: &mut &[u8]) -> bool {
        let limits = self.room_limits();
        let Some(PartialInput { frame: Some(frame), message, control, .. }) = self.partial.as_deref_mut()
        else {
            return false;
        };
        let missing = frame.missing();
        let count = missing.min(input.len());
        let payload = match message {
            Some(message) if !frame.header.opcode.is_control() => &mut message.payload,
            _ => control,
        };
        make_room(payload, frame.rest(), count, limits);
        let at = payload.len();
        payload.extend_from_slice(take(input, count));
        if let Some(mask) = frame.header.mask {
            apply_mask(&mut payload[at..], mask, frame.got);
        }
        frame.got += count;
        count == missing
    }

    /// Ends the frame, and returns the message or control frame that it completes; `None` if more frames
    /// follow.
    fn end(&mut self) -> Result<Option<Incoming>, WireError> {
        let Some(partial) = self.partial.as_deref_mut() else { return Ok(None) };
        let Some(PartialFrame { header, .. }) = partial.frame.take() else { return Ok(None) };
        let incoming = match header.opcode {
            Opcode::Close => Incoming::Close(CloseFrame::parse(&partial.take_control())?),
            Opcode::Ping => Incoming::Ping(partial.take_control()),
            Opcode::Pong => Incoming::Pong(partial.take_control()),
            _ if !header.fin => {
                return partial.message.as_mut().map_or(Ok(()), PartialMessage::check).map(|()| None);
            }
            _ => match partial.message.take() {
                Some(message) => Incoming::Message(message.finish()?),
                None => return Ok(None),
            },
        };
        Ok(Some(incoming))
    }
}

impl PartialFrame {
    /// Number of bytes of the payload that have not arrived.
    fn missing(&self) -> usize {
        self.header.len as usize - self.got
    }

    fn rest(&self) -> Rest {
        Rest { missing: self.missing(), is_last: self.header.fin }
    }
}

impl PartialInput {
    fn take_control(&mut self) -> Bytes {
        mem::take(&mut self.control).freeze()
    }
}

impl PartialMessage {
    fn new(binary: bool, payload: BytesMut) -> Self {
        Self { binary, payload, checked: 0 }
    }

    /// Checks the UTF-8 of a new fragment, so that a message that cannot become valid is refused early. The
    /// last character may be incomplete.
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

    /// Checks the UTF-8 of the whole message in one pass, since a character may span fragments.
    fn finish(self) -> Result<Message, WireError> {
        let payload = self.payload.freeze();
        if self.binary {
            return Ok(Message::Binary(payload));
        }
        payload.try_into().map(Message::Text).map_err(|_| WireError::NotUtf8)
    }
}

/// A limit in the size that is stored.
fn bounded(limit: usize) -> u32 {
    limit.try_into().unwrap_or(u32::MAX)
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(count);
    *input = rest;
    taken
}
