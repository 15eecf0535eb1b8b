//! Operator-written patterns: parsed by regex-syntax, matched by our own machine in lock step over bytes.
//!
//! **In:** a pattern at configure time, bytes of a request later. **Out:** whether it matches anywhere in them.
//! **Invariant:** at most [`MAX_PROGRAM`] instructions; matching never backtracks, indexes or panics; bytes need not
//! be UTF-8, classes are ASCII. **Source:** Thompson 1968; Pike's lock-step simulation; code ours.
//! **Cost:** at most program × bytes, paid one step an instruction from the request's budget.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// Instructions of one pattern: bounds memory, and the worst cost of one byte.
pub const MAX_PROGRAM: usize = 4096;

/// Bytes of one pattern's text.
pub const MAX_TEXT: usize = 4096;

/// Nodes visited while compiling: repeated empty expressions emit nothing, yet take time.
const MAX_WORK: u32 = 65_536;

/// Groups within groups; compiling recurses as deep.
const MAX_NEST: u32 = 64;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    program: Vec<Instruction>,
}

#[derive(Debug, Clone, Copy)]
enum Instruction {
    /// Takes one byte of the set.
    Set([u64; 4]),
    /// Goes on at two places; at the next instruction is one of them.
    Fork(u32),
    /// Goes on elsewhere.
    Jump(u32),
    /// Goes on if the place between two bytes is right.
    Look(Edge),
    /// The pattern matched.
    Match,
}

/// Zero-width conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    Start,
    End,
    StartLine,
    EndLine,
    Word,
    NotWord,
}

impl Pattern {
    /// Compiles `text` (regex-syntax's grammar; bytes, ASCII classes; no look-around, no back-references).
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_TEXT {
            return Err(format!("it has {} bytes, not 1 to {MAX_TEXT}", text.len()));
        }
        let parsed = ParserBuilder::new()
            .utf8(false)
            .unicode(false)
            .nest_limit(MAX_NEST)
            .build()
            .parse(text);
        let hir = parsed.map_err(|error| match error {
            regex_syntax::Error::Parse(error) => {
                place(&error.kind().to_string(), error.span().start.offset)
            }
            regex_syntax::Error::Translate(error) => {
                place(&error.kind().to_string(), error.span().start.offset)
            }
            _ => "it cannot be read".to_owned(),
        })?;
        if hir.properties().minimum_len() == Some(0) && hir.properties().look_set().is_empty() {
            return Err("it matches everything, even nothing".to_owned());
        }
        let mut builder = Builder {
            program: Vec::new(),
            work: 0,
        };
        builder.node(&hir)?;
        builder.emit(Instruction::Match)?;
        Ok(Self {
            program: builder.program,
        })
    }

    /// Whether it matches anywhere in `bytes`; `None` when `steps` ran out.
    #[must_use]
    pub fn is_match(&self, bytes: &[u8], steps: &mut u64) -> Option<bool> {
        let mut machine = Machine {
            program: &self.program,
            seen: vec![0; self.program.len()],
            round: 0,
            stack: Vec::new(),
            matched: false,
        };
        let mut now: Vec<u32> = Vec::new();
        let mut next: Vec<u32> = Vec::new();
        let mut before = None;
        let mut rest = bytes;
        loop {
            let after = rest.first().copied();
            // Threads of `now` stand before their conditions: expand them, and a new one that starts here.
            machine.round = machine.round.wrapping_add(1);
            next.clear();
            for start in now.iter().copied().chain([0]) {
                machine.expand(start, before, after, &mut next, steps)?;
            }
            if machine.matched {
                return Some(true);
            }
            let Some((byte, shorter)) = rest.split_first() else {
                return Some(false);
            };
            now.clear();
            for at in next.iter().copied() {
                if let Some(Instruction::Set(set)) = machine.instruction(at) {
                    *steps = steps.checked_sub(1)?;
                    if contains(&set, *byte) {
                        now.push(at.wrapping_add(1));
                    }
                }
            }
            *steps = steps.checked_sub(1)?;
            before = Some(*byte);
            rest = shorter;
        }
    }
}

