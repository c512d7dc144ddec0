//! Determines which parts of an event a program reads, and parses only those parts of a JSON text.
//!
//! # Correctness
//! Parsing a part gives the same values at its paths as a full parse: the last of duplicate keys counts.
//! Where a path leads into a value that is not a record, the part has that value. A program that follows only
//! these paths therefore cannot observe the difference.

use bytestring::ByteString;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::code::{
    CaseOp, FieldTestOp, KeyOp, Op, OperationKindOp, PathOp, PatternOp, PieceOp, Root, Step, StepKind,
};
use towline_event::{JsonText, Record, Small, Value, visit_scalars};

/// Maximum number of keys of a path that are distinguished; at this depth, the whole value is read. The tree
/// is walked recursively, and a path may have as many steps as fit in a program text.
const DEPTH_MAX: usize = 16;

/// The paths of keys that a program reads from the event, as a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// Whether the program reads the whole value at this path, not only some of its keys.
    whole: bool,
    keys: Vec<(ByteString, Reads)>,
}

impl Reads {
    /// The reads of a program that reads the whole event.
    pub(crate) fn whole() -> Self {
        Self { whole: true, keys: Vec::new() }
    }

    /// Whether the program reads the whole event.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Adds the paths that an expression reads.
    pub(crate) fn add(&mut self, op: &Op) {
        if self.whole {
            return;
        }
        match op {
            Op::Const(_) => {}
            Op::Path(path) | Op::Presence { path, .. } => self.add_path(path),
            Op::Text(text) => self.add_text(&text.pieces),
            Op::Array(items) => items.iter().for_each(|item| self.add(item)),
            Op::Record(fields) => fields.iter().for_each(|field| {
                self.add_key(&field.key);
                self.add(&field.value);
            }),
            Op::Unary { operand, .. } => self.add(operand),
            Op::Chain(chain) => {
                self.add(&chain.first);
                chain.rest.iter().for_each(|link| self.add(&link.operand));
            }
            Op::Logic(logic) => logic.operands.iter().for_each(|(operand, _)| self.add(operand)),
            Op::Match(match_op) => {
                self.add(&match_op.subject);
                match_op.cases.iter().for_each(|case| self.add_case(case));
            }
            Op::For(for_op) => {
                self.add(&for_op.subject);
                for_op.fold.iter().for_each(|fold| self.add(&fold.start));
                for case in &for_op.cases {
                    case.guard.iter().for_each(|(guard, _)| self.add(guard));
                    case.body.iter().for_each(|op| self.add(op));
                }
            }
            Op::Patch(patch) => {
                self.add(&patch.subject);
                patch.operations.iter().for_each(|operation| self.add_operation(&operation.kind));
            }
            Op::Merge(merge) => {
                self.add(&merge.subject.0);
                self.add(&merge.spec.0);
            }
            // A function reads nothing but its arguments.
            Op::Call(call) => call.args.iter().for_each(|arg| self.add(arg)),
            Op::Bytes(bytes) => bytes.parts.iter().for_each(|part| self.add(&part.value)),
        }
    }

    /// Adds the paths that the target of a select reads. A patch of the whole event, or a merge into it, changes the
    /// event's text, and reads what its operations read (`eval::patch::edit`).
    pub(crate) fn add_target(&mut self, op: &Op) {
        match op {
            Op::Patch(patch) if patch.subject.is_event() => {
                patch.operations.iter().for_each(|operation| self.add_operation(&operation.kind));
            }
            Op::Merge(merge) if merge.subject.0.is_event() => self.add(&merge.spec.0),
            other => self.add(other),
        }
    }

    fn add_path(&mut self, path: &PathOp) {
        match &path.root {
            Root::Event => self.add_keys(&path.steps),
            Root::Value(op) => self.add(op),
            Root::Meta | Root::MetaKey(_) | Root::State | Root::Local(_) => {}
        }
        for step in &path.steps {
            match &step.kind {
                StepKind::Key(_) => {}
                StepKind::Index(op) => self.add(op),
                StepKind::Range(from, to) => {
                    self.add(from);
                    self.add(to);
                }
            }
        }
    }

    /// Adds a path up to its first step that is not a key, but at most [`DEPTH_MAX`] keys.
    fn add_keys(&mut self, steps: &[Step]) {
        let mut at = self;
        for step in steps.iter().take(DEPTH_MAX) {
            let StepKind::Key(key) = &step.kind else { break };
            if at.whole {
                return;
            }
            let index = match at.keys.iter().position(|(known, _)| known == key) {
                Some(index) => index,
                None => {
                    at.keys.push((key.clone(), Self::default()));
                    at.keys.len() - 1
                }
            };
            at = &mut at.keys[index].1;
        }
        *at = Self::whole();
    }

    fn add_text(&mut self, pieces: &[PieceOp]) {
        for piece in pieces {
            match piece {
                PieceOp::Literal(_) => {}
                PieceOp::Code(op) => self.add(op),
            }
        }
    }

    fn add_key(&mut self, key: &KeyOp) {
        match key {
            KeyOp::Const(_) => {}
            KeyOp::Text(text) => self.add_text(&text.pieces),
            KeyOp::Value(op, _) => self.add(op),
        }
    }

