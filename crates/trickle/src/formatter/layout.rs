//! Line breaks and indentation.
//!
//! One pass over the lexemes, with a stack of open brackets and blocks. A bracket, a `merge` or a `select`
//! stays on one line if it fits; every other block has one line for each of its parts.

use super::{
    lexemes::{Lexeme, LexemeKind},
    measures::{Block, Measures, block, closes_bracket, is_field, keeps_break, opens_bracket, opens_pattern},
    spacing::{Inside, apart},
};

const INDENT: &str = "    ";

/// An open bracket or block.
#[derive(Debug)]
struct OpenBlock {
    part: Part,
    /// Indentation of the line with the opening lexeme.
    base: usize,
    /// Indentation of the lines inside the block.
    inner: usize,
    /// Whether the parts of the block are on separate lines; if false, the block is on one line.
    broken: bool,
    /// Index of the first lexeme of the current statement or item.
    start: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The statements of the whole text, a script, a function or a module.
    Statements,
    /// The head of a block, before its `of`, `with` or `script`.
    Head(Block),
    /// The pattern of a case, before its arrow.
    Pattern,
    /// The statements of a case, after its arrow.
    Body,
    /// The operations of a `patch`.
    Operations,
    /// The fields of a `merge`, up to its `end`.
    Merge,
    /// `into start use operator` of a `for`.
    Fold,
    /// `key = value` of a `with`.
    Params { of_define: bool },
    /// The initial state of a script.
    State,
    /// `from port` after the `script` of a definition.
    Port,
    /// A bracket.
    Bracket(&'static str),
}

struct Layout<'l, 's> {
    lexemes: &'l [Lexeme<'s>],
    measures: Measures,
    frames: Vec<OpenBlock>,
    out: String,
    /// Indentation of the current line.
    indent: usize,
}

