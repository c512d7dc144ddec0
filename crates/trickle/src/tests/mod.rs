//! Tests of whole programs: text and JSON in, JSON out.

mod bounds;
mod edits;
mod expressions;
mod functions;
mod graph;
mod loops;
mod messages;
mod modules;
mod pipelines;
mod properties;
mod scripts;

use super::{Diagnostics, Instance, Port, Program, RuntimeError};
use towline_event::{Data, Event, EventId, EventNumber, Meta, Value};

fn program(text: &str) -> Program {
    Program::compile("test", text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(text: &str) -> Diagnostics {
    match Program::compile("test", text) {
        Ok(_) => panic!("no error in {text}"),
        Err(errors) => errors,
    }
}

/// The errors of a program, or the warnings of one that runs.
fn findings(text: &str) -> Diagnostics {
    match Program::compile("test", text) {
        Ok(program) => program.warnings().unwrap_or_else(|| panic!("no warning in {text}")).clone(),
        Err(errors) => errors,
    }
}

/// The message of the only warning of a program that runs.
fn warning(text: &str) -> String {
    let warnings = findings(text);
    assert!(program(text).warnings().is_some_and(|warnings| warnings.len() == 1), "{warnings}");
    assert!(warnings.to_string().starts_with("warning: "), "{warnings}");
    warnings.messages().next().unwrap_or_default().to_owned()
}

#[test]
fn programs_are_shared_and_instances_move() {
    fn shared<T: Send + Sync>() {}
    fn moves<T: Send>() {}
    shared::<Program>();
    moves::<Instance>();
    assert!(size_of::<Instance>() <= 24);
}

/// The message of the only error of a program.
fn error(text: &str) -> String {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors}");
    errors.messages().next().unwrap_or_default().to_owned()
}

fn event(json: &str) -> Event {
    let data = Data::json(json.into()).unwrap_or_else(|error| panic!("{json}: {error}"));
    Event {
        id: EventId { source: 1, stream: 2, event: EventNumber(3) },
        data,
        meta: Meta::default(),
        origin: None,
        ingest_ns: 4,
    }
}

fn try_feed(instance: &mut Instance, event: Event) -> Result<Vec<(Port, Event)>, RuntimeError> {
    let mut outputs = Vec::new();
    instance.run(event, 5, &mut outputs)?;
    for (_, output) in &outputs {
        assert_eq!(
            (output.id, output.ingest_ns),
            (EventId { source: 1, stream: 2, event: EventNumber(3) }, 4)
        );
    }
    Ok(outputs)
}

fn show(outputs: &[(Port, Event)]) -> String {
    let lines = outputs.iter().map(|(port, event)| {
        let port = match port {
            Port::Out => String::new(),
            port => format!("{}: ", port.name()),
        };
        format!("{port}{}", event.data.to_value().to_json())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Runs a program over one event; returns the outputs, one per line, or the error.
fn run(text: &str, json: &str) -> String {
    match try_feed(&mut program(text).instance(), event(json)) {
        Ok(outputs) => show(&outputs),
        Err(error) => format!("error: {error}"),
    }
}

/// Runs a script over one event.
fn script(body: &str, json: &str) -> String {
    run(&scripted(body), json)
}

/// A program with one script, between `in` and `out`.
fn scripted(body: &str) -> String {
    format!(
        "define script s script {body} end; create script s; select event from in into s; select event from s into out;"
    )
}

/// The value of an expression that cannot be folded, as JSON, or the message of its error.
fn value(expr: &str, json: &str) -> String {
    let text = format!("select {expr} from in into out;");
    match try_feed(&mut program(&text).instance(), event(json)) {
        Ok(outputs) => show(&outputs),
        Err(error) => error.message().to_owned(),
    }
}

/// The value of a constant expression, or the message of its error. Checks that the value is the same when
/// the expression is not folded.
fn constant(expr: &str) -> String {
    let text = format!("select {expr} from in into out;");
    match Program::compile("test", &text) {
        Ok(program) => show(&try_feed(&mut program.instance(), event("null")).unwrap()),
        Err(errors) => errors.messages().collect::<Vec<_>>().join("; "),
    }
}

fn with_meta(json: &str, meta: Value) -> Event {
    Event { meta: Meta::from_value(meta).unwrap(), ..event(json) }
}
