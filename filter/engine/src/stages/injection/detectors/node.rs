//! Server-side JavaScript: modules, processes, constructors of code, serialised functions, loops without end.
//!
//! **In:** a decoded value. **Out:** hits of class `node`; of class `nosql` for look-ups through the relations of an ORM.
//! **Invariant:** a module that is loaded, a member that only a server's process has, or a constructor of code, at a place where code
//! can stand; `const fs = require('fs')` and what a sentence tells of are weak.
//! **Source:** Node.js API (process, vm, child_process), Deno and Bun manuals, ECMAScript §20.2.1 (`Function`), node-serialize
//! (CVE-2017-5941), React Flight (CVE-2025-55182), Django's field look-ups.
//! **Cost:** one pass over values with a word of it; every look around is bounded by a constant.

use super::bytes::{
    DOLLAR, LINE, QUOTE, SCORE, byte, contains, has_at, is_space, is_word, part, rest, skip_space,
};
use super::code::{self, Arguments};
use super::node_calls::{answers, callers, prepares, reflects};
use super::node_forms::{console, endless, function};
use super::triggers::NODE;
use super::words::{Key, Words};
use super::{Class, Hits, Strength, View};

/// Loads a module.
const LOAD: u8 = 1;
/// A module that runs code or commands.
const RUNS: u8 = 2;
/// Another module of a server.
const MODULE: u8 = 3;
/// `process`.
const PROCESS: u8 = 4;
/// Members of it that lead further.
const INNER: u8 = 5;
/// Members of it that tell or end something.
const OUTER: u8 = 6;
/// `constructor`.
const CONSTRUCTOR: u8 = 7;
/// `Function`.
const FUNCTION: u8 = 8;
/// `console`.
const CONSOLE: u8 = 9;
/// `while`.
const LOOP: u8 = 10;
/// A function that runs a command or code, by its name alone.
const RUNNER: u8 = 11;
/// The global object.
const GLOBAL: u8 = 12;
/// Another runtime.
const RUNTIME: u8 = 13;
/// A function that somebody serialised.
const SERIALISED: u8 = 14;
/// `prototype`.
const PROTOTYPE: u8 = 15;
/// `Reflect`.
const REFLECT: u8 = 16;
/// What answers a request.
const ANSWER: u8 = 17;
/// `arguments`.
const ARGUMENTS: u8 = 18;
/// `prepareStackTrace`.
const TRACE: u8 = 19;
/// Older names of the global object: a reason only with what they lead to.
const ROOT: u8 = 20;

pub(super) const LIST: &[(&[u8], u8)] = &[
    (b"require", LOAD),
    (b"import", LOAD),
    (b"child_process", RUNS),
    (b"vm", RUNS),
    (b"worker_threads", RUNS),
    (b"cluster", RUNS),
    (b"repl", RUNS),
    (b"inspector", RUNS),
    (b"module", RUNS),
    (b"fs", MODULE),
    (b"net", MODULE),
    (b"http", MODULE),
    (b"https", MODULE),
    (b"os", MODULE),
    (b"dns", MODULE),
    (b"tls", MODULE),
    (b"dgram", MODULE),
    (b"process", PROCESS),
    (b"mainmodule", INNER),
    (b"binding", INNER),
    (b"_linkedbinding", INNER),
    (b"dlopen", INNER),
    (b"getbuiltinmodule", INNER),
    (b"env", OUTER),
    (b"exit", OUTER),
    (b"kill", OUTER),
    (b"abort", OUTER),
    (b"argv", OUTER),
    (b"cwd", OUTER),
    (b"chdir", OUTER),
    (b"constructor", CONSTRUCTOR),
    (b"function", FUNCTION),
    (b"console", CONSOLE),
    (b"while", LOOP),
    (b"execsync", RUNNER),
    (b"execfilesync", RUNNER),
    (b"spawnsync", RUNNER),
    (b"execfile", RUNNER),
    (b"readfilesync", RUNNER),
    (b"writefilesync", RUNNER),
    (b"readdirsync", RUNNER),
    (b"runinthiscontext", RUNNER),
    (b"runinnewcontext", RUNNER),
    (b"runincontext", RUNNER),
    (b"global", GLOBAL),
    (b"globalthis", GLOBAL),
    (b"deno", RUNTIME),
    (b"bun", RUNTIME),
    (b"__js_function", SERIALISED),
    (b"_$$nd_func$$_", SERIALISED),
    (b"_$$nd_func$$_function", SERIALISED),
    (b"prototype", PROTOTYPE),
    (b"reflect", REFLECT),
    (b"res", ANSWER),
    (b"response", ANSWER),
    (b"arguments", ARGUMENTS),
    (b"preparestacktrace", TRACE),
    (b"root", ROOT),
    (b"unlinksync", RUNNER),
    (b"appendfilesync", RUNNER),
];

