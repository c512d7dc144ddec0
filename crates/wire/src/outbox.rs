//! Encodes messages to frames, and queues the frames until the socket accepts them.

use std::{collections::VecDeque, io::IoSlice, mem};

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Burst, CloseFrame, Message, Role, buffer,
    frame::{Header, Opcode, apply_mask},
    mask,
    short_queue::ShortQueue,
};
use crate::memory;

/// Minimum size in bytes of payloads that are queued without a copy. Smaller ones are copied one after
/// another, which is cheaper than one more slice in the system call.
const COPY_BELOW: usize = 16 * 1024;

/// Size in bytes at which copied bytes are queued as a chunk, so that written chunks free their memory.
const CHUNK: usize = 64 * 1024;

/// Maximum number of pongs that wait for the socket. A peer that sends several pings in a row gets an answer
/// to each, but a flood of pings cannot fill the memory.
const PONGS: u8 = 16;

/// The memory of a blocked outbox grows in steps of this many bytes, instead of doubling.
const PIECE: usize = 8 * 1024;

/// Minimum size in bytes of a burst whose memory is queued as it is, without a copy. Smaller ones are copied, which is
/// cheaper than to queue and free their memory.
const BURST_CHUNK: usize = 4 * 1024;

/// Maximum number of slices passed to one vectored write.
pub(super) const SLICES: usize = 16;

/// A queue of frames to be written to the socket. Each message has a token that is returned when its last
/// byte is written.
///
/// # Correctness
/// The outbox itself has no bound. Every data frame carries a permit of a bounded budget as its token, and is
/// refused after [`Outbox::close`]. The number of pongs is limited; beyond the limit only the latest pong is
/// kept, which RFC 6455 section 5.5.3 allows.
#[derive(Debug)]
pub struct Outbox<T> {
    role: Role,
    chunks: VecDeque<Bytes>,
    /// The bytes after the last chunk. The first `tail_at` of them are written.
    tail: Vec<u8>,
    tail_at: usize,
    /// Number of bytes queued since the connection began.
    queued: u64,
    /// Number of bytes written since the connection began.
    written: u64,
    /// The end of each frame, in bytes since the connection began.
    marks: ShortQueue<(u64, Mark<T>)>,
    /// Number of pongs among the queued frames.
    pongs: u8,
    /// The latest pong that did not fit in the queue.
    pong_waiting: Option<Box<Bytes>>,
    closed: bool,
    /// Whether the socket is full and queued bytes remain, so that the outbox uses as little memory as
    /// possible.
    thrifty: bool,
}

#[derive(Debug)]
enum Mark<T> {
    Token(T),
    /// Boxed, because most marks are smaller.
    Burst(Box<QueuedBurst<T>>),
    Pong,
}

/// The messages of a burst that are not completely written.
#[derive(Debug)]
struct QueuedBurst<T> {
    token: T,
    /// Number of messages.
    messages: u64,
    /// Number of bytes of their payloads.
    bytes: u64,
    /// The end of the first one, in bytes since the connection began.
    first_end: u64,
    /// The length of its payload.
    first_bytes: u64,
}

/// Messages that are completely written.
#[derive(Debug, PartialEq, Eq)]
pub enum Sent<T> {
    /// The message with this token.
    Message(T),
    /// Messages of a burst, the first ones that were left.
    Burst {
        /// Number of messages.
        messages: u64,
        /// Number of bytes of their payloads.
        bytes: u64,
        /// The token of the burst, if no message of it is left.
        token: Option<T>,
    },
}

