//! Creates nodes from the definitions of scripts, operators and pipelines.

use std::collections::HashSet;

use super::{
    Destination, ScriptNode, check,
    names::{Level, StreamKind},
    nodes::{Builder, Draft, Placing},
};
use crate::{
    ast::{Create, DefineOperator, DefinePipeline, DefineScript, Name, Param, Script},
    compile::{
        Args, Compiler, EmittedPort, ExprContext,
        scope::{Binding, ScopeId, ScriptScopes},
    },
    diagnostic::Diagnostic,
    eval::script::State,
    operators::OPERATORS,
};
use towline_event::{Record, Value};

/// Maximum nesting of pipelines, because the builder is recursive.
const PIPELINES_MAX: usize = 32;

impl<'a> Builder<'a, '_> {
    // --- scripts ---

    pub(super) fn script(
        &mut self,
        level: &Level<'a>,
        place: Placing<'a, '_>,
        definition: &'a DefineScript,
        scopes: &ScriptScopes,
    ) {
        self.used.insert(address(definition));
        let args = self.args(level, &definition.name, &definition.params, scopes.around, Some(place.create));
        if let Some(blocks) = self.compiled(definition, scopes, &args) {
            self.push_script(level, place, blocks);
        }
    }

    /// The code of a script's blocks, and the ports they emit to, without streams; `None` after errors. The
    /// blocks share one state.
    fn compiled(
        &mut self,
        definition: &DefineScript,
        scopes: &ScriptScopes,
        args: &Args,
    ) -> Option<Vec<(ScriptNode, Vec<EmittedPort>)>> {
        let first = definition
            .state
            .as_ref()
            .map(|state| Compiler::new(self.world, scopes.around, ExprContext::State, args).parameter(state));
        let mut blocks = Vec::with_capacity(definition.blocks.len());
        for (block, scope) in definition.blocks.iter().zip(&scopes.blocks) {
            blocks.push(self.block(block.script.as_ref(), *scope, args));
        }
        let mut blocks = blocks.into_iter().collect::<Option<Vec<_>>>()?;
        if blocks.iter().any(|(node, _)| node.state.is_some()) {
            let state = Some(self.draft.states.len());
            self.draft.states.push(State::new(first.unwrap_or_default()));
            blocks.iter_mut().for_each(|(node, _)| node.state = state);
        }
        Some(blocks)
    }

    /// Compiles one block of a script; `None` after errors. The index of its state is 0 for now.
    fn block(
        &mut self,
        script: Option<&Script>,
        scope: ScopeId,
        args: &Args,
    ) -> Option<(ScriptNode, Vec<EmittedPort>)> {
        let script = script?;
        if let (Some(first), Some(last)) = (script.body.first(), script.body.last())
            && !self.takes_text(first.span, last.span)
        {
            return None;
        }
        let mut compiler = Compiler::new(self.world, scope, ExprContext::Script, args);
        let body = compiler.body(&script.body).into();
        let uses = compiler.uses();
        let locals = compiler.locals();
        let ports = compiler.into_ports();
        let state = uses.state.then_some(0);
        self.draft.reads_meta |= uses.meta;
        Some((ScriptNode { body, locals, state, ports: Box::default(), err: None }, ports))
    }

    // --- operators ---

    /// Creates an operator, which is implemented as a built-in script.
    pub(super) fn operator(
        &mut self,
        level: &Level<'a>,
        place: Placing<'a, '_>,
        operator: &'a DefineOperator,
        scope: ScopeId,
    ) {
        self.used.insert(address(operator));
        let Some(definition) = self.known_operator(operator) else { return };
        self.args(level, &operator.name, &operator.params, scope, Some(place.create));
        let scopes = ScriptScopes { around: scope, blocks: vec![scope; definition.blocks.len()] };
        if let Some(blocks) = self.compiled(definition, &scopes, &Args::default()) {
            self.push_script(level, place, blocks);
        }
    }

    fn known_operator(&mut self, operator: &DefineOperator) -> Option<&'a DefineScript> {
        let kind = operator.kind.text();
        let found = self.world.operator(&kind);
        if found.is_none() {
            let names: Vec<String> = OPERATORS.iter().map(|(name, _)| format!("`{name}`")).collect();
            let message = format!("the operator `{kind}` is not supported");
            let error = Diagnostic::new(operator.kind.span, message, "");
            self.error(error.help(format!("known ones are {}", names.join(" and "))));
        } else if let Some(param) = operator.params.first() {
            let message = format!("`{kind}` has no parameter `{}`", param.name.text);
            self.error(Diagnostic::new(param.name.span, message, ""));
        }
        found
    }

    // --- pipelines ---

    /// Expands the statements of a pipeline in place, with separate streams.
    pub(super) fn pipeline(
        &mut self,
        level: &Level<'a>,
        place: Placing<'a, '_>,
        pipeline: &'a DefinePipeline,
        scope: ScopeId,
    ) {
        self.used.insert(address(pipeline));
        let create = place.create;
        let args = self.args(level, &pipeline.name, &pipeline.params, scope, Some(create));
        let outputs = pipeline.outputs();
        self.check_taps(level, create, &outputs);
        let name = create.name.text.as_str();
        let destinations: Vec<(String, Destination)> = outputs
            .into_iter()
            .map(|port| {
                let to = level
                    .taps
                    .get(&(name, port))
                    .map_or(Destination::Nowhere, |(tap, _)| Destination::Stream(*tap));
                (port.to_owned(), to)
            })
            .collect();
        self.must_be_read(level, create, |_| true);
        if self.may_open(pipeline, create) {
            let mut inner = Level::new(&pipeline.statements, scope, args);
            inner.order = Some(place.order);
            inner.inputs = place.inputs.iter().map(|(name, stream)| ((*name).to_owned(), *stream)).collect();
            inner.outputs = destinations;
            self.open.push(pipeline);
            self.level(inner);
            self.open.pop();
        }
    }

    fn may_open(&mut self, pipeline: &'a DefinePipeline, create: &Create) -> bool {
        let inside = self.open.iter().any(|open| std::ptr::eq(*open, pipeline));
        if inside {
            let message = format!("the pipeline `{}` would contain itself", pipeline.name.text);
            self.error(Diagnostic::new(create.name.span, message, "created inside itself"));
        } else if self.open.len() >= PIPELINES_MAX {
            let message = format!("pipelines nest deeper than {PIPELINES_MAX} levels");
            self.error(Diagnostic::new(create.name.span, message, ""));
        }
        !inside && self.open.len() < PIPELINES_MAX && !self.is_full()
    }

    // --- parameters ---

    /// The parameters of a definition, with the values of a `create`.
    fn args(
        &mut self,
        level: &Level<'a>,
        definition: &Name,
        params: &'a [Param],
        scope: ScopeId,
        create: Option<&'a Create>,
    ) -> Args {
        let before = self.world.errors.len();
        let mut args = Args::none();
        let mut values = Record::new();
        let given = create.map_or(&[][..], |create| &create.params);
        for param in params {
            let (value, doubtful) = self.parameter(param, scope, &Args::default());
            let missing = param.value.is_none() && !given.iter().any(|one| one.name.text == param.name.text);
            // For an unused definition, the values of a `create` are unknown.
            args.doubtful |= doubtful || missing;
            if let Some(create) = create.filter(|_| missing) {
                let name = &param.name.text;
                let message = format!("`{}` needs a value for its parameter `{name}`", definition.text);
                let help = format!("create {} {} with {name} = …", create.kind.noun(), create.name.text);
                self.error(Diagnostic::new(create.name.span, message, "").help(help));
            }
            if values.insert(param.name.text.as_str().into(), value).is_some() {
                self.error(twice(&param.name));
            }
        }
        args.doubtful |= self.given(level, definition, given, &mut values);
        args.doubtful |= self.world.errors.len() > before;
        args.values = Value::Record(std::sync::Arc::new(values));
        args
    }

    /// Replaces defaults by the values of a `create`. Returns whether any of the values is a placeholder for
    /// an error.
    fn given(
        &mut self,
        level: &Level<'a>,
        definition: &Name,
        given: &'a [Param],
        values: &mut Record,
    ) -> bool {
        let mut seen = HashSet::new();
        let mut doubtful = false;
        for param in given {
            if !seen.insert(param.name.text.as_str()) {
                self.error(twice(&param.name));
            }
            let (value, unsure) = self.parameter(param, level.scope, &level.args);
            doubtful |= unsure;
            match values.get_mut(param.name.text.as_str()) {
                Some(default) => *default = value,
                None => {
                    let name = &param.name.text;
                    let message = format!("`{}` has no parameter `{name}`", definition.text);
                    let error = Diagnostic::new(param.name.span, message, "");
                    self.error(error.nearest(name, values.keys().map(|key| &**key)));
                }
            }
        }
        doubtful
    }

    /// The value of a parameter, and whether the value is a placeholder for an error.
    fn parameter(&mut self, param: &Param, scope: ScopeId, args: &Args) -> (Value, bool) {
        let Some(value) = &param.value else { return (Value::Null, false) };
        let mut compiler = Compiler::new(self.world, scope, ExprContext::Parameter, args);
        let value = compiler.parameter(value);
        (value, !compiler.sound())
    }

    // --- unused definitions ---

    /// Compiles unused definitions, only to report their errors.
    pub(super) fn check_unused(&mut self) {
        let draft = std::mem::take(&mut self.draft);
        for definition in self.world.definitions() {
            let root = Level::new(&[], self.world.root(), Args::default());
            match definition {
                Binding::Pipeline(pipeline, scope) if !self.used.contains(&address(pipeline)) => {
                    self.unused_pipeline(&root, pipeline, scope);
                }
                Binding::Script(script, scopes) if !self.used.contains(&address(script)) => {
                    let args = self.args(&root, &script.name, &script.params, scopes.around, None);
                    self.compiled(script, &scopes, &args);
                }
                Binding::Operator(operator, _) if !self.used.contains(&address(operator)) => {
                    self.known_operator(operator);
                }
                _ => {}
            }
        }
        self.draft = draft;
    }

    fn unused_pipeline(&mut self, root: &Level<'a>, pipeline: &'a DefinePipeline, scope: ScopeId) {
        self.draft = Draft::default();
        let args = self.args(root, &pipeline.name, &pipeline.params, scope, None);
        let mut level = Level::new(&pipeline.statements, scope, args);
        for port in pipeline.inputs() {
            let stream = self.add_stream(port.to_owned(), pipeline.name.span, StreamKind::In);
            level.inputs.push((port.to_owned(), stream));
        }
        level.outputs =
            pipeline.outputs().into_iter().map(|port| (port.to_owned(), Destination::Nowhere)).collect();
        let before = self.world.errors.len();
        self.open.push(pipeline);
        self.level(level);
        self.open.pop();
        if self.world.errors.len() == before {
            check::check(&mut self.draft, pipeline.name.span, self.world);
        }
    }
}

fn address<T>(definition: &T) -> usize {
    std::ptr::from_ref(definition) as usize
}

fn twice(name: &Name) -> Diagnostic {
    Diagnostic::new(name.span, format!("`{}` is given twice", name.text), "")
}