/// Whether the word alone is reason to look: a module is one only where something loads it.
pub(super) const fn is_reason(kind: u8) -> bool {
    kind != MODULE && kind != ROOT
}

static TABLE: Words<256> = Words::new(LIST);

/// Bytes looked at on either side of a word.
const REACH: usize = 48;
/// Bytes of a span of Markdown.
const SPAN: usize = 96;

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    if view.is_name && view.classes & SCORE != 0 && leaks(view.bytes) {
        hits.add(Class::Nosql, Strength::Decisive, 0);
    }
    if view.words & NODE == 0 && view.classes & DOLLAR == 0 {
        return;
    }
    let value = view.bytes;
    super::spend(steps, value.len());
    if view.classes & DOLLAR != 0 && contains(value, b"_$$nd_func$$_") {
        hits.add(Class::Node, Strength::Decisive, 0);
        return;
    }
    if view.words & NODE == 0 {
        return;
    }
    let quoted = view.classes & QUOTE != 0;
    let text = Text::read(view);
    let mut at = 0;
    while let Some(&here) = value.get(at) {
        let mut next = at.saturating_add(1);
        let hit = match here {
            b'"' | b'\'' | b'`' if quoted => code::joined(value, at)
                .filter(|&key| matches!(TABLE.kind(key), RUNS | CONSTRUCTOR | RUNNER | INNER))
                .map(|_| Strength::Decisive),
            _ if is_word(here) && code::starts(value, at) => {
                let (end, key) = code::word(value, at);
                next = end.max(next);
                word(text, at, end, key)
            }
            _ => None,
        };
        if let Some(strength) = hit {
            hits.add(Class::Node, strength, at);
            if strength == Strength::Decisive {
                return;
            }
        }
        at = next;
    }
}

/// A value and what is told of it as a whole, once.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) value: &'a [u8],
    /// It has many lines (`code::is_document`).
    document: bool,
    /// It has a line behind the first.
    pub(super) lines: bool,
}

impl<'a> Text<'a> {
    fn read(view: &View<'a>) -> Self {
        let value = view.bytes;
        let lines = view.classes & LINE != 0;
        Self {
            value,
            document: lines && code::is_document(value),
            lines: lines && code::has_lines(value),
        }
    }
}

/// What a word is worth where it stands.
fn word(text: Text<'_>, start: usize, end: usize, key: Key) -> Option<Strength> {
    let value = text.value;
    let kind = TABLE.kind(key);
    let hit = match kind {
        LOAD => loads(text, start, end)?,
        PROCESS => process(value, start, end)?,
        RUNS => runs(value, end)?,
        CONSTRUCTOR => constructs(value, end)?,
        FUNCTION => return function(value, start, end),
        CONSOLE => console(text, end)?,
        LOOP => endless(value, end)?,
        RUNNER => {
            let call = code::call(value, start, end)?;
            let named = matches!(call.first, b'"' | b'\'' | b'`');
            if !named || call.is_mention(value) {
                Strength::Weak
            } else {
                Strength::Decisive
            }
        }
        REFLECT => reflects(text, start, end)?,
        ANSWER => answers(text, start, end)?,
        ARGUMENTS => callers(text, end)?,
        TRACE => prepares(text, end)?,
        GLOBAL | ROOT => {
            let (_, member) = member(value, end)?;
            match TABLE.kind(member) {
                PROCESS | LOAD => Strength::Decisive,
                _ => return None,
            }
        }
        RUNTIME => {
            let (after, _) = member(value, end)?;
            let name = value.get(start..end)?;
            let capital = name.first().is_some_and(u8::is_ascii_uppercase);
            let call = code::call(value, start, after).filter(|_| capital)?;
            // `Bun.sh (the shell)`: behind a blank only what an interface is given.
            let given = matches!(call.first, b'{' | b'[' | b'"' | b'\'' | b'`');
            if call.gap != code::Gap::None && (!given || call.is_mention(value)) {
                return None;
            }
            Strength::Decisive
        }
        SERIALISED => Strength::Decisive,
        PROTOTYPE => flight(value, start)?,
        _ => return None,
    };
    let told = code::in_sentence(value, start)
        || (matches!(kind, PROCESS | RUNS | RUNNER) && is_span(value, start, end));
    Some(if told { Strength::Weak } else { hit })
}

