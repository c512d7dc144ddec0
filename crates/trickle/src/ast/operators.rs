//! Operators and their precedence.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnaryOp {
    Plus,
    Minus,
    /// `not`
    Not,
    /// `!`
    BitNot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinaryOp {
    Or,
    Xor,
    And,
    BitXor,
    BitAnd,
    Eq,
    NotEq,
    Gte,
    Gt,
    Lte,
    Lt,
    Shl,
    Shr,
    ShrUnsigned,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
}

// === impl BinaryOp ===

impl BinaryOp {
    /// The operator that a token stands for, with its binding power; `None` for other tokens.
    pub(crate) fn of(token: &str) -> Option<(Self, u8)> {
        Some(match token {
            "or" => (Self::Or, 1),
            "xor" => (Self::Xor, 2),
            "and" => (Self::And, 3),
            // 4 is reserved for `|`, which the reference parses but does not implement.
            "^" => (Self::BitXor, 5),
            "&" => (Self::BitAnd, 6),
            "==" => (Self::Eq, 7),
            "!=" => (Self::NotEq, 7),
            ">=" => (Self::Gte, 8),
            ">" => (Self::Gt, 8),
            "<=" => (Self::Lte, 8),
            "<" => (Self::Lt, 8),
            "<<" => (Self::Shl, 9),
            ">>" => (Self::Shr, 9),
            ">>>" => (Self::ShrUnsigned, 9),
            "+" => (Self::Add, 10),
            "-" => (Self::Sub, 10),
            "*" => (Self::Mul, 11),
            "/" => (Self::Div, 11),
            "%" => (Self::Mod, 11),
            _ => return None,
        })
    }

    /// The operators allowed in `into … use`, with their symbols.
    pub(crate) const FOLDING: [&str; 13] =
        ["or", "xor", "and", "^", "&", "<<", ">>", ">>>", "+", "-", "*", "/", "%"];

    /// The operator's symbol in programs.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::Xor => "xor",
            Self::And => "and",
            Self::BitXor => "^",
            Self::BitAnd => "&",
            Self::Eq => "==",
            Self::NotEq => "!=",
            Self::Gte => ">=",
            Self::Gt => ">",
            Self::Lte => "<=",
            Self::Lt => "<",
            Self::Shl => "<<",
            Self::Shr => ">>",
            Self::ShrUnsigned => ">>>",
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
        }
    }
}

// === impl UnaryOp ===

impl UnaryOp {
    /// The operator's symbol in programs.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Not => "not",
            Self::BitNot => "!",
        }
    }
}