struct Machine<'p> {
    program: &'p [Instruction],
    /// The round in which an instruction was last reached: one visit a round.
    seen: Vec<u64>,
    round: u64,
    stack: Vec<u32>,
    matched: bool,
}

impl Machine<'_> {
    fn instruction(&self, at: u32) -> Option<Instruction> {
        usize::try_from(at)
            .ok()
            .and_then(|at| self.program.get(at))
            .copied()
    }

    /// Follows everything that takes no byte; instructions that take one go to `out`.
    fn expand(
        &mut self,
        start: u32,
        before: Option<u8>,
        after: Option<u8>,
        out: &mut Vec<u32>,
        steps: &mut u64,
    ) -> Option<()> {
        self.stack.clear();
        self.stack.push(start);
        while let Some(at) = self.stack.pop() {
            let round = self.round;
            let fresh = usize::try_from(at)
                .ok()
                .and_then(|at| self.seen.get_mut(at))
                .is_some_and(|seen| core::mem::replace(seen, round) != round);
            if !fresh {
                continue;
            }
            *steps = steps.checked_sub(1)?;
            match self.instruction(at) {
                Some(Instruction::Set(_)) => out.push(at),
                Some(Instruction::Fork(other)) => {
                    self.stack.push(other);
                    self.stack.push(at.wrapping_add(1));
                }
                Some(Instruction::Jump(to)) => self.stack.push(to),
                Some(Instruction::Look(edge)) if edge.holds(before, after) => {
                    self.stack.push(at.wrapping_add(1));
                }
                Some(Instruction::Look(_)) | None => {}
                Some(Instruction::Match) => {
                    self.matched = true;
                    return Some(());
                }
            }
        }
        Some(())
    }
}

impl Edge {
    fn holds(self, before: Option<u8>, after: Option<u8>) -> bool {
        let word = |byte: Option<u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match self {
            Self::Start => before.is_none(),
            Self::End => after.is_none(),
            Self::StartLine => matches!(before, None | Some(b'\n')),
            Self::EndLine => matches!(after, None | Some(b'\n')),
            Self::Word => word(before) != word(after),
            Self::NotWord => word(before) == word(after),
        }
    }
}

/// Bit `byte` of the set.
fn contains(set: &[u64; 4], byte: u8) -> bool {
    set.get(usize::from(byte >> 6))
        .is_some_and(|word| word.wrapping_shr(u32::from(byte & 63)) & 1 == 1)
}

struct Builder {
    program: Vec<Instruction>,
    work: u32,
}

impl Builder {
    fn emit(&mut self, instruction: Instruction) -> Result<usize, String> {
        if self.program.len() >= MAX_PROGRAM {
            return Err(format!(
                "it is too large: more than {MAX_PROGRAM} instructions"
            ));
        }
        self.program.push(instruction);
        Ok(self.program.len().saturating_sub(1))
    }

    /// Where the next instruction goes; at most [`MAX_PROGRAM`].
    fn here(&self) -> u32 {
        u32::try_from(self.program.len()).unwrap_or(u32::MAX)
    }

    fn patch(&mut self, at: usize, instruction: Instruction) {
        if let Some(slot) = self.program.get_mut(at) {
            *slot = instruction;
        }
    }