/// `` `process.exit(code)` ``: Markdown's span of a name or of a call with names. In a program it is a string; behind one that it closes, no
/// name may stand without an operator. Strings may be handed on (`` eval(`…`) ``, `` [`…`].map(eval) ``): those are none.
fn is_span(value: &[u8], start: usize, end: usize) -> bool {
    let Some(tick) = start.checked_sub(1).filter(|&at| byte(value, at) == b'`') else {
        return false;
    };
    let tail = part(value, end, SPAN);
    let Some(length) = tail.iter().position(|&byte| byte == b'`') else {
        return false;
    };
    let (name, after) = tail.split_at_checked(length).unwrap_or((tail, &[]));
    let names = name.iter().all(|&byte| {
        is_word(byte) || matches!(byte, b'.' | b'(' | b')' | b'[' | b']' | b',' | b' ')
    });
    let handed = match tick.checked_sub(1).map_or(b' ', |at| byte(value, at)) {
        b'(' => is_word(byte(value, tick.saturating_sub(2))),
        before => !(is_space(before) || matches!(before, b'[' | b'*' | b'|')),
    };
    let called =
        after.starts_with(b"`].") || after.starts_with(b"`](") && !after.starts_with(b"`](#");
    names && !handed && !called && byte(after, 1) != b'`'
}

/// The member of what ends at `end`: `.name`, `?.name`, `["name"]`, `:name`; the position behind it, and its key.
pub(super) fn member(value: &[u8], end: usize) -> Option<(usize, Key)> {
    let at = if byte(value, end) == b'?' {
        end.saturating_add(1)
    } else {
        end
    };
    let next = at.saturating_add(1);
    match byte(value, at) {
        b'.' | b':' if is_word(byte(value, next)) => Some(code::word(value, next)),
        b'[' => {
            let start = skip_space(value, next);
            let quote = byte(value, start);
            let inner = if matches!(quote, b'"' | b'\'' | b'`') {
                if let Some(key) = code::joined(value, start) {
                    return Some((start, key));
                }
                start.saturating_add(1)
            } else {
                start
            };
            let (mut close, key) = code::word(value, inner);
            for _ in 0..2 {
                if matches!(byte(value, close), b'"' | b'\'' | b'`' | b']') {
                    close = close.saturating_add(1);
                }
            }
            (close > inner).then_some((close, key))
        }
        _ => None,
    }
}

/// `require('child_process')`, `import("fs")`, `require[…]`.
fn loads(text: Text<'_>, start: usize, end: usize) -> Option<Strength> {
    let value = text.value;
    if byte(value, end) == b'[' && is_word(byte(value, end.saturating_add(1))) {
        return Some(Strength::Decisive);
    }
    let call = code::call(value, start, end)?;
    if !matches!(call.first, b'"' | b'\'' | b'`') {
        return None;
    }
    let key = if let Some(key) = code::joined(value, call.inside) {
        key
    } else {
        let mut name = call.inside.saturating_add(1);
        if has_at(value, name, b"node:") {
            name = name.saturating_add(5);
        }
        code::word(value, name).1
    };
    let assigned = code::last(value, start) == b'=';
    let runs = match TABLE.kind(key) {
        RUNS => !(assigned && text.document),
        MODULE | PROCESS => !assigned,
        _ => false,
    };
    Some(if runs && !call.is_mention(value) {
        Strength::Decisive
    } else {
        Strength::Weak
    })
}