impl<T> Outbox<T> {
    /// Creates an empty outbox for the frames of `role`.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            chunks: VecDeque::new(),
            tail: Vec::new(),
            tail_at: 0,
            queued: 0,
            written: 0,
            marks: ShortQueue::new(),
            pongs: 0,
            pong_waiting: None,
            closed: false,
            thrifty: false,
        }
    }

    /// Queues a message. [`Outbox::advance`] returns `token` when all of the message is written.
    ///
    /// A message may not follow a close frame (RFC 6455 section 5.5.1).
    ///
    /// # Errors
    /// The token, when a close frame has been queued already.
    pub fn push(&mut self, message: Message, token: T) -> Result<(), T> {
        if self.closed {
            return Err(token);
        }
        let opcode = if message.is_binary() { Opcode::Binary } else { Opcode::Text };
        self.frame(opcode, message.into_bytes());
        self.marks.push_back((self.queued, Mark::Token(token)));
        Ok(())
    }

    /// Queues the messages of a burst. [`Outbox::advance`] counts the written ones, and returns `token` when all of them are
    /// written. A burst of one message is a message. After a close frame, or without messages, this does nothing.
    pub fn push_burst(&mut self, burst: Burst, token: T) {
        if self.closed || burst.is_empty() {
            return;
        }
        let (messages, bytes) = (burst.len() as u64, burst.bytes() as u64);
        let frames = burst.into_frames(self.role);
        let mark = match messages {
            1 => Mark::Token(token),
            _ => {
                let (first_end, first_bytes) = end_of_message(&frames, self.queued);
                Mark::Burst(Box::new(QueuedBurst { token, messages, bytes, first_end, first_bytes }))
            }
        };
        self.queued += frames.len() as u64;
        self.marks.push_back((self.queued, mark));
        if frames.len() >= BURST_CHUNK && self.tail.is_empty() {
            return self.chunks.push_back(frames.into());
        }
        self.begin_small(frames.len());
        self.tail.extend_from_slice(&frames);
        self.end_small();
    }

    /// Queues a ping.
    pub fn ping(&mut self, payload: Bytes) {
        if !self.closed {
            self.frame(Opcode::Ping, payload);
        }
    }

    /// Queues a pong. While many pongs are queued, only the latest further pong is kept, until one of them is
    /// written.
    pub fn pong(&mut self, payload: Bytes) {
        if self.closed {
            return;
        }
        if self.pongs == PONGS {
            self.pong_waiting = Some(Box::new(payload));
            return;
        }
        self.pongs += 1;
        self.frame(Opcode::Pong, payload);
        self.marks.push_back((self.queued, Mark::Pong));
    }

    /// Queues a close frame as the last frame. A second close frame is ignored.
    pub fn close(&mut self, frame: Option<&CloseFrame>) {
        if self.closed {
            return;
        }
        self.closed = true;
        self.pong_waiting = None;
        self.frame(Opcode::Close, frame.map(CloseFrame::encode).unwrap_or_default().into());
    }

    /// Whether a close frame has been queued.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The tokens of the messages and bursts that are not completely written.
    pub fn tokens(&self) -> impl Iterator<Item = &T> {
        self.marks.iter().filter_map(|(_, mark)| match mark {
            Mark::Token(token) => Some(token),
            Mark::Burst(burst) => Some(&burst.token),
            Mark::Pong => None,
        })
    }

    /// Number of bytes queued and not written yet.
    pub fn len(&self) -> usize {
        (self.queued - self.written) as usize
    }

    /// Whether all queued bytes are written.
    pub fn is_empty(&self) -> bool {
        self.queued == self.written
    }

    /// The next bytes for a plain write, if they are contiguous; otherwise `None`.
    pub(super) fn front(&self) -> Option<&[u8]> {
        match (self.chunks.front(), self.chunks.len()) {
            (None, _) => Some(&self.tail[self.tail_at..]),
            (Some(chunk), 1) if self.tail.is_empty() => Some(chunk),
            _ => None,
        }
    }

    /// The next bytes for a vectored write, and the number of slices.
    pub(super) fn slices(&self) -> ([IoSlice<'_>; SLICES], usize) {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let parts = self.chunks.iter().map(|chunk| &chunk[..]).chain([&self.tail[self.tail_at..]]);
        let mut count = 0;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            count += 1;
        }
        (slices, count)
    }

    /// Removes `count` written bytes. `done` receives the messages that are completely written.
    pub fn advance(&mut self, count: usize, mut done: impl FnMut(Sent<T>)) {
        let before = self.written;
        self.written += count as u64;
        while let Some((_, mark)) = self.marks.pop_front_if(|(end, _)| *end <= self.written) {
            match mark {
                Mark::Token(token) => done(Sent::Message(token)),
                Mark::Burst(burst) => done(burst.into_sent()),
                Mark::Pong => self.pongs -= 1,
            }
        }
        if let Some((_, Mark::Burst(burst))) = self.marks.front_mut()
            && burst.first_end <= self.written
        {
            let (chunks, tail) = (&self.chunks, &self.tail[self.tail_at..]);
            done(burst.sent_until(self.written, |end| bytes_at(chunks, tail, (end - before) as usize)));
        }
        self.drop_written(count);
        if self.pongs < PONGS
            && let Some(payload) = self.pong_waiting.take()
        {
            self.pong(*payload);
        }
        if self.is_empty() {
            self.thrifty = false;
            // An idle connection holds no memory.
            buffer::give_back(mem::take(&mut self.tail));
            self.tail_at = 0;
            memory::shrink_if_idle(&mut self.chunks);
            self.marks.shrink_if_idle();
        }
    }

    /// Shrinks the memory to what the queued bytes need while the socket is full. The thread's write buffer
    /// is for connections that do not block.
    pub fn blocked(&mut self) {
        self.thrifty = true;
        if self.tail.capacity() - self.tail.len() + self.tail_at > PIECE {
            let fitting = self.tail[self.tail_at..].to_vec();
            self.tail_at = 0;
            buffer::give_back(mem::replace(&mut self.tail, fitting));
        }
    }

    fn drop_written(&mut self, mut count: usize) {
        while let Some(chunk) = self.chunks.front_mut() {
            if count < chunk.len() {
                chunk.advance(count);
                return;
            }
            count -= chunk.len();
            self.chunks.pop_front();
        }
        self.tail_at += count;
    }

    fn frame(&mut self, opcode: Opcode, payload: Bytes) {
        let mask = (self.role == Role::Client).then(mask::next);
        let header = Header { fin: true, opcode, mask, len: payload.len() as u64 };
        let size = header.encoded_size() + payload.len();
        self.queued += size as u64;
        if payload.len() >= COPY_BELOW {
            return self.push_large(&header, payload);
        }
        self.begin_small(size);
        header.encode(&mut self.tail);
        self.append(&payload, mask);
        self.end_small();
    }

    /// Makes room for `size` bytes of frames that are copied.
    #[inline]
    fn begin_small(&mut self, size: usize) {
        if self.tail.capacity() == 0 {
            self.tail = buffer::take();
        }
        if self.thrifty && self.tail.capacity() - self.tail.len() < size {
            self.close_chunk();
            self.tail = Vec::with_capacity(PIECE.max(size));
        }
    }

    #[inline]
    fn end_small(&mut self) {
        if self.tail.len() >= CHUNK {
            self.close_chunk();
        }
    }

    /// Queues a frame without copying its payload. Its header needs a few bytes only, so it gets no buffer of the size that
    /// small frames share: that would wait in the queue with it.
    fn push_large(&mut self, header: &Header, payload: Bytes) {
        if self.tail.capacity() - self.tail.len() < header.encoded_size() {
            self.close_chunk();
            self.tail = Vec::with_capacity(header.encoded_size());
        }
        header.encode(&mut self.tail);
        self.close_chunk();
        self.chunks.push_back(masked(payload, header.mask));
    }

    fn append(&mut self, payload: &[u8], mask: Option<[u8; 4]>) {
        let at = self.tail.len();
        self.tail.extend_from_slice(payload);
        if let Some(mask) = mask {
            apply_mask(&mut self.tail[at..], mask, 0);
        }
    }

    fn close_chunk(&mut self) {
        let mut chunk = Bytes::from(mem::take(&mut self.tail));
        chunk.advance(mem::take(&mut self.tail_at));
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }
}