    fn node(&mut self, hir: &Hir) -> Result<(), String> {
        self.work = self.work.saturating_add(1);
        if self.work > MAX_WORK {
            return Err("it is too large".to_owned());
        }
        match hir.kind() {
            HirKind::Empty => Ok(()),
            HirKind::Literal(literal) => literal
                .0
                .iter()
                .try_for_each(|byte| self.set(&[(*byte, *byte)])),
            HirKind::Class(Class::Bytes(class)) => {
                let ranges: Vec<_> = class
                    .iter()
                    .map(|range| (range.start(), range.end()))
                    .collect();
                self.set(&ranges)
            }
            HirKind::Class(Class::Unicode(class)) => {
                let ranges: Option<Vec<(u8, u8)>> = class
                    .iter()
                    .map(|range| Some((ascii(range.start())?, ascii(range.end())?)))
                    .collect();
                self.set(&ranges.ok_or_else(|| "Unicode classes are not supported".to_owned())?)
            }
            HirKind::Look(look) => {
                let edge = match look {
                    Look::Start => Edge::Start,
                    Look::End => Edge::End,
                    Look::StartLF => Edge::StartLine,
                    Look::EndLF => Edge::EndLine,
                    Look::WordAscii => Edge::Word,
                    Look::WordAsciiNegate => Edge::NotWord,
                    _ => {
                        return Err(
                            "only `^`, `$`, `\\b` and `\\B` are supported of its conditions"
                                .to_owned(),
                        );
                    }
                };
                self.emit(Instruction::Look(edge)).map(|_| ())
            }
            HirKind::Repetition(repetition) => self.repeat(repetition),
            HirKind::Capture(capture) => self.node(&capture.sub),
            HirKind::Concat(parts) => parts.iter().try_for_each(|part| self.node(part)),
            HirKind::Alternation(parts) => self.either(parts),
        }
    }

    /// An empty set never matches, which is what an empty class says.
    fn set(&mut self, ranges: &[(u8, u8)]) -> Result<(), String> {
        let mut set = [0u64; 4];
        for byte in ranges.iter().flat_map(|(first, last)| *first..=*last) {
            if let Some(word) = set.get_mut(usize::from(byte >> 6)) {
                *word |= 1u64.wrapping_shl(u32::from(byte & 63));
            }
        }
        self.emit(Instruction::Set(set)).map(|_| ())
    }

    fn either(&mut self, parts: &[Hir]) -> Result<(), String> {
        let Some((last, others)) = parts.split_last() else {
            return Ok(());
        };
        let mut ends = Vec::new();
        for part in others {
            let fork = self.emit(Instruction::Fork(0))?;
            self.node(part)?;
            ends.push(self.emit(Instruction::Jump(0))?);
            let next = self.here();
            self.patch(fork, Instruction::Fork(next));
        }
        self.node(last)?;
        let end = self.here();
        ends.into_iter()
            .for_each(|jump| self.patch(jump, Instruction::Jump(end)));
        Ok(())
    }

    /// `x{min,max}` as `min` copies and then `x*`, or nested `x?`. Whether it is greedy does not matter: only
    /// whether there is a match is asked.
    fn repeat(&mut self, repetition: &Repetition) -> Result<(), String> {
        for _ in 0..repetition.min {
            self.node(&repetition.sub)?;
        }
        let Some(max) = repetition.max else {
            let fork = self.emit(Instruction::Fork(0))?;
            self.node(&repetition.sub)?;
            let back = u32::try_from(fork).unwrap_or(u32::MAX);
            self.emit(Instruction::Jump(back))?;
            let end = self.here();
            self.patch(fork, Instruction::Fork(end));
            return Ok(());
        };
        let mut forks = Vec::new();
        for _ in repetition.min..max {
            forks.push(self.emit(Instruction::Fork(0))?);
            self.node(&repetition.sub)?;
        }
        let end = self.here();
        forks
            .into_iter()
            .for_each(|fork| self.patch(fork, Instruction::Fork(end)));
        Ok(())
    }
}

fn ascii(character: char) -> Option<u8> {
    u8::try_from(character).ok().filter(u8::is_ascii)
}

