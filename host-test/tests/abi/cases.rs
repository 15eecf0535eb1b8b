//! The text form of the tables in `cases/`: what the probe does in which callback, and what must come of it.
//!
//! A case is a block of lines, `#` starts a comment:
//! ```text
//! case NAME
//!   set KEY VALUE                        # vm_id, env, log_level, clusters, stop_iteration …
//!   CALLBACK FUNCTION(ARGUMENTS) STATUS OUT=VALUE …
//!   CALLBACK return NUMBER               # what the callback answers
//!   CALLBACK alloc fail | NUMBER | normal   # what the guest's allocator answers from here on
//!   mutate                               # besides: the last call again with each pointer and size made invalid
//!   > EFFECT                             # what the world outside sees
//! phases FUNCTION(ARGUMENTS) CALLBACK,CALLBACK=STATUS *=STATUS   # `roots`, `tcp`: those of such a context; `-`: not tried
//! ```
//! CALLBACK is a name of `probe::PHASES`, `#2` after it means its second run. Arguments: a number or a name of `constant`; `"text"` and
//! `{name: value, …}` (pointer and size); `&slot` (pointer to 8 bytes for a result); `$slot` (the 32 bits there); `["a" "b"]` (an iovec
//! list and its count). Results: `slot=7`, `slot!=0`, `slot:u64=7`, `data+size="text"`, `data+size={map}`.

use crate::probe::{PHASES, ROOTS, TCP};

#[derive(Clone, Debug)]
pub(crate) enum Argument {
    Number(i64),
    /// Pointer and size.
    Bytes(Vec<u8>),
    /// Pointer and count.
    Vectors(Vec<Vec<u8>>),
    /// Pointer to a result.
    Out(String),
    /// A result of before.
    Value(String),
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Call {
        function: String,
        arguments: Vec<Argument>,
        status: String,
        checks: Vec<Check>,
    },
    Return(i64),
    /// `None`: as usual; else what the allocator answers.
    Allocate(Option<i64>),
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) phase: usize,
    /// Which run of the callback, from 0.
    pub(crate) run: u32,
    pub(crate) action: Action,
    pub(crate) line: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) slots: Vec<String>,
    pub(crate) wanted: Wanted,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    Number(i64),
    Wide(i64),
    NotZero,
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) steps: Vec<Step>,
    pub(crate) mutate: bool,
    pub(crate) effects: Vec<String>,
}

/// The cases of one file; an error names the line.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Case>, String> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line_number = number + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        parse_line(line, line_number, &mut cases)
            .map_err(|error| format!("{file}:{line_number}: {error}: {line}"))?;
    }
    Ok(cases)
}

fn parse_line(line: &str, number: usize, cases: &mut Vec<Case>) -> Result<(), String> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    if word == "case" {
        cases.push(Case {
            name: rest.to_owned(),
            ..Case::default()
        });
        return Ok(());
    }
    if word == "phases" {
        cases.extend(matrix(rest, number)?);
        return Ok(());
    }
    let case = cases.last_mut().ok_or("no case yet")?;
    match word {
        "set" => {
            let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
            case.settings
                .push((key.to_owned(), value.trim().to_owned()));
        }
        "mutate" => case.mutate = true,
        ">" => case.effects.push(rest.to_owned()),
        _ => {
            let (phase, run) = phase(word)?;
            let action = action(rest)?;
            case.steps.push(Step {
                phase,
                run,
                action,
                line: number,
            });
        }
    }
    Ok(())
}

fn phase(word: &str) -> Result<(usize, u32), String> {
    let (name, run) = word.split_once('#').unwrap_or((word, "1"));
    let phase = PHASES
        .iter()
        .position(|phase| phase.name == name)
        .ok_or_else(|| format!("no callback `{name}`"))?;
    let run: u32 = run.parse().map_err(|_| "the run is no number")?;
    Ok((phase, run.saturating_sub(1)))
}

