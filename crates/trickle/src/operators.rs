//! The built-in operators of the query level, each implemented as a script.

/// The name and the definition of each built-in operator.
pub(crate) const OPERATORS: [(&str, &str); 2] = [
    ("passthrough", "define script passthrough script event end"),
    (
        "generic::counter",
        "define script counter script
           match state of case null => let state = 1 case _ => let state = state + 1 end;
           {\"count\": state, \"event\": event}
         end",
    ),
];