fn place(problem: &str, offset: usize) -> String {
    let line: Vec<&str> = problem.split_whitespace().collect();
    format!("{} (at byte {offset})", line.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches() {
        const CASES: &[(&str, &[u8], bool)] = &[
            ("abc", b"xxabcxx", true),
            ("abc", b"ab", false),
            ("abc", b"", false),
            ("aab", b"aaab", true),
            ("^abc$", b"abc", true),
            ("^abc$", b"abc\n", false),
            ("^abc", b"xabc", false),
            ("^$", b"", true),
            ("^$", b"x", false),
            ("(?m)^b$", b"a\nb\nc", true),
            ("a|bc|d", b"xbcx", true),
            ("^(?:a|bc|d)$", b"b", false),
            ("^a*b+c?$", b"aabb", true),
            ("^a*b+c?$", b"aa", false),
            ("^a{2,3}$", b"a", false),
            ("^a{2,3}$", b"aa", true),
            ("^a{2,3}$", b"aaa", true),
            ("^a{2,3}$", b"aaaa", false),
            ("^a{2}$", b"aa", true),
            ("^a{2,}$", b"aaaaa", true),
            ("^(?:a*)*b$", b"aaaab", true),
            ("^(?:a|b?)+c$", b"ababc", true),
            ("(?i)select", b"a SeLeCt b", true),
            ("[a-c]+[^a-c]", b"abcd", true),
            ("^[^a]$", b"\xFF", true),
            (r"^\xFF\x00$", b"\xFF\x00", true),
            ("é", "é".as_bytes(), true),
            (r"\bdrop\b", b"x drop table", true),
            (r"\bdrop\b", b"raindrops", false),
            (r"\Bdrop\B", b"raindrops", true),
            (r"^\d+\s\w$", b"12 _", true),
            (".", b"\n", false),
            ("(?s)^.$", b"\n", true),
            (r"[a&&b]", b"ab", false),
        ];
        for (pattern, text, expected) in CASES {
            let compiled = Pattern::new(pattern).unwrap();
            assert_eq!(
                compiled.is_match(text, &mut 100_000),
                Some(*expected),
                "{pattern} on {text:?}"
            );
        }
    }

    #[test]
    fn refused() {
        const CASES: &[(&str, &str)] = &[
            ("", "not 1 to"),
            ("(", "unclosed"),
            ("(?=a)", "look-around"),
            (r"(a)\1", "backreference"),
            ("a*", "matches everything"),
            ("(?u)é+", ""),
            (r"a{5000}", "too large"),
            ("(?:(?:a{50}){50}){50}", "too large"),
            (r"a(?:\b{start-half}x)", "only `^`"),
        ];
        for (pattern, expected) in CASES {
            match Pattern::new(pattern) {
                Err(error) => {
                    assert!(error.contains(expected), "{pattern}: {error}");
                    assert!(!error.contains('\n'), "{pattern}: {error}");
                }
                Ok(_) => assert!(expected.is_empty(), "{pattern} was accepted"),
            }
        }
        assert!(Pattern::new("a{4095}").is_ok());
        assert!(Pattern::new("a{4096}").is_err());
        assert!(Pattern::new(&"(".repeat(500)).is_err());
    }

    /// The classic exponential case is linear, and its cost is what the budget says.
    #[test]
    fn steps_are_spent() {
        let compiled = Pattern::new("(?:a?){30}a{30}").unwrap();
        let text = [b'a'; 29];
        let mut steps = 1_000_000;
        assert_eq!(compiled.is_match(&text, &mut steps), Some(false));
        let spent = 1_000_000 - steps;
        let most = 2 * u64::try_from(compiled.program.len() * (text.len() + 1)).unwrap() + 60;
        assert!(spent <= most, "{spent} > {most}");
        assert_eq!(compiled.is_match(&text, &mut spent.clone()), Some(false));
        assert_eq!(compiled.is_match(&text, &mut (spent - 1)), None);
        assert_eq!(compiled.is_match(&text, &mut 0), None);
    }
}
