use super::*;

#[test]
fn an_event_of_which_nothing_was_written_can_be_sent_again() {
    let server: Arc<str> = "ws://h/".into();
    let failure = Failure::from(&LinkError::Eof);
    assert!(!failure.retryable, "the connection may have delivered events");
    for (written, retryable) in [(Written::Nothing, true), (Written::Partly, false), (Written::Whole, false)]
    {
        let of_event = failure.for_event(&server, written);
        assert_eq!((of_event.written, of_event.retryable), (written, retryable));
        assert_eq!((of_event.kind, of_event.server.as_ref()), (FailureKind::Socket, Some(&server)));
        assert!(!of_event.of_copies().retryable, "a copy may have been written");
    }
}

#[test]
fn a_message_that_fails_before_the_upstream_can_be_sent_again() {
    let error = || FormatError::new(FormatErrorKind::Malformed, "detail");
    for (failure, retryable) in [
        (Failure::decode(FailureLocation::Downstream, error()), true),
        (Failure::decode(FailureLocation::Upstream, error()), false),
        (Failure::encode(FailureLocation::Upstream, error()), true),
        (Failure::encode(FailureLocation::Downstream, error()), false),
        (Failure::program("detail", true), true),
        (Failure::program("detail", false), false),
        (Failure::rejected("", true), true),
        (Failure::rejected("", false), false),
        (Failure::rate_limited(Excess::Bytes), true),
        (Failure::lost(), false),
    ] {
        assert_eq!(failure.retryable, retryable, "{failure:?}");
    }
}

#[test]
fn what_says_no_more_than_that_there_is_no_connection_is_replaced() {
    let kept = |kind| Failure::connection(kind, "detail").while_down().kind == kind;
    for cause in [ConnectFailure::Refused, ConnectFailure::Reset] {
        assert!(!kept(FailureKind::Connect(cause)), "{cause:?}");
    }
    for cause in [
        ConnectFailure::Lookup,
        ConnectFailure::Socket,
        ConnectFailure::Local,
        ConnectFailure::Timeout,
        ConnectFailure::Handshake,
        ConnectFailure::Tls,
        ConnectFailure::Status(401),
    ] {
        assert!(kept(FailureKind::Connect(cause)), "{cause:?}");
    }
    for kind in [FailureKind::Socket, FailureKind::Closed(Some(1000)), FailureKind::Lost] {
        assert!(!kept(kind), "{kind:?}");
    }
}

#[test]
fn the_kind_of_a_connections_failure_names_the_party_at_fault() {
    let location = |kind| Failure::connection(kind, "").location;
    assert_eq!(location(FailureKind::Connect(ConnectFailure::Timeout)), FailureLocation::Upstream);
    assert_eq!(location(FailureKind::Connect(ConnectFailure::Local)), FailureLocation::Proxy);
    assert_eq!(location(FailureKind::NotAllowed), FailureLocation::Program);
    for error in [LivenessError::Silent, LivenessError::Idle, LivenessError::Dead, LivenessError::Blocked] {
        let kind = FailureKind::of_liveness(error, Duration::from_secs(1));
        assert_eq!(location(kind), FailureLocation::Upstream, "{error:?}");
    }
    let kind = FailureKind::of_liveness(LivenessError::HeldUp, Duration::ZERO);
    assert_eq!(location(kind), FailureLocation::Proxy, "the proxy has no memory");
}

#[test]
fn violations_of_limits_are_told_apart_from_those_of_the_protocol() {
    let kind = |error: WireError| Failure::from(&LinkError::from(error)).kind;
    assert_eq!(kind(WireError::MessageTooBig(9)), FailureKind::TooLarge);
    assert_eq!(kind(WireError::FrameTooBig(9)), FailureKind::TooLarge);
    assert_eq!(kind(WireError::Masked), FailureKind::Protocol);
    assert!(kind(WireError::Masked).loses_message() && kind(WireError::FrameTooBig(9)).loses_message());
    assert!(!FailureKind::Socket.loses_message());
}

#[test]
fn labels_are_distinct_and_without_numbers() {
    let second = Duration::from_secs(1);
    let kinds = [
        FailureKind::Decode(FormatErrorKind::NotUtf8),
        FailureKind::Decode(FormatErrorKind::Malformed),
        FailureKind::Decode(FormatErrorKind::TooLarge),
        FailureKind::Decode(FormatErrorKind::Truncated),
        FailureKind::Encode(FormatErrorKind::NotUtf8),
        FailureKind::RateLimited(Excess::Bytes),
        FailureKind::Gap(3),
        FailureKind::Program,
        FailureKind::Rejected,
        FailureKind::NotAllowed,
        FailureKind::NotConnected,
        FailureKind::Connect(ConnectFailure::Lookup),
        FailureKind::Connect(ConnectFailure::Refused),
        FailureKind::Connect(ConnectFailure::Reset),
        FailureKind::Connect(ConnectFailure::Socket),
        FailureKind::Connect(ConnectFailure::Local),
        FailureKind::Connect(ConnectFailure::Timeout),
        FailureKind::Connect(ConnectFailure::Handshake),
        FailureKind::Connect(ConnectFailure::Tls),
        FailureKind::Connect(ConnectFailure::Status(401)),
        FailureKind::Socket,
        FailureKind::Closed(Some(1000)),
        FailureKind::Protocol,
        FailureKind::TooLarge,
        FailureKind::Unresponsive,
        FailureKind::OutOfMemory,
        FailureKind::NoReply(second),
        FailureKind::NotRead(second),
        FailureKind::Recovery,
        FailureKind::Draining,
        FailureKind::Renewal,
        FailureKind::Outlived,
        FailureKind::Lost,
    ];
    assert_eq!(kinds.len(), FailureKind::LABELS.len());
    assert!(kinds.iter().all(|kind| FailureKind::LABELS.contains(&kind.label())));
    let mut labels: Vec<_> = kinds.iter().map(|kind| kind.label()).collect();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), kinds.len(), "{labels:?}");
    let is_plain = |label: &str| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    assert!(labels.into_iter().all(|label| is_plain(label.trim_end_matches("utf8"))));
}
