//! The call-graph walk: what a request can reach in a module (DESIGN §3.1).
//!
//! **In:** an unstripped module and the names of its root exports. **Out:** a line per way into a panic.
//! Edges are direct calls, and for each indirect call every table element of its type. A forbidden function is
//! a panic entry of `core`, `alloc` or `std` by name; a live `unreachable` instruction in a reached function is
//! forbidden too. Code after a call that provably never returns is dead, so its `unreachable` does not count.
//! Functions named as a [`Boundary`] are not entered: what lies behind each is walked on its own and counted.
//! **Invariant:** allocation failure is the one trap let through ([`ALLOWED`]); a panic behind a boundary belongs to
//! the crates the boundary names, and there are no more of them than it says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Context as _, Result, bail};
use wasmparser::{
    ElementItems, ExternalKind, KnownCustom, Name, Operator, Parser, Payload, TypeRef,
};

/// Not descended into, with the reason.
const ALLOWED: [(&str, &str); 5] = [
    (
        "alloc::raw_vec::handle_error",
        "no memory, or a length no memory can hold: every input is bounded below it",
    ),
    ("alloc::alloc::handle_alloc_error", "no memory"),
    ("__rust_alloc_error_handler", "no memory"),
    ("__rustc::__rust_alloc_error_handler", "no memory"),
    ("alloc::alloc::handle_alloc_error::rt_error", "no memory"),
];

/// Parts of demangled names that are ways into a panic.
const FORBIDDEN: [&str; 24] = [
    "core::panicking::",
    "core::option::unwrap_failed",
    "core::option::expect_failed",
    "core::result::unwrap_failed",
    "core::slice::index::slice_",
    "core::slice::copy_from_slice_impl::len_mismatch_fail",
    "core::str::slice_error_fail",
    "core::cell::panic_",
    "core::num::int_log10::panic_",
    "core::hint::unreachable_unchecked::precondition_check",
    "alloc::raw_vec::capacity_overflow",
    "alloc::vec::Vec<T,A>::swap_remove::assert_failed",
    "::assert_failed",
    "alloc::sync::abort",
    "std::panicking::",
    "std::process::abort",
    "std::thread::",
    "std::alloc::rust_oom",
    "panic_bounds_check",
    "rust_panic",
    "rust_begin_unwind",
    "__rust_start_panic",
    "panic_fmt",
    "panic_const",
];

/// A function of ours that the walk does not enter.
pub(crate) struct Boundary {
    /// Its demangled name.
    pub(crate) function: &'static str,
    /// Crates that the ways into a panic behind it may belong to.
    pub(crate) crates: &'static [&'static str],
    /// The most of those ways that there may be.
    pub(crate) most: usize,
}

/// What lies behind a boundary.
pub(crate) struct Behind {
    /// The boundary's name.
    pub(crate) function: &'static str,
    /// Functions behind it, itself among them.
    pub(crate) functions: usize,
    /// Whether a root reaches it.
    pub(crate) reached: bool,
    /// Ways into a panic, by the crate that takes them.
    pub(crate) panics: BTreeMap<String, usize>,
}

/// What the walk found.
pub(crate) struct Report {
    /// Functions with code.
    pub(crate) functions: usize,
    /// Those a root can reach.
    pub(crate) reached: usize,
    /// What lies behind the boundaries, in their order.
    pub(crate) behind: Vec<Behind>,
    /// A shortest call path each, root first; then what boundaries do not keep.
    pub(crate) findings: Vec<String>,
}