/// Formats a whole text.
pub(super) fn layout(lexemes: &[Lexeme<'_>]) -> String {
    let top = OpenBlock { part: Part::Statements, base: 0, inner: 0, broken: true, start: 0 };
    let measures = Measures::new(lexemes);
    let mut layout = Layout { lexemes, measures, frames: vec![top], out: String::new(), indent: 0 };
    for at in 0..lexemes.len() {
        layout.lexeme(at);
    }
    let mut out = layout.out;
    out.truncate(out.trim_end().len());
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

// === impl Layout ===

impl<'l> Layout<'l, '_> {
    fn frame(&self) -> &OpenBlock {
        self.frames.last().expect("the outermost frame is never closed")
    }

    fn frame_mut(&mut self) -> &mut OpenBlock {
        self.frames.last_mut().expect("the outermost frame is never closed")
    }

    fn pop(&mut self) {
        if self.frames.len() > 1 {
            self.frames.pop();
        }
    }

    fn push(&mut self, part: Part, inner: usize, broken: bool, at: usize) {
        self.frames.push(OpenBlock { part, base: self.indent, inner, broken, start: at + 1 });
    }

    fn before(&self, at: usize) -> Option<&'l Lexeme<'_>> {
        at.checked_sub(1).map(|at| &self.lexemes[at])
    }

    fn column(&self) -> usize {
        self.out.rsplit('\n').next().unwrap_or("").chars().count()
    }

    /// Writes one lexeme with the comments and white space before it.
    fn lexeme(&mut self, at: usize) {
        let line = self.line_before(at);
        self.separate(at, line);
        self.out.push_str(self.lexemes[at].text);
        self.open(at);
    }

    // --- before a lexeme ---

    /// The indentation of the lexeme, if it begins a line. Pops the blocks that the lexeme closes.
    fn line_before(&mut self, at: usize) -> Option<usize> {
        let lexeme = &self.lexemes[at];
        let first_of_item = self.frame().start == at;
        match self.frame().part {
            Part::Bracket(closing) if lexeme.is(closing) => {
                let OpenBlock { base, broken, .. } = *self.frame();
                let empty = first_of_item && !lexeme.has_comments();
                self.pop();
                return (broken && !empty).then_some(base);
            }
            _ if lexeme.is_keyword("end") => return self.end(at),
            _ => {}
        }
        if let Some(line) = self.part_begins(at) {
            return Some(line);
        }
        let OpenBlock { broken, inner, start, .. } = *self.frame();
        if broken && at == start && at > 0 {
            return Some(inner);
        }
        keeps_break(lexeme).then_some(inner + 1)
    }

    /// The indentation of an `end`, which closes a block or only its `with`; `None` if it stays on the line.
    fn end(&mut self, at: usize) -> Option<usize> {
        if self.frame().part == Part::Body {
            self.pop();
        }
        let OpenBlock { part, base, broken, .. } = *self.frame();
        let goes_on = self.lexemes.get(at + 1).is_some_and(|next| {
            matches!(next.text, "script" | "pipeline" | "state") && next.kind == LexemeKind::Name
        });
        if part == (Part::Params { of_define: true }) && goes_on {
            let frame = self.frame_mut();
            frame.part = Part::Head(Block::Define);
            frame.inner = base;
        } else {
            self.pop();
        }
        broken.then_some(base)
    }

    /// The indentation of a word that begins a part of a block or statement; `None` if it stays on the line.
    fn part_begins(&mut self, at: usize) -> Option<usize> {
        let lexeme = &self.lexemes[at];
        if matches!(self.frame().part, Part::Pattern | Part::Body)
            && (lexeme.is_keyword("case") || lexeme.is_keyword("default"))
            && !is_field(self.lexemes, at)
        {
            if self.frame().part == Part::Body {
                self.pop();
            }
            self.frame_mut().part = Part::Pattern;
            return Some(self.frame().base + 1);
        }
        if matches!(self.frame().part, Part::Pattern | Part::Body)
            && lexeme.is_keyword("into")
            && !is_field(self.lexemes, at)
        {
            if self.frame().part == Part::Body {
                self.pop();
            }
            self.frame_mut().part = Part::Fold;
            return Some(self.frame().base);
        }
        let OpenBlock { part, base, inner, start, .. } = *self.frame();
        if part == Part::Statements && self.separates(at) {
            let frame = self.frame_mut();
            frame.part = Part::Head(Block::Define);
            frame.start = 0;
            return Some(base);
        }
        let clause = matches!(lexeme.text, "from" | "where" | "group" | "into" | "having");
        if part == Part::Statements
            && clause
            && lexeme.kind == LexemeKind::Keyword
            && self.lexemes[start].is_keyword("select")
        {
            let end = self.end_of_statement(start);
            return (!self.measures.fits(start, end, inner * INDENT.len())).then_some(inner);
        }
        let begins = match part {
            Part::Head(Block::Define) => {
                let word = matches!(lexeme.text, "args" | "script" | "pipeline" | "state");
                lexeme.is_keyword("with") || word && at > start + 1
            }
            Part::Params { of_define: true } => {
                matches!(lexeme.text, "script" | "pipeline" | "state") && at > start
            }
            Part::State => lexeme.text == "script" && at > start,
            _ => false,
        };
        let named = self.lexemes.get(at + 1).is_some_and(|next| next.is("="));
        let member =
            self.before(at).is_some_and(|before| matches!(before.text, "::" | "." | "=" | "," | "("));
        if begins && !named && !member {
            let frame = self.frame_mut();
            frame.part = Part::Head(Block::Define);
            frame.start = 0;
            return Some(base);
        }
        None
    }

    /// Whether a lexeme is the `script` that separates the blocks of a script's ports.
    fn separates(&self, at: usize) -> bool {
        let named = |lexeme: &Lexeme<'_>| matches!(lexeme.text, "create" | "define" | "/" | "." | "::");
        self.lexemes[at].text == "script"
            && self.lexemes[at].kind == LexemeKind::Name
            && self.lexemes.get(at + 1).is_some_and(|next| !next.is("=") && !next.is("::"))
            && self.frames.len() > 1
            && self.before(at).is_some_and(|before| !named(before))
    }

    /// The index after the last lexeme of the statement that begins at `start`.
    fn end_of_statement(&self, start: usize) -> usize {
        let mut at = start;
        while at < self.lexemes.len() {
            let closing = self.measures.closing[at];
            match &self.lexemes[at] {
                lexeme if lexeme.is(";") => return at + 1,
                lexeme if lexeme.kind == LexemeKind::End => return at,
                lexeme if lexeme.is_keyword("end") && !self.creates() => return at,
                _ if closing != usize::MAX => at = closing + 1,
                _ => at += 1,
            }
        }
        self.lexemes.len()
    }

    // --- white space and comments ---

    fn separate(&mut self, at: usize, line: Option<usize>) {
        let lexeme = &self.lexemes[at];
        if let Some(comment) = lexeme.trailing {
            if at > 0 {
                self.out.push(' ');
            }
            self.out.push_str(comment);
        }
        let closes = closes_bracket(lexeme) || lexeme.is_keyword("end");
        let indent = match line {
            Some(indent) => Some(indent),
            None if at == 0 && lexeme.has_comments() => Some(0),
            None if lexeme.has_comments() => Some(self.frame().inner + 1),
            None => None,
        };
        let Some(indent) = indent else {
            if at > 0 && self.stands_apart(at) {
                self.out.push(' ');
            }
            return;
        };
        // Comments before a closing word have the indentation of the block.
        let comment_indent = if closes && line.is_some() { indent + 1 } else { indent };
        for comment in &lexeme.comments {
            self.break_line(comment_indent, comment.blank);
            self.out.push_str(comment.text);
        }
        self.break_line(indent, lexeme.blank && !closes);
        self.indent = indent;
    }

    fn break_line(&mut self, indent: usize, blank: bool) {
        let opened = self.out.ends_with(['(', '[', '{']) || self.out.is_empty();
        self.out.truncate(self.out.trim_end_matches(' ').len());
        if !self.out.is_empty() {
            self.out.push('\n');
            if blank && !opened {
                self.out.push('\n');
            }
        }
        self.out.push_str(&INDENT.repeat(indent));
    }

    fn stands_apart(&self, at: usize) -> bool {
        let (left, right) = (&self.lexemes[at - 1], &self.lexemes[at]);
        // Patterns are written `%{ a }`, `%[ a ]`, `%( a )`.
        if opens_pattern(left) {
            return !closes_bracket(right);
        }
        if closes_bracket(right) && right.text != ">>" {
            return self.lexemes.get(self.measures.opening[at]).is_some_and(opens_pattern);
        }
        let port = |at: usize| {
            at >= 2
                && self.lexemes[at].is("/")
                && self.lexemes[at - 2].kind == LexemeKind::Keyword
                && matches!(self.lexemes[at - 2].text, "from" | "into")
                && self.frame().part == Part::Statements
        };
        if port(at) || port(at - 1) {
            return false;
        }
        let inside = match self.frame().part {
            Part::Bracket("]") => Inside::Subscript,
            Part::Bracket(">>") => Inside::Binary,
            _ => Inside::Other,
        };
        apart(at.checked_sub(2).map(|at| &self.lexemes[at]), left, right, inside)
    }

    // --- after a lexeme ---

    /// Pushes the block or bracket that the lexeme opens, and marks the start of the next item.
    fn open(&mut self, at: usize) {
        let lexeme = &self.lexemes[at];
        if let Some(closing) = opens_bracket(self.lexemes, at) {
            let fits = self.bracket_fits(at);
            let broken = !fits && closing != ">>";
            let inner = if broken { self.indent + 1 } else { self.frame().inner };
            return self.push(Part::Bracket(closing), inner, broken, at);
        }
        if let Some(block) = block(self.lexemes, at) {
            let fits = block == Block::Merge && self.bracket_fits(at);
            // The head of a case needs no frame.
            let inner = self.indent;
            self.frames.push(OpenBlock {
                part: Part::Head(block),
                base: self.indent,
                inner,
                broken: !fits,
                start: usize::MAX,
            });
            if block == Block::Define {
                self.frame_mut().start = at + 1;
                self.frame_mut().broken = false;
            }
            return;
        }
        self.item(at, lexeme);
    }

    /// Whether the contents of a bracket or a `merge` fit on the current line, with the adjacent lexemes
    /// after it.
    fn bracket_fits(&self, at: usize) -> bool {
        if !self.frame().broken && matches!(self.frame().part, Part::Bracket(_) | Part::Merge) {
            return true;
        }
        let closing = self.measures.closing[at];
        if closing == usize::MAX {
            return true;
        }
        let mut end = closing + 1;
        while self.lexemes.get(end).is_some_and(|l| l.is(",") || l.is(";") || closes_bracket(l)) {
            end += 1;
        }
        self.measures.fits(at, end, self.column() - self.lexemes[at].text.chars().count())
    }

    fn item(&mut self, at: usize, lexeme: &Lexeme<'_>) {
        let OpenBlock { part, base, .. } = *self.frame();
        let next = |frame: &mut OpenBlock, part: Part, inner: usize, broken: bool| {
            frame.part = part;
            frame.inner = inner;
            frame.broken = broken;
            frame.start = at + 1;
        };
        match part {
            Part::Head(block) => self.head(at, lexeme, block),
            // The second word is the name of the port.
            Part::Port if at > self.frame().start => next(self.frame_mut(), Part::Statements, base + 1, true),
            Part::Pattern if lexeme.is("=>") => {
                let several = self.has_several(at + 1);
                self.frame_mut().inner = base + 1;
                self.frames.push(OpenBlock {
                    part: Part::Body,
                    base,
                    inner: if several { base + 2 } else { base + 1 },
                    broken: several,
                    start: at + 1,
                });
            }
            Part::Statements | Part::Operations if lexeme.is(";") || lexeme.kind == LexemeKind::Config => {
                self.frame_mut().start = at + 1;
            }
            Part::Body if lexeme.is(";") => {
                let frame = self.frame_mut();
                let inner = frame.inner;
                next(frame, Part::Body, inner, true);
            }
            Part::Statements if lexeme.is_keyword("with") && self.creates() => {
                let OpenBlock { start, inner, .. } = *self.frame();
                let end = self.end_of_statement(start);
                let broken = !self.measures.fits(start, end, inner * INDENT.len());
                self.push(Part::Params { of_define: false }, self.indent + 1, broken, at);
            }
            Part::Params { .. } | Part::Bracket(_) if lexeme.is(",") => self.frame_mut().start = at + 1,
            _ => {}
        }
    }

    fn creates(&self) -> bool {
        self.lexemes[self.frame().start].is_keyword("create")
    }

    /// If the lexeme is a word such as `of` or `with` that ends the head of a block, begins the next part of the block.
    fn head(&mut self, at: usize, lexeme: &Lexeme<'_>, block: Block) {
        let from = self.lexemes.get(at + 1).is_some_and(|next| next.is_keyword("from"));
        let frame = self.frames.last_mut().expect("the outermost frame is never closed");
        let part = match (block, lexeme.text) {
            (Block::Match | Block::For | Block::Fn, "of") => Part::Pattern,
            (Block::Patch, "of") => Part::Operations,
            (Block::Merge, "of") => Part::Merge,
            (Block::Fn | Block::Mod, "with") => Part::Statements,
            (Block::Define, "with" | "args") if lexeme.kind != LexemeKind::Name || lexeme.text == "args" => {
                Part::Params { of_define: true }
            }
            (Block::Define, "state") if at > frame.start + 1 => Part::State,
            (Block::Define, "script") if at > frame.start + 1 && from => Part::Port,
            (Block::Define, "script" | "pipeline") if at > frame.start + 1 => Part::Statements,
            _ => return,
        };
        let broken = part != Part::Port && (block != Block::Merge || frame.broken);
        frame.part = part;
        frame.inner = if broken { frame.base + 1 } else { frame.inner };
        frame.broken = broken;
        frame.start = at + 1;
    }

    /// Whether the case at `from` has several statements.
    fn has_several(&self, from: usize) -> bool {
        let mut at = from;
        loop {
            let closing = self.measures.closing[at];
            let lexeme = &self.lexemes[at];
            let next = self.lexemes.get(at + 1);
            let ends = |l: &Lexeme<'_>| {
                l.kind == LexemeKind::Keyword && matches!(l.text, "case" | "default" | "into" | "end")
            };
            if lexeme.is(";") {
                return !next.is_some_and(ends);
            }
            if ends(lexeme) || lexeme.kind == LexemeKind::End {
                return false;
            }
            at = if closing == usize::MAX { at + 1 } else { closing + 1 };
        }
    }
}