/// `process.mainModule`, `process["env"]`, `process.exit()`.
fn process(value: &[u8], start: usize, end: usize) -> Option<Strength> {
    let indexed = byte(value, end) == b'[';
    let (after, key) = member(value, end)?;
    let whole = start == 0 && rest(value, after).len() < 3;
    match TABLE.kind(key) {
        INNER | CONSTRUCTOR => Some(Strength::Decisive),
        OUTER if indexed || whole => Some(Strength::Decisive),
        // `"+process.env+"`.
        OUTER if is_glued(value, start, after) => Some(Strength::Decisive),
        OUTER if is_called(value, start, end, after) => Some(Strength::Decisive),
        OUTER => Some(Strength::Weak),
        _ if indexed => Some(Strength::Suspicious),
        _ => None,
    }
    .map(|strength| {
        // `process[req.query.a`: an index that is no string.
        let name = indexed && is_word(byte(value, end.saturating_add(1)));
        if name && !byte(value, end.saturating_add(1)).is_ascii_digit() {
            Strength::Decisive
        } else {
            strength
        }
    })
}

/// `exit(1)`, `exit/*x*/(1)`; behind one blank only with what no sentence puts in brackets.
fn is_called(value: &[u8], start: usize, end: usize, after: usize) -> bool {
    code::call(value, start, after).is_some_and(|call| {
        let code = matches!(call.arguments, Arguments::Code | Arguments::None);
        call.gap == code::Gap::None || (code && byte(value, end) != b':' && !call.is_mention(value))
    })
}

/// Between two joins without a blank, in a value that begins with the end of another string.
fn is_glued(value: &[u8], start: usize, after: usize) -> bool {
    let before = start.checked_sub(1).map_or(0, |at| byte(value, at));
    let within = before == b'+' && byte(value, after) == b'+';
    within && matches!(value.first(), Some(b'"' | b'\'' | b'`'))
}

/// `child_process.exec(`.
fn runs(value: &[u8], end: usize) -> Option<Strength> {
    if byte(value, end) != b'.' || !has_at(value, end.saturating_sub(8), b"_process") {
        return None;
    }
    let (after, _) = member(value, end)?;
    (byte(value, after) == b'(').then_some(Strength::Decisive)
}

/// `constructor.constructor`, `constructor["constructor"]`, `constructor('return this')`.
fn constructs(value: &[u8], end: usize) -> Option<Strength> {
    let mut at = end;
    // What closes an index: `["constructor"]["constructor"]`.
    for _ in 0..2 {
        if matches!(byte(value, at), b'"' | b'\'' | b'`' | b']') {
            at = at.saturating_add(1);
        }
    }
    if let Some((_, key)) = member(value, at)
        && TABLE.kind(key) == CONSTRUCTOR
    {
        return Some(Strength::Decisive);
    }
    let indexed = at > end;
    let (open, _) = code::gap(value, at);
    let first = byte(value, code::gap(value, open.saturating_add(1)).0);
    let called = byte(value, open) == b'(' && matches!(first, b'"' | b'\'' | b'`');
    let member = indexed || byte(value, end.saturating_sub(12)) == b'.';
    (called && member).then_some(Strength::Decisive)
}

/// `$7:Module:prototype`: a path through the chunks of a Flight message.
fn flight(value: &[u8], start: usize) -> Option<Strength> {
    if start == 0 || byte(value, start.saturating_sub(1)) != b':' {
        return None;
    }
    let lead = value.get(start.saturating_sub(REACH)..start)?;
    let dollar = lead.iter().rposition(|&byte| byte == b'$')?;
    let path = rest(lead, dollar.saturating_add(1));
    path.iter()
        .all(|&letter| is_word(letter) || letter == b':')
        .then_some(Strength::Decisive)
}

