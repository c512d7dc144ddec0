//! Tests of selecting and combining processors.

use super::*;
use crate::format_error::FormatErrorKind;

fn options(pairs: &[(&'static str, Value)]) -> Record {
    pairs.iter().map(|(key, value)| ((*key).into(), value.clone())).collect()
}

fn pulled(chain: &mut Preprocessors, message: &'static str) -> Vec<Result<Bytes, FormatError>> {
    chain.feed(Bytes::from_static(message.as_bytes()));
    std::iter::from_fn(|| chain.next()).collect()
}

/// A processor that refuses chunks that begin with `!`.
struct Picky(Option<Bytes>);

impl Preprocessor for Picky {
    fn feed(&mut self, chunk: Bytes, _ends_message: bool) {
        self.0 = Some(chunk);
    }

    fn next(&mut self) -> Option<Result<Bytes, FormatError>> {
        let chunk = self.0.take()?;
        Some(if chunk.starts_with(b"!") {
            Err(FormatError::new(FormatErrorKind::Malformed, "picky"))
        } else {
            Ok(chunk)
        })
    }

    fn finish(&mut self) {}

    fn abandon(&mut self) -> Option<FormatError> {
        None
    }

    fn held(&self) -> usize {
        self.0.as_ref().map_or(0, Bytes::len)
    }
}

impl Postprocessor for Picky {
    fn process(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), FormatError> {
        self.0 = Some(chunk);
        out.extend(self.next().transpose()?);
        Ok(())
    }
}

#[test]
fn a_processor_is_found_by_name_and_options() {
    let plain = Spec::Lines { buffered: false };
    assert_eq!(Spec::parse(Side::Pre, "lines", &Record::new()), Ok(plain.clone()));
    assert_eq!(Spec::parse(Side::Post, "lines", &Record::new()), Ok(plain.clone()));
    let buffered = options(&[("buffered", Value::Bool(true))]);
    assert_eq!(Spec::parse(Side::Pre, "lines", &buffered), Ok(Spec::Lines { buffered: true }));
    assert_eq!(plain.name(), "lines");
}

#[test]
fn an_unknown_processor_or_option_is_refused() {
    let refused = |side, name, pairs: &[_]| Spec::parse(side, name, &options(pairs)).unwrap_err().to_string();
    assert_eq!(refused(Side::Pre, "line", &[]), r#"no preprocessor is called "line"; there is "lines""#);
    assert_eq!(refused(Side::Post, "gzip", &[]), r#"no postprocessor is called "gzip"; there is "lines""#);
    assert_eq!(
        refused(Side::Pre, "lines", &[("bufered", Value::Bool(true))]),
        r#"lines has no option "bufered"; its options are "buffered""#
    );
    assert_eq!(
        refused(Side::Pre, "lines", &[("buffered", Value::Int(1))]),
        "buffered of lines takes true or false, not integer"
    );
    assert_eq!(
        refused(Side::Post, "lines", &[("buffered", Value::Bool(true))]),
        r#"lines takes the option "buffered" as a preprocessor only"#
    );
}

#[test]
fn without_processors_bytes_pass_unchanged() {
    let chunk = Bytes::from(b"a\nb".to_vec());
    let mut before = Preprocessors::new(&[]);
    before.feed(chunk.clone());
    assert_eq!(before.next().unwrap().unwrap().as_ptr(), chunk.as_ptr());
    assert!(before.next().is_none());
    before.feed(Bytes::new());
    assert_eq!(before.next(), Some(Ok(Bytes::new())), "an empty message is one chunk");
    let mut out = Vec::new();
    Postprocessors::new(&[]).process(chunk.clone(), &mut out).unwrap();
    assert_eq!(out[0].as_ptr(), chunk.as_ptr());
}

#[test]
fn each_preprocessor_feeds_the_next() {
    let specs = [Spec::Lines { buffered: true }, Spec::Lines { buffered: false }];
    let mut chain = Preprocessors::new(&specs);
    assert_eq!(pulled(&mut chain, "a\n\nb"), [Ok(Bytes::from("a")), Ok(Bytes::new())]);
    assert_eq!(pulled(&mut chain, "c\n"), [Ok(Bytes::from("bc"))]);
}

#[test]
fn an_error_keeps_its_place_between_the_chunks() {
    let mut chain = Preprocessors::new(&[Spec::Lines { buffered: false }]);
    chain.stages.push(Box::new(Picky(None)));
    chain.stages.push(Spec::Lines { buffered: false }.preprocessor());
    let picky = || Err(FormatError::new(FormatErrorKind::Malformed, "picky"));
    let expected = [Ok(Bytes::from("a")), picky(), picky(), Ok(Bytes::from("b"))];
    assert_eq!(pulled(&mut chain, "a\n!\n!\nb"), expected);
}

#[test]
fn each_postprocessor_feeds_the_next() {
    let twice = [Spec::Lines { buffered: false }, Spec::Lines { buffered: false }];
    let mut chain = Postprocessors::new(&twice);
    let mut out = vec![Bytes::from_static(b"before")];
    chain.process(Bytes::from_static(b"a"), &mut out).unwrap();
    assert_eq!(out, ["before", "a\n\n"]);
    chain.stages.insert(0, Box::new(Picky(None)));
    assert_eq!(chain.process(Bytes::from_static(b"!"), &mut out).unwrap_err().to_string(), "picky");
}

#[test]
fn incomplete_input_is_returned_when_the_peer_closes() {
    let specs = [Spec::Lines { buffered: true }, Spec::Lines { buffered: true }];
    let mut chain = Preprocessors::new(&specs);
    assert_eq!(pulled(&mut chain, "a\nb"), []);
    chain.finish();
    assert_eq!(chain.next(), Some(Ok(Bytes::from("ab"))));
    assert_eq!(chain.next(), None);
    assert_eq!(chain.abandon(), None);
}

#[test]
fn incomplete_input_is_an_error_when_the_connection_is_lost() {
    let mut chain = Preprocessors::new(&[Spec::Lines { buffered: true }]);
    assert_eq!(pulled(&mut chain, "a\nb"), [Ok(Bytes::from("a"))]);
    assert!(chain.abandon().is_some());
    assert_eq!((chain.abandon(), chain.next(), chain.held()), (None, None, 0));
}
