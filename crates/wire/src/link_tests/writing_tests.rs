//! Tests that queued messages are written once, in order, and reported as soon as they are written.

use super::*;

/// An operation of the owner on a link's write side.
#[derive(Debug, Clone)]
enum Action {
    Push(Message),
    Ping(u8),
    Pong(u8),
    Flush,
    Close,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let act = prop_oneof![
        40 => message().prop_map(Action::Push),
        5 => any::<u8>().prop_map(Action::Ping),
        60 => any::<u8>().prop_map(Action::Pong),
        20 => Just(Action::Flush),
        1 => Just(Action::Close),
    ];
    proptest::collection::vec(act, 1..120)
}

/// The link's write side, its peer, and the expected state.
struct Writer {
    link: Tested,
    shared: Rc<RefCell<SocketState>>,
    peer: Decoder,
    /// Number of bytes of the output that the peer has decoded.
    seen: usize,
    got: Vec<Incoming>,
    pushed: Vec<Message>,
    /// Number of tokens returned.
    done: usize,
    pings: usize,
    pongs: Vec<Bytes>,
    closed: bool,
}

impl Writer {
    fn new(role: Role, steps: &[Step], fails_after: Option<usize>) -> Self {
        let (link, shared) = link(role, steps, SocketState { fails_after, ..SocketState::default() });
        Self {
            link,
            shared,
            peer: Decoder::new(peer_of(role), LIMITS),
            seen: 0,
            got: Vec::new(),
            pushed: Vec::new(),
            done: 0,
            pings: 0,
            pongs: Vec::new(),
            closed: false,
        }
    }

    /// Performs an operation. Returns whether the socket still works.
    fn act(&mut self, act: Action) -> bool {
        match act {
            Action::Push(message) => {
                let token = self.pushed.len();
                match self.link.push(message.clone(), token) {
                    Ok(()) => self.pushed.push(message),
                    Err(back) => assert_eq!((back, self.closed), (token, true)),
                }
            }
            Action::Ping(byte) => {
                self.link.outbox().ping(vec![byte].into());
                self.pings += usize::from(!self.closed);
            }
            Action::Pong(byte) => {
                let payload = Bytes::from(vec![byte; byte.into()]).slice(..usize::from(byte).min(125));
                self.link.outbox().pong(payload.clone());
                if !self.closed {
                    self.pongs.push(payload);
                }
            }
            Action::Flush => return !matches!(self.flush(), Poll::Ready(Err(_))),
            Action::Close => {
                self.link.close(Some(&CloseFrame::new(1000, "bye")));
                self.closed = true;
            }
        }
        self.check_held();
        true
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        let Self { link, shared, peer, seen, got, done, .. } = self;
        let flushed = link.poll_flush(&mut cx(), |sent| {
            let token = sent.into_token().expect("there are no bursts");
            decode_new(&shared.borrow().output, peer, seen, got);
            assert_eq!(token, *done, "tokens are returned once and in order");
            assert!(
                messages(got).count() > token,
                "a token is not returned before the message's last byte is written"
            );
            *done += 1;
        });
        link.end_turn();
        decode_new(&shared.borrow().output, peer, seen, got);
        assert_eq!(messages(got).count(), self.done, "a token is returned as soon as its message is written");
        self.check_held();
        flushed
    }

    /// Checks that each token is either returned or in the outbox, and that the outbox holds no more than the
    /// queued frames and a few pongs.
    fn check_held(&mut self) {
        let waiting: Vec<_> = self.link.outbox().tokens().copied().collect();
        assert_eq!(waiting, (self.done..self.pushed.len()).collect::<Vec<_>>());
        let messages: usize = self.pushed[self.done..].iter().map(|message| HEADER_MAX + message.len()).sum();
        let controls = (PONGS + self.pings + usize::from(self.closed)) * (HEADER_MAX + 125);
        assert!(self.link.outbox().len() <= messages + controls, "{} bytes", self.link.outbox().len());
    }