fn action(text: &str) -> Result<Action, String> {
    if let Some(number) = text.strip_prefix("return ") {
        return Ok(Action::Return(constant(number.trim())?));
    }
    if let Some(how) = text.strip_prefix("alloc ") {
        return Ok(Action::Allocate(match how.trim() {
            "normal" => None,
            "fail" => Some(0),
            number => Some(constant(number)?),
        }));
    }
    let mut reader = Reader(text);
    let (function, arguments) = reader.call()?;
    let (status, checks) = reader.result()?;
    Ok(Action::Call {
        function,
        arguments,
        status,
        checks,
    })
}

/// `FUNCTION(ARGUMENTS) a,b=STATUS *=STATUS`: one case for each callback.
fn matrix(text: &str, line: usize) -> Result<Vec<Case>, String> {
    let mut reader = Reader(text);
    let (function, arguments) = reader.call()?;
    let mut expected: Vec<Option<&str>> = vec![None; PHASES.len()];
    let mut rest = None;
    for group in reader.0.split_whitespace() {
        let (names, status) = group.split_once('=').ok_or("no `=`")?;
        if names == "*" {
            rest = Some(status);
            continue;
        }
        for name in names.split(',') {
            // `roots` are all callbacks in a root context, `tcp` those of a connection.
            let named = std::slice::from_ref(&name);
            let names = match name {
                "roots" => ROOTS,
                "tcp" => TCP,
                _ => named,
            };
            for name in names {
                *expected.get_mut(phase(name)?.0).ok_or("phase")? = Some(status);
            }
        }
    }
    let mut cases = Vec::new();
    for (at, phase) in PHASES.iter().enumerate() {
        let Some(status) = expected
            .get(at)
            .copied()
            .flatten()
            .or(rest)
            .filter(|_| phase.matrix)
        else {
            continue;
        };
        if status == "-" {
            continue;
        }
        cases.push(Case {
            name: format!("{function} in {}", phase.name),
            steps: vec![Step {
                phase: at,
                run: 0,
                action: Action::Call {
                    function: function.clone(),
                    arguments: arguments.clone(),
                    status: status.to_owned(),
                    checks: Vec::new(),
                },
                line,
            }],
            ..Case::default()
        });
    }
    Ok(cases)
}

struct Reader<'a>(&'a str);

impl<'a> Reader<'a> {
    fn skip(&mut self) {
        self.0 = self.0.trim_start_matches([' ', ',']);
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.0.strip_prefix(text);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn word(&mut self) -> &'a str {
        let end = self
            .0
            .find(|c: char| !(c.is_alphanumeric() || "_-.+#".contains(c)))
            .unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word
    }

    fn call(&mut self) -> Result<(String, Vec<Argument>), String> {
        let function = self.word().to_owned();
        if !self.take("(") {
            return Err(format!("no `(` after `{function}`"));
        }
        let mut arguments = Vec::new();
        loop {
            self.skip();
            if self.take(")") {
                return Ok((function, arguments));
            }
            arguments.push(self.argument()?);
        }
    }

    fn argument(&mut self) -> Result<Argument, String> {
        if self.0.starts_with(['"', '{']) {
            return self.bytes().map(Argument::Bytes);
        }
        if self.take("[") {
            let mut list = Vec::new();
            loop {
                self.skip();
                if self.take("]") {
                    return Ok(Argument::Vectors(list));
                }
                list.push(self.bytes()?);
            }
        }
        if self.take("&") {
            return Ok(Argument::Out(self.word().to_owned()));
        }
        if self.take("$") {
            return Ok(Argument::Value(self.word().to_owned()));
        }
        let word = self.word();
        if word.is_empty() {
            return Err(format!("an argument is missing at `{}`", self.0));
        }
        constant(word).map(Argument::Number)
    }

