//! The records that programs send to the port `journal`: classes of events, for the journal of the session.

use crate::{
    event::Event,
    recovery::{ClassError, ClientClass, UpstreamClass, check_class},
    trickle::Port,
};

/// Why an event fails because of what its program sends to port `journal`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalPortError {
    /// The message is not the class of an event.
    #[error("port `journal`: {0}")]
    Class(#[from] ClassError),
    /// There are several messages.
    #[error("port `journal` takes one message for an event")]
    Several,
    /// It is not clear which message of the event the class is about.
    #[error("port `journal` is about one message, and port `out` has several")]
    Ambiguous,
}

/// Takes the class of a client's event out of the outputs of a program.
///
/// # Errors
/// When the class is wrong, or it is not clear which message it is about.
pub fn client_class(outputs: &mut Vec<(Port, Event)>) -> Result<Option<Box<ClientClass>>, JournalPortError> {
    let Some(class) = taken(outputs)? else { return Ok(None) };
    let class = ClientClass::parse(&class.data.to_value())?;
    if outputs.iter().filter(|(port, _)| *port == Port::Out).count() > 1 {
        return Err(JournalPortError::Ambiguous);
    }
    Ok(Some(Box::new(class)))
}

/// Takes the class of an upstream's event out of the outputs of a program.
///
/// # Errors
/// When the class is wrong.
pub fn upstream_class(outputs: &mut Vec<(Port, Event)>) -> Result<Option<UpstreamClass>, JournalPortError> {
    let Some(class) = taken(outputs)? else { return Ok(None) };
    Ok(Some(UpstreamClass::parse(&class.data.to_value())?))
}

/// Checks the messages for port `journal` of either direction. `out` is the number of messages for port `out`.
///
/// # Errors
/// When there are several, when the only one is wrong, or when it is of a client's event with several messages.
pub fn check_journal<'a>(
    mut messages: impl Iterator<Item = &'a Event>,
    out: usize,
) -> Result<(), JournalPortError> {
    let Some(first) = messages.next() else { return Ok(()) };
    if messages.next().is_some() {
        return Err(JournalPortError::Several);
    }
    let class = first.data.to_value();
    check_class(&class)?;
    if out > 1 && ClientClass::parse(&class).is_ok() {
        return Err(JournalPortError::Ambiguous);
    }
    Ok(())
}

fn taken(outputs: &mut Vec<(Port, Event)>) -> Result<Option<Event>, JournalPortError> {
    let mut taken = outputs.extract_if(.., |(port, _)| *port == Port::Journal).map(|(_, event)| event);
    let first = taken.next();
    if taken.next().is_some() {
        return Err(JournalPortError::Several);
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Data, EventId, EventNumber, Meta, Value};

    fn outputs(ports: &[(Port, &str)]) -> Vec<(Port, Event)> {
        let id = EventId { source: 1, stream: 0, event: EventNumber(0) };
        let event = |text: &str| {
            let data = Data::Value(Value::from_json(text).unwrap());
            Event { id, data, meta: Meta::default(), origin: None, ingest_ns: 0 }
        };
        ports.iter().map(|(port, text)| (*port, event(text))).collect()
    }

    const OPEN: (Port, &str) = (Port::Journal, r#"{"kind":"open","id":7}"#);
    const DATA: (Port, &str) = (Port::Journal, r#"{"kind":"data","id":7}"#);

    #[test]
    fn the_class_leaves_the_outputs() {
        let mut all = outputs(&[(Port::Out, "1"), OPEN, (Port::Reply, "2")]);
        assert!(
            matches!(client_class(&mut all), Ok(Some(class)) if matches!(*class, ClientClass::Open { .. }))
        );
        assert_eq!(all.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [Port::Out, Port::Reply]);
        assert_eq!(client_class(&mut all), Ok(None));
        let mut all = outputs(&[DATA]);
        assert!(matches!(upstream_class(&mut all), Ok(Some(UpstreamClass::Data { .. }))));
        assert!(all.is_empty());
    }

    #[test]
    fn the_check_without_a_direction_finds_what_the_proxy_refuses() {
        let check = |ports: &[(Port, &str)]| {
            let outputs = outputs(ports);
            let of = |wanted| outputs.iter().filter(move |(port, _)| *port == wanted).map(|(_, event)| event);
            check_journal(of(Port::Journal), of(Port::Out).count())
        };
        let several = [(Port::Out, "1"), (Port::Out, "2")];
        assert_eq!(check(&[several[0], several[1], OPEN]), Err(JournalPortError::Ambiguous));
        assert_eq!(check(&[several[0], several[1], DATA]), Ok(()), "it is about the message that came");
        assert_eq!(check(&several), Ok(()));
        assert_eq!(check(&[several[0], OPEN]), Ok(()));
        assert_eq!(check(&[OPEN, OPEN]), Err(JournalPortError::Several));
    }

    #[test]
    fn a_class_that_is_wrong_or_ambiguous_is_an_error() {
        let error = |ports: &[_]| client_class(&mut outputs(ports)).unwrap_err();
        assert_eq!(error(&[(Port::Out, "1"), (Port::Out, "2"), OPEN]), JournalPortError::Ambiguous);
        assert_eq!(error(&[OPEN, OPEN]), JournalPortError::Several);
        let wrong = error(&[DATA]).to_string();
        assert!(wrong.starts_with("port `journal`: an incoming pipeline has no messages of the kind"));
        assert!(upstream_class(&mut outputs(&[OPEN])).is_err());
    }
}