impl<T> QueuedBurst<T> {
    fn into_sent(self) -> Sent<T> {
        Sent::Burst { messages: self.messages, bytes: self.bytes, token: Some(self.token) }
    }

    /// Removes the messages that end in the bytes until `written`, but not all of them. `frames_at` returns queued bytes.
    fn sent_until<'a>(&mut self, written: u64, frames_at: impl Fn(u64) -> &'a [u8]) -> Sent<T> {
        let before = (self.messages, self.bytes);
        while self.first_end <= written && self.messages > 0 {
            (self.messages, self.bytes) = (self.messages - 1, self.bytes - self.first_bytes);
            (self.first_end, self.first_bytes) = end_of_message(frames_at(self.first_end), self.first_end);
        }
        Sent::Burst { messages: before.0 - self.messages, bytes: before.1 - self.bytes, token: None }
    }
}

impl<T> Sent<T> {
    /// The token, if no message with it is left.
    pub fn into_token(self) -> Option<T> {
        match self {
            Self::Message(token) => Some(token),
            Self::Burst { token, .. } => token,
        }
    }
}

/// The end of the message at the front of `frames`, which begins at `begin`, and the length of its payload.
fn end_of_message(frames: &[u8], begin: u64) -> (u64, u64) {
    match Header::of_short_message(frames) {
        Some((Header { len, .. }, size)) => (begin + size as u64 + len, len),
        None => (begin, 0),
    }
}

/// The queued bytes from `at` on, up to the end of their chunk.
fn bytes_at<'a>(chunks: &'a VecDeque<Bytes>, tail: &'a [u8], mut at: usize) -> &'a [u8] {
    for chunk in chunks {
        match chunk.get(at..) {
            Some(bytes) if !bytes.is_empty() => return bytes,
            _ => at -= chunk.len(),
        }
    }
    tail.get(at..).unwrap_or_default()
}

/// The masked payload. It is masked in place if it is not shared, otherwise in a copy. Without a mask, it is
/// unchanged.
fn masked(payload: Bytes, mask: Option<[u8; 4]>) -> Bytes {
    let Some(mask) = mask else { return payload };
    let mut payload = payload.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    apply_mask(&mut payload, mask, 0);
    payload.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of memory that the queued frames hold.
    fn held(outbox: &mut Outbox<()>) -> usize {
        let chunks = mem::take(&mut outbox.chunks).into_iter();
        let chunks = chunks.map(|chunk| chunk.try_into_mut().expect("nothing shares the chunk").capacity());
        chunks.sum::<usize>() + outbox.tail.capacity()
    }

    #[test]
    fn a_large_frame_takes_little_more_memory_than_its_payload() {
        const COUNT: usize = 4;
        for is_blocked in [false, true] {
            let mut outbox = Outbox::new(Role::Server);
            for _ in 0..COUNT {
                outbox.push(Message::Binary(vec![0; COPY_BELOW].into()), ()).expect("open");
                if is_blocked {
                    outbox.blocked();
                }
            }
            let bytes = held(&mut outbox);
            assert!(bytes <= COUNT * (COPY_BELOW + 16), "{bytes} bytes, blocked: {is_blocked}");
        }
    }
}