    /// `"text"` or `{name: value}`.
    fn bytes(&mut self) -> Result<Vec<u8>, String> {
        if self.take("{") {
            let (inside, rest) = self.0.split_once('}').ok_or("no `}`")?;
            self.0 = rest;
            let pairs: Vec<(&str, &str)> = inside
                .split(',')
                .map(str::trim)
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    pair.split_once(": ")
                        .ok_or_else(|| format!("no `: ` in `{pair}`"))
                })
                .collect::<Result<_, _>>()?;
            return Ok(map(&pairs));
        }
        if !self.take("\"") {
            return Err(format!("no text at `{}`", self.0));
        }
        let (inside, rest) = self.0.split_once('"').ok_or("no closing quote")?;
        self.0 = rest;
        unescape(inside)
    }

    fn result(&mut self) -> Result<(String, Vec<Check>), String> {
        self.skip();
        let status = self.word().to_owned();
        let mut checks = Vec::new();
        loop {
            self.skip();
            if self.0.is_empty() || self.0.starts_with('#') {
                return Ok((status, checks));
            }
            let slots: Vec<String> = self.word().split('+').map(str::to_owned).collect();
            let wanted = if self.take("!=0") {
                Wanted::NotZero
            } else if self.take(":u64=") {
                Wanted::Wide(constant(self.word())?)
            } else if self.take("=") {
                if self.0.starts_with(['"', '{']) {
                    Wanted::Bytes(self.bytes()?)
                } else {
                    Wanted::Number(constant(self.word())?)
                }
            } else {
                return Err(format!("no `=` at `{}`", self.0));
            };
            checks.push(Check { slots, wanted });
        }
    }
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let (hex, after) = rest
            .split_at_checked(2)
            .ok_or("two hex digits after `\\`")?;
        rest = after;
        let hex = std::str::from_utf8(hex).map_err(|e| e.to_string())?;
        out.push(u8::from_str_radix(hex, 16).map_err(|e| e.to_string())?);
    }
    Ok(out)
}

/// The ABI's serialization, written here a second time, from the specification.
pub(crate) fn map(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    if pairs.is_empty() {
        return out;
    }
    let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    out.extend(size(pairs.len()));
    for (name, value) in pairs {
        out.extend(size(name.len()));
        out.extend(size(value.len()));
    }
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        out.extend(text.as_bytes());
        out.push(0);
    }
    out
}

const CONSTANTS: [(&str, i64); 40] = [
    ("TRACE", 0),
    ("DEBUG", 1),
    ("INFO", 2),
    ("WARN", 3),
    ("ERROR", 4),
    ("CRITICAL", 5),
    ("STDOUT", 1),
    ("STDERR", 2),
    ("REALTIME", 0),
    ("MONOTONIC", 1),
    ("COUNTER", 0),
    ("GAUGE", 1),
    ("HISTOGRAM", 2),
    ("CONTINUE", 0),
    ("PAUSE", 1),
    ("FALSE", 0),
    ("TRUE", 1),
    ("HTTP_REQUEST_BODY", 0),
    ("HTTP_RESPONSE_BODY", 1),
    ("DOWNSTREAM_DATA", 2),
    ("UPSTREAM_DATA", 3),
    ("HTTP_CALL_RESPONSE_BODY", 4),
    ("GRPC_CALL_MESSAGE", 5),
    ("VM_CONFIGURATION", 6),
    ("PLUGIN_CONFIGURATION", 7),
    ("FOREIGN_FUNCTION_ARGUMENTS", 8),
    ("HTTP_REQUEST_HEADERS", 0),
    ("HTTP_REQUEST_TRAILERS", 1),
    ("HTTP_RESPONSE_HEADERS", 2),
    ("HTTP_RESPONSE_TRAILERS", 3),
    ("GRPC_CALL_INITIAL_METADATA", 4),
    ("GRPC_CALL_TRAILING_METADATA", 5),
    ("HTTP_CALL_RESPONSE_HEADERS", 6),
    ("HTTP_CALL_RESPONSE_TRAILERS", 7),
    ("HTTP_REQUEST", 0),
    ("HTTP_RESPONSE", 1),
    ("DOWNSTREAM", 2),
    ("UPSTREAM", 3),
    // No memory is there; the largest number.
    ("NOWHERE", 0xffff_fff0),
    ("MAX", 0xffff_ffff),
];

fn constant(word: &str) -> Result<i64, String> {
    if let Some((_, number)) = CONSTANTS.iter().find(|(name, _)| *name == word) {
        return Ok(*number);
    }
    let parsed = match word.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16),
        None => word.parse(),
    };
    parsed.map_err(|_| format!("`{word}` is no number and no constant"))
}