/// `user__password__startswith`: a look-up that tries what another table's secret begins with.
pub(super) fn leaks(name: &[u8]) -> bool {
    let Some(last) = name.windows(2).rposition(|pair| pair == b"__") else {
        return false;
    };
    let lookup = rest(name, last.saturating_add(2));
    let tries = [
        &b"startswith"[..],
        b"istartswith",
        b"endswith",
        b"iendswith",
        b"contains",
        b"icontains",
        b"regex",
        b"iregex",
        b"has_key",
        b"has_keys",
        b"has_any_keys",
    ]
    .iter()
    .any(|known| lookup.eq_ignore_ascii_case(known));
    let path = name.get(..last).unwrap_or_default();
    let deep = path.windows(2).any(|pair| pair == b"__");
    let secret = [&b"password"[..], b"passwd", b"secret", b"token"]
        .iter()
        .any(|word| contains(path, word));
    tries && (secret || (deep && contains(path, b"user")))
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Place, Strength, View, bytes, hits_of};
    use super::scan;
    use crate::stages::injection::Hits;

    fn is_decisive(value: &str) -> bool {
        hits_of(value.as_bytes()).contains(&(Class::Node, Strength::Decisive))
    }

    #[test]
    fn code_of_a_server_is_found() {
        for value in [
            "require('child_process').exec('id')",
            "require(\"fs\").readFileSync('/etc/passwd')",
            "require('child_'+'process')",
            "global.process.mainModule.require('child_process').execSync('id')",
            "globalThis['process']['mainModule']",
            "process.mainModule.require('os')",
            "process.env",
            "process[\"env\"]",
            "process.binding('spawn_sync')",
            "process.exit(1)",
            "process.exit (1)",
            "process.exit/*x*/(1)",
            "process.kill\n(1, 9)",
            "Deno.run/*x*/({cmd:['id']})",
            "Bun.spawn\t(['id'])",
            "Bun.spawn (['id'])",
            "process[req.query.a",
            "this.constructor.constructor('return process')()",
            "[][\"constructor\"][\"constructor\"](\"return this\")()",
            "x.constructor('return process')()",
            "new Function('return 1')()",
            "Function(\"return this\")()",
            "function() { return 1 }",
            "function(a) { return a.constructor }",
            "function(a) { return process.env }",
            "function(a, b) { return a(b) }",
            "function(a) { return this }",
            "function(a) { while (a); }",
            "for (let i = 0;;) { console.log(i); }",
            "for (let i = 0; i < f(); i++) { console.log(i); }",
            "for (let i = 0; i < 10; i++) { console.log(i); } process.exit()",
            "_$$ND_FUNC$$_function(){}()",
            "__js_function",
            "console.log(1)",
            "console[\"info\"](1)",
            "console.info.call(this,1)",
            "import('fs').then(f => f)",
            "await import(\"node:child_process\")",
            "vm.runInNewContext('1')",
            "Deno.run({cmd: ['id']})",
            "Bun.spawn(['id'])",
            "while(true)",
            "while(!false)",
            "while ( !'' );",
            "while(1){}",
            "while(new Date);",
            "while((true)))",
            "{'get':'$3:constructor:constructor'}",
            "{\"then\":\"$7:Module:prototype:_compile\"}",
        ] {
            assert!(
                is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }

    #[test]
    fn talk_and_modules_are_none() {
        for value in [
            "you should use require('fs') here",
            "const fs = require('fs');",
            "import React from 'react'",
            "require 'spec_helper'",
            "the process.env file is missing",
            "process.",
            "console.",
            "the console (black) is new",
            "I see console.log(1) in the output",
            "console.log(list.length);\n// Prints: 42",
            "our new function (beta) is live",
            "function of the heart (cardiology)",
            "while (foo) is bar.",
            "while(!true);",
            "while (true love) lasts",
            "constructor of bridges",
            "import duty (EU)",
            "Bun. Deno. Node.",
            "process of elimination",
            "global process owner",
            "module: 7, prototype: 3",
            "kill -9",
            "function(a, b) { return a || b; }",
            "for (let i = 0; i < 10; i++) { console.log(i); }",
            "for (const x of list) { console.log(x) }",
        ] {
            assert!(
                !is_decisive(value),
                "{value}: {:?}",
                hits_of(value.as_bytes())
            );
        }
    }

    #[test]
    fn look_ups_through_relations_to_secrets() {
        let judge = |name: &[u8]| {
            let mut view = View::new(Place::Query, name, name, bytes::classes(name));
            view.is_name = true;
            let mut hits = Hits::default();
            scan(&view, &mut 1_000_000, &mut hits);
            hits.is_decisive(Class::Nosql)
        };
        for name in [
            &b"user__profile__icontains"[..],
            b"created_by__user__password__startswith",
            b"password__regex",
            b"user__metadata__has_keys",
        ] {
            assert!(judge(name), "{}", name.escape_ascii());
        }
        for name in [
            &b"created__gte"[..],
            b"category__name__icontains",
            b"name__icontains",
            b"user__id",
            b"__startswith",
            b"user_name",
            b"__RequestVerificationToken",
        ] {
            assert!(!judge(name), "{}", name.escape_ascii());
        }
    }
}
