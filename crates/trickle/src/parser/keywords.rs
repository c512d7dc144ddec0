//! Lists of keywords, used by both the grammar and the advice.

/// Words that begin a statement of the query level, and occur nowhere else.
pub(super) const STATEMENTS: [&str; 3] = ["select", "create", "define"];

/// Words that begin a definition.
pub(super) const ITEMS: [&str; 5] = ["const", "fn", "intrinsic", "mod", "use"];

/// Words that open a block closed by `end`.
pub(super) const BLOCKS: [&str; 6] = ["match", "for", "patch", "merge", "fn", "mod"];

/// Words that begin an operation of a patch.
pub(super) const OPERATIONS: [&str; 8] =
    ["insert", "upsert", "update", "erase", "move", "copy", "merge", "default"];

/// Words that end a list of parameters.
pub(super) const AFTER_PARAMS: [&str; 7] = ["end", "with", "state", "script", "pipeline", "into", "from"];