/// Walks `module` from the exported functions named in `roots`.
///
/// # Errors
/// The module cannot be read, or a root or a boundary is missing.
pub(crate) fn walk(module: &[u8], roots: &[&str], boundaries: &[Boundary]) -> Result<Report> {
    let graph = Graph::read(module)?;
    let never = graph.never_returning();
    let mut from = Vec::new();
    for root in roots {
        let function = graph.exports.get(*root);
        from.push(*function.with_context(|| format!("the module does not export `{root}`"))?);
    }
    let mut cut = BTreeSet::new();
    for boundary in boundaries {
        let found = graph
            .names
            .iter()
            .find(|(_, name)| *name == boundary.function);
        let (function, _) =
            found.with_context(|| format!("the module has no function `{}`", boundary.function))?;
        cut.insert(*function);
    }
    let reach = graph.reach(&never, &from, &cut);
    let mut findings: BTreeSet<String> = reach
        .ways
        .iter()
        .map(|(function, end)| graph.way(&reach, *function, end))
        .collect();
    let mut behind = Vec::new();
    for boundary in boundaries {
        let start = graph
            .names
            .iter()
            .find(|(_, name)| *name == boundary.function);
        let start = start
            .map(|(function, _)| *function)
            .context("a name got lost")?;
        let inside = graph.reach(&never, &[start], &BTreeSet::new());
        let mut panics = BTreeMap::new();
        for (function, end) in &inside.ways {
            let mut owner = crate_of(&graph.name(*function));
            if *function == start {
                // What was inlined into it: it has no code of its own but the call.
                owner = INLINED.to_owned();
            } else if !boundary.crates.contains(&owner.as_str()) {
                findings.insert(graph.way(&inside, *function, end));
            }
            *panics.entry(owner).or_insert(0) += 1;
        }
        if inside.ways.len() > boundary.most {
            findings.insert(format!(
                "{} ▸ {} ways into a panic, {} are recorded",
                boundary.function,
                inside.ways.len(),
                boundary.most
            ));
        }
        behind.push(Behind {
            function: boundary.function,
            functions: inside.reached,
            reached: reach.met.contains(&start),
            panics,
        });
    }
    Ok(Report {
        functions: graph.bodies.len(),
        reached: reach.reached,
        behind,
        findings: findings
            .into_iter()
            .map(|path| format!("  {path}"))
            .collect(),
    })
}

/// Owner of what the compiler inlined into a boundary function.
const INLINED: &str = "(inlined)";

/// What can be reached from some functions.
struct Reach {
    reached: usize,
    parent: BTreeMap<u32, Option<u32>>,
    /// Functions that were met and not entered.
    met: BTreeSet<u32>,
    /// Ways into a panic: the last function, and what it calls.
    ways: BTreeSet<(u32, String)>,
}

impl Graph {
    fn reach(&self, never: &BTreeSet<u32>, from: &[u32], cut: &BTreeSet<u32>) -> Reach {
        let mut reach = Reach {
            reached: 0,
            parent: from.iter().map(|function| (*function, None)).collect(),
            met: BTreeSet::new(),
            ways: BTreeSet::new(),
        };
        let mut queue: VecDeque<u32> = from.iter().copied().collect();
        let mut queued: BTreeSet<u32> = from.iter().copied().collect();
        while let Some(function) = queue.pop_front() {
            let Some(body) = self.bodies.get(&function) else {
                continue; // an import: the host's own affair
            };
            reach.reached += 1;
            let flow = flow(body, never);
            if flow.traps {
                reach
                    .ways
                    .insert((function, "an `unreachable` instruction".to_owned()));
            }
            for callee in self.callees(&flow) {
                let name = self.name(callee);
                if is_allowed(&name) {
                    continue;
                }
                if is_forbidden(&name) {
                    reach.ways.insert((function, name));
                } else if cut.contains(&callee) {
                    reach.met.insert(callee);
                } else if queued.insert(callee) {
                    reach.parent.insert(callee, Some(function));
                    queue.push_back(callee);
                }
            }
        }
        reach
    }

    fn way(&self, reach: &Reach, function: u32, end: &str) -> String {
        format!("{} ▸ {end}", self.path(&reach.parent, function))
    }
}

/// The crate a demangled name starts with: `a::b`, `<a::B as c::D>::e`, `<&a::B as …>`.
fn crate_of(name: &str) -> String {
    let start = name.trim_start_matches(['<', '&', '[', '(', '*']);
    let start = start.strip_prefix("mut ").unwrap_or(start);
    let owner: String = start
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    // A blanket implementation (`<T as Into<U>>::into`) is the standard library's.
    if owner.len() == 1 {
        "core".to_owned()
    } else {
        owner
    }
}

fn is_allowed(name: &str) -> bool {
    ALLOWED.iter().any(|(allowed, _)| name == *allowed)
}

fn is_forbidden(name: &str) -> bool {
    FORBIDDEN.iter().any(|part| name.contains(part))
}