    /// Checks that the peer has decoded the pushed messages, in order, and nothing after a close frame.
    /// `is_whole` is whether the socket worked to the end, so that every pushed message must have arrived.
    fn check_end(mut self, is_whole: bool) {
        let got = messages(&self.got).cloned().collect::<Vec<_>>();
        assert_eq!(got, self.pushed[..self.done]);
        let close = self.got.iter().position(|incoming| matches!(incoming, Incoming::Close(_)));
        assert!(
            close.is_none_or(|at| self.closed && at + 1 == self.got.len()),
            "nothing follows a close frame"
        );
        let pongs: Vec<_> = self.got.iter().filter_map(pong).collect();
        let mut sent = self.pongs.iter();
        assert!(pongs.iter().all(|pong| sent.any(|sent| sent == *pong)), "pongs keep their order");
        if is_whole {
            assert_eq!(self.done, self.pushed.len());
            assert_eq!(close.is_some(), self.closed);
            assert!(self.closed || pongs.last().copied() == self.pongs.last(), "the latest ping is answered");
            assert_eq!(self.link.outbox().len(), 0);
        }
    }
}

/// Decodes, as the peer, what was written since the last call.
fn decode_new(output: &[u8], peer: &mut Decoder, seen: &mut usize, got: &mut Vec<Incoming>) {
    let mut bytes = &output[*seen..];
    while let Some(incoming) = peer.decode(&mut bytes, &mut { usize::MAX }).expect("what we write is allowed")
    {
        got.push(incoming);
    }
    *seen = output.len();
}

fn messages(got: &[Incoming]) -> impl Iterator<Item = &Message> {
    got.iter().filter_map(|incoming| match incoming {
        Incoming::Message(message) => Some(message),
        _ => None,
    })
}

fn pong(incoming: &Incoming) -> Option<&Bytes> {
    match incoming {
        Incoming::Pong(payload) => Some(payload),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// For any order of operations and any socket: messages arrive whole and in order, each token is returned
    /// once, after its message is written, few pongs are queued, and nothing follows a close frame.
    #[test]
    fn queued_messages_are_written_once(role in role(), acts in actions(), steps in steps()) {
        let mut writer = Writer::new(role, &steps, None);
        for act in acts {
            prop_assert!(writer.act(act));
        }
        loop {
            match writer.flush() {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => break,
                Poll::Ready(Err(error)) => panic!("{error}"),
            }
        }
        writer.check_end(true);
    }

    /// When a socket fails, the returned tokens belong to written messages, and all others are still in the
    /// outbox.
    #[test]
    fn a_failed_socket_leaves_the_tokens_of_unwritten_messages(
        role in role(),
        acts in actions(),
        steps in steps(),
        fails_after in prop_oneof![0..300_usize, 0..20_000_usize],
    ) {
        let mut writer = Writer::new(role, &steps, Some(fails_after));
        let works = acts.into_iter().all(|act| writer.act(act));
        let fails = !works || loop {
            match writer.flush() {
                Poll::Pending => {}
                Poll::Ready(end) => break end.is_err(),
            }
        };
        if fails {
            prop_assert_eq!(writer.shared.borrow().output.len(), fails_after);
        }
        writer.check_end(!fails);
    }
}

#[test]
fn a_write_of_no_bytes_is_a_failure() {
    let (mut link, _) = link(Role::Server, &[Step::Bytes(0)], SocketState::default());
    link.push(Message::Text("a".into()), 7).unwrap();
    let Poll::Ready(Err(error)) = link.poll_flush(&mut cx(), |_| unreachable!("nothing is written")) else {
        panic!("it waits for ever")
    };
    assert_eq!(error.kind(), ErrorKind::WriteZero);
    assert_eq!(link.outbox().tokens().collect::<Vec<_>>(), [&7]);
}
