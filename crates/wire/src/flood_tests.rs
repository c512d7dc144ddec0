//! Tests with peers that send without end: no turn of a link exceeds its quota, whatever the peer sends and
//! whatever the owner waits for, and the owner is woken for the next turn (guarantee C3).

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Limits, LivenessConfig};
use super::{
    quota::{TURN_BYTES, TURN_FRAMES, TURN_READS, TURN_WRITES},
    *,
};

const LIMITS: Limits = Limits { max_message: 1 << 20, max_frame: 1 << 20, buffer: 0 };

/// Number of bytes that a turn may read beyond [`TURN_BYTES`]: one read buffer.
const READ_BYTES: usize = 64 << 10;

/// A socket whose peer sends `first`, then repeats `again` without end.
struct Endless {
    first: Vec<u8>,
    again: Vec<u8>,
    /// Maximum number of bytes returned by one read.
    piece: usize,
    given: usize,
    reads: usize,
    writes: usize,
}

#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl AsyncRead for Endless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.reads += 1;
        for _ in 0..buffer.remaining().min(self.piece) {
            let at = self.given;
            let byte = match self.first.get(at) {
                Some(byte) => *byte,
                None => self.again[(at - self.first.len()) % self.again.len()],
            };
            buffer.put_slice(&[byte]);
            self.given += 1;
        }
        Poll::Ready(Ok(()))
    }
}

/// Accepts one byte per write.
impl AsyncWrite for Endless {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes += 1;
        Poll::Ready(Ok(bytes.len().min(1)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn link(first: &[u8], again: &[u8], piece: usize) -> Link<Endless, ()> {
    let (first, again) = (first.to_vec(), again.to_vec());
    let socket = Endless { first, again, piece, given: 0, reads: 0, writes: 0 };
    Link::new(socket, Role::Client, LIMITS, &LivenessConfig::OFF, Bytes::new())
}

/// Polls until pending. Returns the number of times that the poll was ready, and the number of wake-ups of
/// the owner.
fn turn(mut poll: impl FnMut(&mut Context<'_>) -> bool) -> (usize, usize) {
    let counter = Arc::new(CountingWaker::default());
    let waker: Waker = Arc::clone(&counter).into();
    let mut task = Context::from_waker(&waker);
    let mut steps = 0;
    while poll(&mut task) {
        steps += 1;
        assert!(steps <= 10 * TURN_FRAMES, "the turn does not end");
    }
    (steps, counter.0.load(SeqCst))
}

/// Floods by a server: the name, the first bytes, and the bytes that repeat.
const FLOODS: [(&str, &[u8], &[u8]); 5] = [
    ("empty fragments", &[0x02, 0], &[0x00, 0]),
    ("fragments of a byte", &[0x01, 0], &[0x00, 1, b'x']),
    ("messages", &[], &[0x81, 1, b'x']),
    ("pings", &[], &[0x89, 0]),
    ("pongs", &[], &[0x8a, 1, b'x']),
];

#[test]
fn a_flood_of_frames_ends_the_turn_and_wakes_for_the_next() {
    for (what, first, again) in FLOODS {
        for piece in [1, 7, usize::MAX] {
            let mut link = link(first, again, piece);
            for number in 1..=3 {
                let (steps, wakes) = turn(|task| link.poll_next(task).is_ready());
                assert!(steps <= TURN_FRAMES, "{what}: {steps} steps");
                assert_eq!(wakes, 1, "{what}");
                link.end_turn();
                let socket = link.socket_mut();
                assert!(socket.reads <= number * TURN_READS, "{what}: {} reads", socket.reads);
                assert!(socket.given <= number * (TURN_BYTES + READ_BYTES), "{what}: {}", socket.given);
            }
        }
    }
}

#[test]
fn no_turn_decodes_more_frames_than_its_quota() {
    let mut link = link(&[0x02, 0], &[0x00, 0], usize::MAX);
    for number in 1..=3 {
        turn(|task| link.poll_next(task).is_ready());
        link.end_turn();
        let decoded = (link.socket_mut().given - link.unfinished()) / 2;
        assert_eq!(decoded, number * TURN_FRAMES);
    }
}

#[test]
fn waiting_for_the_peers_close_frame_takes_turns_too() {
    type Waiting = fn(&mut Link<Endless, ()>, &mut Context<'_>) -> bool;
    let polls: [Waiting; 2] = [
        |link, task| link.poll_peer_close(task).is_ready(),
        |link, task| link.poll_rejected(task).is_ready(),
    ];
    for poll in polls {
        for (what, first, again) in FLOODS {
            let mut link = link(first, again, usize::MAX);
            for number in 1..=3 {
                let (_, wakes) = turn(|task| poll(&mut link, task));
                assert_eq!(wakes, 1, "{what}");
                let given = link.socket_mut().given;
                assert!(given <= number * (TURN_BYTES + READ_BYTES), "{what}: {given} bytes");
            }
        }
    }
}

#[test]
fn a_large_message_is_read_in_several_turns() {
    const SIZE: usize = 1 << 20;
    let header = [&[0x82, 127][..], &(SIZE as u64).to_be_bytes()].concat();
    let mut link = link(&header, &[7], usize::MAX);
    let mut turns = 1;
    loop {
        let before = link.socket_mut().given;
        let mut got = None;
        let (_, wakes) = turn(|task| match link.poll_next(task) {
            Poll::Ready(incoming) => {
                got = Some(incoming);
                false
            }
            Poll::Pending => false,
        });
        if let Some(incoming) = got {
            assert!(matches!(incoming, Ok(Incoming::Message(message)) if message.len() == SIZE));
            break;
        }
        assert_eq!(wakes, 1);
        assert!(link.socket_mut().given - before <= TURN_BYTES + READ_BYTES);
        link.end_turn();
        turns += 1;
    }
    assert!(turns >= SIZE / (TURN_BYTES + READ_BYTES), "{turns} turns");
}

#[test]
fn a_turn_ends_after_its_writes_and_the_socket_does_not_count_as_blocked() {
    let mut link = link(&[], &[0x89, 0], 1);
    link.push(Message::Binary(vec![7; 100].into()), ()).unwrap();
    for number in 1..=3 {
        let (_, wakes) = turn(|task| link.poll_flush(task, drop).is_ready());
        assert_eq!((wakes, link.socket_mut().writes), (1, number * TURN_WRITES));
        assert!(!link.is_blocked());
        link.end_turn();
    }
    let (_, wakes) = turn(|task| link.poll_flush(task, drop).is_pending());
    assert_eq!(wakes, 0, "all is written");
}
