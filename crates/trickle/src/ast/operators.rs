//! Operators, and how tightly they bind.

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
    /// The operator a token stands for, with how tightly it binds.
    pub(crate) fn of(token: &str) -> Option<(Self, u8)> {
        Some(match token {
            "or" => (Self::Or, 1),
            "xor" => (Self::Xor, 2),
            "and" => (Self::And, 3),
            // 4 is kept for `|`, which the reference has in its grammar only.
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

    /// Those that put the results of a loop together, with their signs.
    pub(crate) const FOLDING: [&str; 13] =
        ["or", "xor", "and", "^", "&", "<<", ">>", ">>>", "+", "-", "*", "/", "%"];

    /// How programs write it.
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
    /// How programs write it.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Not => "not",
            Self::BitNot => "!",
        }
    }
}
