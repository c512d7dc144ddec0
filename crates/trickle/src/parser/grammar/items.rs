//! The rules that scripts and queries share: constants, functions, modules, `use`, and calls.

use crate::{
    ast::{
        Case, Constant, Expr, ExprKind, FunctionBody, FunctionDefinition, Item, ModuleDefinition, Name, Path,
        Pattern, Qualified, Root, Use,
    },
    diagnostic::Diagnostic,
    parser::cursor::{Parsed, Parser},
    token::{RESERVED, Token},
};

impl Parser<'_> {
    /// Parses a definition; `None` if the next token begins none.
    pub(in crate::parser) fn item(&mut self) -> Option<Parsed<Item>> {
        let parse = match self.peek() {
            Token::Word("const") => Self::constant,
            Token::Word("fn") => Self::function,
            Token::Word("mod") => Self::module,
            Token::Word("use") => Self::uses,
            Token::Word("intrinsic") => Self::intrinsic,
            _ => return None,
        };
        Some(self.nested(parse))
    }

    fn constant(&mut self) -> Parsed<Item> {
        self.advance();
        let name = self.name("a constant")?;
        self.expect("=")?;
        Ok(Item::Constant(Constant { name, value: self.expression()? }))
    }

    /// Reports `intrinsic`, by which the reference system declares its library.
    fn intrinsic(&mut self) -> Parsed<Item> {
        let error = Diagnostic::new(self.span(), "a program cannot declare functions of the library", "")
            .help("they are there without");
        Err(self.fail(error))
    }

    // --- functions ---

    fn function(&mut self) -> Parsed<Item> {
        let opener = self.at;
        self.advance();
        let name = self.name("a function")?;
        self.expect("(")?;
        let (params, open) = self.function_params()?;
        let body = if self.eat_word("with") {
            self.block(opener, |parser| Ok(parser.statements_until_end()))?.map(FunctionBody::Statements)
        } else if self.eat_word("of") {
            Some(FunctionBody::Cases(self.block(opener, |parser| parser.function_cases(params.len()))?))
        } else {
            return Err(self.no_beginning(&["with", "of"], opener));
        };
        Ok(Item::Function(FunctionDefinition { name, params, open, body }))
    }

    /// Parses the parameters of a function: `a, b)`, `a, ...)` or `...)`. Returns the names, and whether
    /// there is a `...`.
    fn function_params(&mut self) -> Parsed<(Vec<Name>, bool)> {
        let mut params: Vec<Name> = Vec::new();
        let mut open = false;
        while !self.is(")") {
            if self.eat("...") {
                open = true;
                break;
            }
            let name = self.name("an argument")?;
            if params.iter().any(|param| param.text == name.text) {
                let message = format!("there is already an argument `{}`", name.text);
                self.errors.push(Diagnostic::new(name.span, message, "defined again here"));
            }
            params.push(name);
            if !self.eat(",") {
                break;
            }
        }
        if !self.eat(")") {
            return Err(self.missing("`,`, `...` or `)`"));
        }
        Ok((params, open))
    }

    fn function_cases(&mut self, arity: usize) -> Parsed<Vec<Case>> {
        self.cases_of(|parser| parser.argument_patterns(arity))
    }

    /// Parses `(pattern, …)`: a tuple with a pattern for each argument. `_` alone matches any arguments.
    fn argument_patterns(&mut self, arity: usize) -> Parsed<Pattern> {
        if self.eat_word("_") {
            return Ok(Pattern::Any);
        }
        let start = self.span();
        self.expect("(")?;
        let items = self.patterns_until(")")?;
        if items.len() != arity {
            let message = format!("{} for {arity} arguments", count(items.len(), "pattern"));
            let span = start.to(self.last_span());
            self.errors.push(Diagnostic::new(span, message, "one pattern for each argument"));
        }
        Ok(Pattern::Tuple { items, open: false })
    }

    // --- modules ---

    fn module(&mut self) -> Parsed<Item> {
        let opener = self.at;
        self.advance();
        let name = self.name("a module")?;
        if !self.eat_word("with") {
            return Err(self.no_beginning(&["with"], opener));
        }
        let statements = self.block(opener, |parser| Ok(parser.statements_of_block()))?;
        Ok(Item::Module(ModuleDefinition { name, statements }))
    }

    /// Parses `use a::b [as c]` or `use a::{b, c as d}`.
    fn uses(&mut self) -> Parsed<Item> {
        self.advance();
        let mut names = vec![self.name("a module")?];
        while self.eat("::") {
            if self.eat("{") {
                return Ok(Item::Use(self.used_list(&names)?));
            }
            names.push(self.key("the name of a module, a function or a constant")?);
        }
        Ok(Item::Use(vec![self.used(names)?]))
    }

    fn used_list(&mut self, prefix: &[Name]) -> Parsed<Vec<Use>> {
        let mut uses = Vec::new();
        while !self.is("}") {
            let mut names = prefix.to_vec();
            names.push(self.key("the name of a module, a function or a constant")?);
            while self.eat("::") && !self.is("{") {
                names.push(self.key("the name of a module, a function or a constant")?);
            }
            if self.eat("{") {
                uses.extend(self.nested(|parser| parser.used_list(&names))?);
            } else {
                uses.push(self.used(names)?);
            }
            if !self.eat(",") {
                break;
            }
        }
        if !self.eat("}") {
            return Err(self.missing("`,` or `}`"));
        }
        Ok(uses)
    }

    fn used(&mut self, names: Vec<Name>) -> Parsed<Use> {
        let alias = if self.eat_word("as") { Some(self.name("a module")?) } else { None };
        Ok(Use { path: qualified(names), alias })
    }

    /// Parses a path, `a::b::c`. `what` describes it in errors.
    pub(in crate::parser) fn qualified_name(&mut self, what: &str) -> Parsed<Qualified> {
        let mut names = vec![self.name(what)?];
        while self.eat("::") {
            names.push(self.key(what)?);
        }
        Ok(qualified(names))
    }

    // --- calls ---

    /// Whether the next tokens are a name followed by `::` or `(`.
    pub(in crate::parser) fn is_qualified(&self) -> bool {
        let named = match self.peek() {
            Token::Word(word) => !RESERVED.contains(word),
            Token::Quoted(_) => true,
            _ => false,
        };
        named && matches!(self.peek_second(), Token::Symbol("::" | "("))
    }

    /// Parses a call, or the path of a constant in a module.
    pub(in crate::parser) fn qualified_expression(&mut self) -> Parsed<ExprKind> {
        let name = self.qualified_name("a function or a constant")?;
        if self.is("(") {
            let args = self.nested(Self::arguments)?;
            return Ok(ExprKind::Call { name, args });
        }
        let span = name.span;
        Ok(ExprKind::Path(Path::of(Root::Constant(name), span)))
    }

    pub(in crate::parser) fn recur(&mut self) -> Parsed<Expr> {
        let start = self.span();
        self.advance();
        let args = self.nested(Self::arguments)?;
        Ok(Expr { kind: ExprKind::Recur(args), span: start.to(self.last_span()) })
    }

    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.expect("(")?;
        let mut args = Vec::new();
        while !self.is(")") {
            args.push(self.expression()?);
            if !self.eat(",") {
                break;
            }
        }
        if !self.eat(")") {
            return Err(self.missing("`,` or `)`"));
        }
        Ok(args)
    }
}

fn qualified(names: Vec<Name>) -> Qualified {
    let (first, last) = (names[0].span, names[names.len() - 1].span);
    Qualified { names, span: first.to(last) }
}

/// A number and its noun: `1 pattern`, `2 patterns`.
fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
