//! Property tests of a link on a socket that moves any number of bytes at a time, is pending at any time, and
//! fails at any time.

mod reading_tests;
mod writing_tests;

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Limits, LivenessConfig};
use super::{
    frame::{HEADER_MAX, Header, Opcode, apply_mask},
    *,
};

const LIMITS: Limits = Limits { max_message: 60_000, max_frame: 40_000, buffer: 0 };

/// Maximum number of pongs in an outbox: 16 in the queue, and the latest.
const PONGS: usize = 17;

/// The behaviour of a socket in one call.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The call returns pending.
    Pending,
    /// The call moves at most this many bytes.
    Bytes(usize),
}

/// A socket in memory; the test keeps a handle to its state.
struct Socket {
    steps: VecDeque<Step>,
    shared: Rc<RefCell<SocketState>>,
}

#[derive(Default)]
struct SocketState {
    input: Vec<u8>,
    output: Vec<u8>,
    /// The number of bytes after which the socket fails.
    fails_after: Option<usize>,
    moved: usize,
    /// The number of reads.
    reads: usize,
    is_shut: bool,
}

type Tested = Link<Socket, usize>;

impl Socket {
    /// How many of `wanted` bytes move in this call.
    fn poll(&mut self, wanted: usize) -> Poll<io::Result<usize>> {
        self.steps.rotate_left(1);
        let mut shared = self.shared.borrow_mut();
        let left = shared.fails_after.map_or(usize::MAX, |at| at - shared.moved);
        if left == 0 {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        match self.steps[0] {
            Step::Pending => Poll::Pending,
            Step::Bytes(count) => {
                let count = count.min(wanted).min(left);
                shared.moved += count;
                Poll::Ready(Ok(count))
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wanted = buffer.remaining().min(self.shared.borrow().input.len());
        self.shared.borrow_mut().reads += 1;
        self.poll(wanted).map_ok(|count| {
            buffer.put_slice(&self.shared.borrow_mut().input.drain(..count).collect::<Vec<_>>());
        })
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        assert!(!self.shared.borrow().is_shut, "nothing is written after the shutdown");
        let bytes = slices.iter().map(|slice| &slice[..]).collect::<Vec<_>>().concat();
        assert!(!bytes.is_empty(), "an empty buffer is not written");
        self.poll(bytes.len()).map_ok(|count| {
            self.shared.borrow_mut().output.extend_from_slice(&bytes[..count]);
            count
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.borrow_mut().is_shut = true;
        Poll::Ready(Ok(()))
    }
}

fn link(role: Role, steps: &[Step], shared: SocketState) -> (Tested, Rc<RefCell<SocketState>>) {
    let shared = Rc::new(RefCell::new(shared));
    let socket = Socket { steps: steps.iter().copied().collect(), shared: Rc::clone(&shared) };
    (Link::new(socket, role, LIMITS, &LivenessConfig::OFF, Bytes::new()), shared)
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn peer_of(role: Role) -> Role {
    if role == Role::Server { Role::Client } else { Role::Server }
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

/// Steps that move any number of bytes. The last step always makes progress.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes =
        prop_oneof![1..4_usize, 1..200_usize, 1..30_000_usize, Just(usize::MAX)].prop_map(Step::Bytes);
    let step = prop_oneof![1 => Just(Step::Pending), 3 => bytes.clone()];
    (proptest::collection::vec(step, 0..12), bytes).prop_map(|(mut steps, last)| {
        steps.push(last);
        steps
    })
}

fn message() -> impl Strategy<Value = Message> {
    let size = prop_oneof![8 => 0..300_usize, 1 => 15_900..17_000_usize, 1 => prop_oneof![Just(125_usize), Just(126)]];
    (size, any::<bool>(), 1..0x80_u8).prop_map(|(size, binary, byte)| match binary {
        true => Message::Binary(vec![byte | 0x80; size].into()),
        false => Message::Text(char::from(byte).to_string().repeat(size).into()),
    })
}
