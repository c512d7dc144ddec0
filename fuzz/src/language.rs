//! Fuzzes compiling a program, and running it over events.
//!
//! An input is a program. Lines of the form `#< JSON`, which are comments of the language, are events.
//! Without any, there are a few default events.

use towline::{
    event::{Data, Event, EventId, EventNumber, Meta},
    trickle::{Instance, Port, Program},
};

/// The events for programs without any.
const EVENTS: [&str; 4] = [r#""text""#, r#"{"a":1,"b":[true,null,{"c":"d"}],"x":0.5}"#, "[1,2,3]", "-7"];

/// Maximum number of messages that one event may produce, the limit of the language.
const MESSAGES_MAX: usize = 4096;

/// A text is refused with an error that has a position in the text, or compiles to a program that gives every
/// event an outcome, the same each time.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Program::compile("fuzz", text) {
        Err(errors) => {
            assert!(errors.len() > 0 && !errors.to_string().is_empty());
            for place in errors.positions() {
                let line = text.split('\n').nth(place.line - 1).expect("the line is there");
                assert!(place.column <= line.chars().count() + 1, "{errors}");
            }
        }
        Ok(program) => run_over(&program, &events(text)),
    }
}

fn events(text: &str) -> Vec<Event> {
    let own = text.lines().filter_map(|line| Data::json(line.strip_prefix("#< ")?.into()).ok());
    let mut events: Vec<_> = own.map(event).collect();
    if events.is_empty() {
        events.extend(EVENTS.iter().filter_map(|text| Data::json((*text).into()).ok()).map(event));
    }
    events
}

fn event(data: Data) -> Event {
    let id = EventId { source: 1, stream: 2, event: EventNumber(3) };
    Event { id, data, meta: Meta::new(true, None), origin: None, ingest_ns: 4 }
}

fn run_over(program: &Program, events: &[Event]) {
    let (mut one, mut other) = (program.instance(), program.instance());
    for event in events {
        assert_eq!(outcome(&mut one, event), outcome(&mut other, event));
    }
}

/// The outputs for an event, or the error.
fn outcome(instance: &mut Instance, event: &Event) -> Result<Vec<(Port, String)>, String> {
    let mut outputs = vec![(Port::Err, event.clone())];
    if let Err(error) = instance.run(event.clone(), 0, &mut outputs) {
        assert_eq!(outputs.len(), 1, "a failed event leaves no output");
        assert!(error.highlighted().contains('^'));
        return Err(error.to_string());
    }
    assert!(outputs.len() <= 1 + MESSAGES_MAX);
    let outputs = outputs.into_iter().skip(1).map(|(port, out)| {
        assert_eq!((out.id, out.ingest_ns), (event.id, event.ingest_ns));
        let text = out.data.to_value().to_json();
        Data::json(text.clone().into()).expect("the output can be written and parsed");
        (port, text)
    });
    Ok(outputs.collect())
}