    fn add_case(&mut self, case: &CaseOp<Op>) {
        self.add_pattern(&case.pattern);
        case.guard.iter().for_each(|(guard, _)| self.add(guard));
        case.body.iter().for_each(|op| self.add(op));
    }

    fn add_pattern(&mut self, pattern: &PatternOp) {
        match pattern {
            PatternOp::Any | PatternOp::Extract(..) => {}
            PatternOp::Equals(op) => self.add(op),
            PatternOp::Record(fields) => fields.iter().for_each(|field| match &field.test {
                FieldTestOp::Present | FieldTestOp::Absent => {}
                FieldTestOp::Compare(_, _, op) => self.add(op),
                FieldTestOp::Matches(pattern) => self.add_pattern(pattern),
            }),
            PatternOp::Array(items) | PatternOp::Tuple { items, .. } => {
                items.iter().for_each(|item| self.add_pattern(item));
            }
        }
    }

    fn add_operation(&mut self, operation: &OperationKindOp) {
        match operation {
            OperationKindOp::Insert(key, op)
            | OperationKindOp::Upsert(key, op)
            | OperationKindOp::Update(key, op)
            | OperationKindOp::Merge(key, op)
            | OperationKindOp::Default(key, op) => {
                self.add_key(key);
                self.add(op);
            }
            OperationKindOp::Erase(key) => self.add_key(key),
            OperationKindOp::Move(from, to) | OperationKindOp::Copy(from, to) => {
                self.add_key(from);
                self.add_key(to);
            }
            OperationKindOp::MergeAll(op) | OperationKindOp::DefaultAll(op) => self.add(op),
        }
    }

    // --- reading ---

    /// Parses the part of a JSON text that these paths lead to. `None` if a number in the part may be beyond 64 bits.
    pub(crate) fn part_of(&self, json: &JsonText) -> Option<Value> {
        let find = if self.whole { None } else { json.finder() };
        let Some(find) = find else { return self.part_of_text(json.as_text()) };
        let mut record = Record::with_capacity(self.keys.len());
        for (key, reads) in &self.keys {
            if let Some(value) = find(key) {
                record.insert(key.clone(), reads.part_of_text(value)?);
            }
        }
        Some(Value::Record(std::sync::Arc::new(record)))
    }

    /// The same for a text whose fields are not known.
    fn part_of_text(&self, json: &str) -> Option<Value> {
        self.deserialize(&mut serde_json::Deserializer::from_str(json)).ok()
    }
}

impl<'de> DeserializeSeed<'de> for &Reads {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.whole { Small.deserialize(deserializer) } else { deserializer.deserialize_any(self) }
    }
}

impl<'de> Visitor<'de> for &Reads {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    visit_scalars!();

    /// The paths consist of keys, and an array has no keys, so the elements are skipped: an empty array
    /// represents any array.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::array(Vec::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut record = Record::with_capacity(self.keys.len());
        while let Some(index) = map.next_key_seed(Wanted(self))? {
            match index.and_then(|index| self.keys.get(index)) {
                Some((key, reads)) => {
                    record.insert(key.clone(), map.next_value_seed(reads)?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Record(std::sync::Arc::new(record)))
    }
}

/// Deserializes a key to its index among the wanted keys; `None` for all other keys.
struct Wanted<'r>(&'r Reads);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.keys.iter().position(|(known, _)| *known == key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(paths: &[&[&str]]) -> Reads {
        let mut reads = Reads::default();
        for path in paths {
            let step = |key: &&str| Step {
                kind: StepKind::Key((*key).into()),
                span: crate::source::Span { start: 0, end: 0 },
            };
            reads.add_keys(&path.iter().map(step).collect::<Vec<_>>());
        }
        reads
    }

    #[test]
    fn only_the_paths_are_parsed() {
        let part = |paths: &[&[&str]], json: &str| reads(paths).part_of_text(json).unwrap().to_json();
        let json = r#"{"b":{"c":[1],"d":2},"a":1,"a":{"x":[3]},"z":0}"#;
        assert_eq!(part(&[&["a"]], json), r#"{"a":{"x":[3]}}"#);
        assert_eq!(part(&[&["b", "d"]], json), r#"{"b":{"d":2}}"#);
        assert_eq!(part(&[&["b", "d"], &["b"]], json), r#"{"b":{"c":[1],"d":2}}"#);
        assert_eq!(part(&[&["b"], &["b", "d"], &["n"]], json), r#"{"b":{"c":[1],"d":2}}"#);
        assert_eq!(part(&[&["a", "x", "y"]], json), r#"{"a":{"x":[]}}"#);
        assert_eq!(part(&[&["z", "y"]], json), r#"{"z":0}"#);
        assert_eq!(part(&[&["a"]], r#"{"\u0061":7}"#), r#"{"a":7}"#);
        assert_eq!(part(&[&["a"]], "[1,2]"), "[]");
        assert_eq!(part(&[&[]], "[1,2]"), "[1,2]");
    }
}