/// What matters of an instruction.
enum Step {
    Call(u32),
    CallIndirect(u32),
    Tail(Box<Self>),
    Block,
    Loop,
    If,
    Else,
    End,
    /// Branches to these depths and does not fall through.
    Jump(Vec<u32>),
    /// Branches to these depths or falls through.
    MayJump(u32),
    Return,
    Unreachable,
    /// Any number of instructions that neither call nor jump.
    Other,
}

#[derive(Default)]
struct Graph {
    /// Type of every function, imports first.
    types: Vec<u32>,
    exports: BTreeMap<String, u32>,
    bodies: BTreeMap<u32, Vec<Step>>,
    names: BTreeMap<u32, String>,
    /// Functions in tables (or named by `ref.func`), by type.
    table: BTreeMap<u32, BTreeSet<u32>>,
}

impl Graph {
    fn read(module: &[u8]) -> Result<Self> {
        let mut graph = Self::default();
        let mut elements = BTreeSet::new();
        let mut imports = 0_u32;
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        if let TypeRef::Func(kind) | TypeRef::FuncExact(kind) = import?.ty {
                            graph.types.push(kind);
                            imports += 1;
                        }
                    }
                }
                Payload::FunctionSection(section) => {
                    for kind in section {
                        graph.types.push(kind?);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        if export.kind == ExternalKind::Func {
                            graph.exports.insert(export.name.to_owned(), export.index);
                        }
                    }
                }
                Payload::ElementSection(section) => {
                    for element in section {
                        match element?.items {
                            ElementItems::Functions(functions) => {
                                for function in functions {
                                    elements.insert(function?);
                                }
                            }
                            ElementItems::Expressions(_, expressions) => {
                                for expression in expressions {
                                    for operator in expression?.get_operators_reader() {
                                        if let Operator::RefFunc { function_index } = operator? {
                                            elements.insert(function_index);
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => {
                    let index = imports + u32::try_from(graph.bodies.len())?;
                    let mut steps = Vec::new();
                    for operator in body.get_operators_reader()? {
                        let operator = operator?;
                        if let Operator::RefFunc { function_index } = operator {
                            elements.insert(function_index);
                        }
                        let step = step(&operator)?;
                        if !matches!((&step, steps.last()), (Step::Other, Some(Step::Other))) {
                            steps.push(step);
                        }
                    }
                    drop_impossible_targets(&mut steps);
                    graph.bodies.insert(index, steps);
                }
                Payload::CustomSection(section) => {
                    if let KnownCustom::Name(names) = section.as_known() {
                        for name in names {
                            if let Name::Function(map) = name? {
                                for naming in map {
                                    let naming = naming?;
                                    let text =
                                        format!("{:#}", rustc_demangle::demangle(naming.name));
                                    graph.names.insert(naming.index, text);
                                }
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        for function in elements {
            if let Some(kind) = graph.types.get(usize::try_from(function)?) {
                graph.table.entry(*kind).or_default().insert(function);
            }
        }
        Ok(graph)
    }

    fn name(&self, function: u32) -> String {
        let name = self.names.get(&function);
        name.cloned()
            .unwrap_or_else(|| format!("function {function}"))
    }

    fn path(&self, parent: &BTreeMap<u32, Option<u32>>, function: u32) -> String {
        let mut names = vec![self.name(function)];
        let mut at = function;
        while let Some(Some(caller)) = parent.get(&at) {
            at = *caller;
            names.push(self.name(at));
        }
        names.reverse();
        names.join(" ▸ ")
    }

    fn callees(&self, flow: &Flow) -> BTreeSet<u32> {
        let by_table = flow
            .indirect
            .iter()
            .filter_map(|kind| self.table.get(kind))
            .flatten();
        flow.calls.iter().chain(by_table).copied().collect()
    }

    /// Functions from which no return can be reached: the least set closed under "all ways end in one of them".
    fn never_returning(&self) -> BTreeSet<u32> {
        let mut never = BTreeSet::new();
        loop {
            let before = never.len();
            for (function, body) in &self.bodies {
                if !never.contains(function) && !flow(body, &never).returns {
                    never.insert(*function);
                }
            }
            if never.len() == before {
                return never;
            }
        }
    }
}

fn step(operator: &Operator<'_>) -> Result<Step> {
    Ok(match operator {
        Operator::Call { function_index } => Step::Call(*function_index),
        Operator::CallIndirect { type_index, .. } => Step::CallIndirect(*type_index),
        Operator::ReturnCall { function_index } => {
            Step::Tail(Box::new(Step::Call(*function_index)))
        }
        Operator::ReturnCallIndirect { type_index, .. } => {
            Step::Tail(Box::new(Step::CallIndirect(*type_index)))
        }
        Operator::CallRef { .. } | Operator::ReturnCallRef { .. } | Operator::TryTable { .. } => {
            bail!("the walk does not know typed references or exceptions")
        }
        Operator::Block { .. } => Step::Block,
        Operator::Loop { .. } => Step::Loop,
        Operator::If { .. } => Step::If,
        Operator::Else => Step::Else,
        Operator::End => Step::End,
        Operator::Br { relative_depth } => Step::Jump(vec![*relative_depth]),
        Operator::BrIf { relative_depth } => Step::MayJump(*relative_depth),
        Operator::BrTable { targets } => {
            let mut depths = vec![targets.default()];
            for depth in targets.targets() {
                depths.push(depth?);
            }
            Step::Jump(depths)
        }
        Operator::Return => Step::Return,
        Operator::Unreachable => Step::Unreachable,
        _ => Step::Other,
    })
}

/// Takes from each branch table the targets that land on an `unreachable`: it is how the compiler writes the values an
/// exhaustive `match` does not have. No panic is written so: those are calls.
fn drop_impossible_targets(steps: &mut [Step]) {
    let mut open = Vec::new();
    let mut ends = BTreeMap::new();
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Block | Step::Loop | Step::If => open.push(at),
            Step::End => {
                if let Some(start) = open.pop() {
                    ends.insert(start, at);
                }
            }
            _ => {}
        }
    }
    let marked: BTreeSet<usize> = ends
        .iter()
        .filter(|(start, end)| {
            matches!(steps.get(**start), Some(Step::Block))
                && matches!(steps.get(**end + 1), Some(Step::Unreachable))
        })
        .map(|(start, _)| *start)
        .collect();
    for (at, step) in steps.iter_mut().enumerate() {
        match step {
            Step::Block | Step::Loop | Step::If => open.push(at),
            Step::End => {
                open.pop();
            }
            Step::Jump(depths) if depths.len() > 1 => {
                depths.retain(|depth| {
                    let depth = usize::try_from(*depth).ok();
                    let block = depth.and_then(|depth| open.iter().rev().nth(depth));
                    !block.is_some_and(|block| marked.contains(block))
                });
            }
            _ => {}
        }
    }
}

/// What the live code of a body does.
#[derive(Default)]
struct Flow {
    calls: BTreeSet<u32>,
    indirect: BTreeSet<u32>,
    traps: bool,
    returns: bool,
}

/// An open block.
struct Frame {
    is_loop: bool,
    is_if: bool,
    entry_live: bool,
    /// A live branch goes to its end.
    end_live: bool,
}

fn flow(body: &[Step], never: &BTreeSet<u32>) -> Flow {
    let mut flow = Flow::default();
    let mut live = true;
    let mut frames = vec![Frame {
        is_loop: false,
        is_if: false,
        entry_live: true,
        end_live: false,
    }];
    for step in body {
        match step {
            Step::Block | Step::Loop | Step::If => frames.push(Frame {
                is_loop: matches!(step, Step::Loop),
                is_if: matches!(step, Step::If),
                entry_live: live,
                end_live: false,
            }),
            Step::Else => {
                if let Some(frame) = frames.last_mut() {
                    frame.end_live |= live;
                    frame.is_if = false;
                    live = frame.entry_live;
                }
            }
            Step::End => {
                if let Some(frame) = frames.pop() {
                    live |= frame.end_live || (frame.is_if && frame.entry_live);
                }
                if frames.is_empty() {
                    flow.returns |= live;
                }
            }
            _ if !live => {}
            Step::Call(function) => {
                flow.calls.insert(*function);
                live = !never.contains(function);
            }
            Step::CallIndirect(kind) => {
                flow.indirect.insert(*kind);
            }
            Step::Tail(inner) => {
                match inner.as_ref() {
                    Step::Call(function) => {
                        flow.calls.insert(*function);
                        flow.returns |= !never.contains(function);
                    }
                    Step::CallIndirect(kind) => {
                        flow.indirect.insert(*kind);
                        flow.returns = true;
                    }
                    _ => {}
                }
                live = false;
            }
            Step::Jump(depths) => {
                for depth in depths {
                    branch(&mut frames, *depth);
                }
                live = false;
            }
            Step::MayJump(depth) => branch(&mut frames, *depth),
            Step::Return => {
                flow.returns = true;
                live = false;
            }
            Step::Unreachable => {
                flow.traps = true;
                live = false;
            }
            Step::Other => {}
        }
    }
    flow
}

fn branch(frames: &mut [Frame], depth: u32) {
    let at = frames
        .len()
        .checked_sub(1)
        .and_then(|last| last.checked_sub(usize::try_from(depth).ok()?));
    if let Some(frame) = at.and_then(|at| frames.get_mut(at)) {
        frame.end_live |= !frame.is_loop;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, module, what must be found (part of a line; none: nothing).
    const CASES: [(&str, &str, Option<&str>); 14] = [
        (
            "a panic two calls away, with its path",
            r#"(func $root (export "root") call $middle) (func $middle call $core::panicking::panic)
               (func $core::panicking::panic unreachable)"#,
            Some("root ▸ middle ▸ core::panicking::panic"),
        ),
        (
            "a panic behind an indirect call of its type",
            r#"(type $t (func (param i32))) (table funcref (elem $hidden))
               (func $root (export "root") (call_indirect (type $t) (i32.const 0) (i32.const 0)))
               (func $hidden (type $t) call $core::panicking::panic_fmt)
               (func $core::panicking::panic_fmt unreachable)"#,
            Some("root ▸ hidden ▸ core::panicking::panic_fmt"),
        ),
        (
            "a table function of another type is not reached",
            r#"(type $t (func (param i32))) (type $u (func)) (table funcref (elem $other))
               (func $root (export "root") (call_indirect (type $t) (i32.const 0) (i32.const 0)))
               (func $other (type $u) call $core::panicking::panic)
               (func $core::panicking::panic unreachable)"#,
            None,
        ),
        (
            "a panic no root reaches",
            r#"(func $root (export "root")) (func $configure (export "configure") call $core::panicking::panic)
               (func $core::panicking::panic unreachable)"#,
            None,
        ),
        (
            "a trap without a call",
            r#"(func $root (export "root") (param i32) (if (local.get 0) (then unreachable)))"#,
            Some("root ▸ an `unreachable` instruction"),
        ),
        (
            "the trap after a call that returns is live",
            r#"(func $root (export "root") call $f unreachable) (func $f)"#,
            Some("an `unreachable` instruction"),
        ),
        (
            "allocation failure is let through, and the mark behind it is dead",
            r#"(func $root (export "root") (param i32)
                 (if (local.get 0) (then call $alloc::raw_vec::handle_error unreachable)))
               (func $alloc::raw_vec::handle_error call $core::panicking::panic)
               (func $core::panicking::panic unreachable)"#,
            None,
        ),
        (
            "the mark behind a loop without end is dead",
            r#"(func $root (export "root") (result i32) (local i32)
                 (loop (if (local.get 0) (then (return (i32.const 1)))) (br 0)) unreachable)"#,
            None,
        ),
        (
            "a block left by a branch goes on",
            r#"(func $root (export "root") (param i32) (block (br_if 0 (local.get 0)) (return)) unreachable)"#,
            Some("an `unreachable` instruction"),
        ),
        (
            "an if without else goes on",
            r#"(func $root (export "root") (param i32) (if (local.get 0) (then return)) unreachable)"#,
            Some("an `unreachable` instruction"),
        ),
        (
            "a branch table reaches each target",
            r#"(func $root (export "root") (param i32)
                 (block (block (br_table 0 1 (local.get 0))) nop unreachable))"#,
            Some("an `unreachable` instruction"),
        ),
        (
            "the default of a table that an exhaustive match does not have",
            r#"(func $root (export "root") (param i32)
                 (block (block (br_table 1 1 0 (local.get 0))) unreachable))"#,
            None,
        ),
        (
            "a default that does something before it traps",
            r#"(func $root (export "root") (param i32)
                 (block (block (br_table 1 1 0 (local.get 0))) (local.set 0 (i32.const 1)) unreachable))"#,
            Some("an `unreachable` instruction"),
        ),
        (
            "a recursion ends",
            r#"(func $root (export "root") (param i32) (if (local.get 0) (then (call $root (i32.const 0)))))"#,
            None,
        ),
    ];

    #[test]
    fn cases() {
        for (name, text, expected) in CASES {
            let module = wat::parse_str(format!("(module {text})")).expect(name);
            let findings = walk(&module, &["root"], &[]).expect(name).findings;
            match expected {
                Some(part) => {
                    assert_eq!(findings.len(), 1, "{name}: {findings:?}");
                    assert!(findings[0].contains(part), "{name}: {findings:?}");
                }
                None => assert_eq!(findings, Vec::<String>::new(), "{name}"),
            }
        }
    }

    #[test]
    fn a_missing_root_is_an_error() {
        let module = wat::parse_str("(module)").unwrap();
        assert!(walk(&module, &["root"], &[]).is_err());
    }

    const BOUNDED: &str = r#"(func $root (export "root") call $ours::verify)
        (func $ours::verify call $theirs::add call $theirs::add2)
        (func $theirs::add i32.const 0 if call $core::panicking::panic end)
        (func $theirs::add2 i32.const 0 if call $core::panicking::panic end)
        (func $core::panicking::panic unreachable)"#;

    fn bounded(text: &str, crates: &'static [&'static str], most: usize) -> Report {
        let module = wat::parse_str(format!("(module {text})")).unwrap();
        let function = "ours::verify";
        walk(
            &module,
            &["root"],
            &[Boundary {
                function,
                crates,
                most,
            }],
        )
        .unwrap()
    }

    #[test]
    fn what_lies_behind_a_boundary_is_counted() {
        let report = bounded(BOUNDED, &["theirs"], 2);
        assert_eq!(report.findings, Vec::<String>::new());
        assert_eq!((report.reached, report.behind.len()), (1, 1));
        let behind = &report.behind[0];
        assert!(behind.reached);
        assert_eq!((behind.functions, behind.panics["theirs"]), (3, 2));
    }

    #[test]
    fn a_boundary_does_not_hide_other_crates_or_more_panics() {
        let more = bounded(BOUNDED, &["theirs"], 1);
        assert_eq!(more.findings.len(), 1, "{:?}", more.findings);
        assert!(more.findings[0].contains("2 ways into a panic, 1 are recorded"));
        let foreign = bounded(BOUNDED, &["others"], 2);
        assert_eq!(foreign.findings.len(), 2, "{:?}", foreign.findings);
        assert!(
            foreign.findings[0].contains("ours::verify ▸ theirs::add ▸ core::panicking::panic")
        );
        let around = BOUNDED.replace(
            "call $ours::verify)",
            "call $ours::verify call $theirs::add)",
        );
        let around = bounded(&around, &["theirs"], 2);
        assert_eq!(
            around.findings.len(),
            1,
            "another way to what lies behind: {:?}",
            around.findings
        );
    }

    #[test]
    fn a_missing_boundary_is_an_error() {
        let module = wat::parse_str(r#"(module (func $root (export "root")))"#).unwrap();
        let boundary = Boundary {
            function: "ours::verify",
            crates: &[],
            most: 0,
        };
        assert!(walk(&module, &["root"], &[boundary]).is_err());
    }

    #[test]
    fn crates_of_names() {
        for (name, owner) in [
            ("a_b::c", "a_b"),
            ("<ab::B as c::D>::e", "ab"),
            ("<&mut ab::B as c::D>::e", "ab"),
            ("<[ab::B] as c::D>::e", "ab"),
            ("<T as core::convert::Into<U>>::into", "core"),
            ("ab::c::<impl c::D for e::F>::g", "ab"),
        ] {
            assert_eq!(crate_of(name), owner, "{name}");
        }
    }
}
