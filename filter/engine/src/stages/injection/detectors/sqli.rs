//! SQL: token patterns in the three contexts a value can land in (bare, inside `'`, inside `"`).
//!
//! **In:** a decoded value. **Out:** hits of class `sqli`.
//! **Invariant:** patterns look a constant number of tokens ahead, so the cost is linear whatever the input.
//! **Source:** the fragment grammars of MySQL, PostgreSQL, SQL Server, Oracle and SQLite manuals.
//! **Cost:** one pass a context, only for quotes that occur; words of prose form no pattern.

use alloc::vec::Vec;

use super::bytes::{self, AMP, ANGLE, HASH, OPERATOR, PAREN, PIPE, QUOTE, STAR};
use super::sql_tokens::{Flags, Kind, Token, tokenize};
use super::triggers::{LIKE, LOGIC, SQL};
use super::{Class, Hits, Strength, View};

/// Scans one value.
pub(super) fn scan(view: &View<'_>, tokens: &mut Vec<Token>, steps: &mut u64, hits: &mut Hits) {
    let View {
        bytes: value,
        classes,
        words,
        ..
    } = *view;
    let logic = words & LOGIC != 0
        || (classes & PIPE != 0 && bytes::doubled(value, b'|'))
        || (classes & AMP != 0 && bytes::doubled(value, b'&'));
    let operator = classes & (OPERATOR | ANGLE | STAR | HASH | QUOTE | PAREN) != 0;
    let bare = words & SQL != 0
        || (logic && (operator || words & LIKE != 0))
        || (words & LOGIC != 0 && bytes::doubled(value, b'-'));
    for context in [0, b'\'', b'"'] {
        let needed = if context == 0 {
            bare
        } else {
            classes & QUOTE != 0 && value.contains(&context)
        };
        if !needed {
            continue;
        }
        super::spend(steps, value.len());
        tokenize(value, context, tokens);
        judge(tokens, hits);
        if hits.is_decisive(Class::Sqli) {
            return;
        }
    }
}

/// The kinds of the tokens in which a value's hit was seen, for a trace: those of the first reading that has one.
pub(in crate::stages::injection) fn shape(value: &[u8]) -> Vec<u8> {
    let mut shape = Vec::new();
    let mut tokens = Vec::new();
    for context in [0, b'\'', b'"'] {
        let mut hits = Hits::default();
        tokenize(value, context, &mut tokens);
        judge(&tokens, &mut hits);
        if hits.is_empty() {
            continue;
        }
        for token in tokens.iter().take(SHAPE) {
            if !shape.is_empty() {
                shape.push(b' ');
            }
            shape.extend_from_slice(token.kind.name());
        }
        break;
    }
    shape
}

/// Tokens told of a shape.
const SHAPE: usize = 24;

/// Token access that ends in `End`.
struct Stream<'a>(&'a [Token]);

impl Stream<'_> {
    fn kind(&self, at: usize) -> Kind {
        self.0.get(at).map_or(Kind::End, |token| token.kind)
    }

    fn has(&self, at: usize, flag: Flags) -> bool {
        self.0.get(at).is_some_and(|token| token.has(flag))
    }

    fn before(&self, at: usize) -> Kind {
        at.checked_sub(1).map_or(Kind::End, |at| self.kind(at))
    }

    fn skip(&self, mut at: usize, kinds: &[Kind]) -> usize {
        for _ in 0..4 {
            if !kinds.contains(&self.kind(at)) {
                break;
            }
            at = at.saturating_add(1);
        }
        at
    }

    /// The value sits inside a quote that it closed.
    fn broke_out(&self) -> bool {
        self.kind(0) == Kind::Prefix
    }
}

const fn is_literal(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Str | Kind::StrOpen | Kind::Num | Kind::Lit | Kind::Var | Kind::SysVar
    )
}

const fn is_call(kind: Kind) -> bool {
    matches!(kind, Kind::Danger | Kind::Timed | Kind::Func)
}

/// A name; words that SQL gives a meaning elsewhere are names here.
const fn is_name(kind: Kind) -> bool {
    matches!(kind, Kind::Word | Kind::Object)
}

/// What may follow a complete condition.
const fn is_closing(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::End
            | Kind::Comment
            | Kind::Logic
            | Kind::Semi
            | Kind::Union
            | Kind::Order
            | Kind::Having
            | Kind::Limit
            | Kind::Into
            | Kind::StrOpen
            | Kind::Op
            | Kind::From
    )
}

fn judge(tokens: &[Token], hits: &mut Hits) {
    let stream = Stream(tokens);
    for (at, token) in tokens.iter().enumerate() {
        let strength = match token.kind {
            Kind::Prefix => prefix(&stream),
            Kind::Union => union(&stream, at),
            Kind::Select => select(&stream, at),
            Kind::Logic | Kind::Having => logic(&stream, at),
            Kind::Semi => stacked(&stream, at),
            Kind::Danger | Kind::Timed | Kind::Func => call(&stream, at),
            Kind::Schema => Some(Strength::Decisive),
            Kind::SysVar => Some(match stream.before(at) {
                Kind::Select | Kind::Logic | Kind::Comma | Kind::Op | Kind::All => {
                    Strength::Decisive
                }
                _ => Strength::Suspicious,
            }),
            Kind::Waitfor if stream.kind(at.saturating_add(1)) == Kind::Delay => {
                let what = stream.kind(at.saturating_add(2));
                (matches!(what, Kind::Str | Kind::StrOpen | Kind::Num))
                    .then_some(Strength::Decisive)
            }
            Kind::Into if stream.kind(at.saturating_add(1)) == Kind::Outfile => {
                Some(Strength::Decisive)
            }
            Kind::Order => order(&stream, at),
            Kind::Comma => nulls(&stream, at),
            Kind::Comment => comment(&stream, at),
            Kind::Like => like(&stream, at),
            Kind::Ddl | Kind::Insert | Kind::Delete | Kind::Update | Kind::Exec | Kind::Declare => {
                opening(&stream, at)
            }
            _ => None,
        };
        if let Some(strength) = strength {
            hits.add(Class::Sqli, strength, token.at());
            if strength == Strength::Decisive {
                return;
            }
        }
    }
}

/// Right after the closed quote.
fn prefix(stream: &Stream<'_>) -> Option<Strength> {
    let short = stream.has(0, Flags::SHORT);
    match stream.kind(stream.skip(1, &[Kind::Not])) {
        Kind::Not => None,
        Kind::Comment => {
            // `admin'--` closes a statement; `the boys' -- all of them` is a dash.
            let dashes = stream.has(1, Flags::DASHES);
            let cuts = if stream.has(1, Flags::EMPTY) {
                dashes || short
            } else {
                dashes && (stream.has(1, Flags::CLOSED) || short)
            };
            if cuts && !stream.has(0, Flags::ODD) {
                Some(Strength::Decisive)
            } else {
                Some(Strength::Suspicious)
            }
        }
        Kind::Semi if matches!(stream.kind(2), Kind::Comment) => Some(Strength::Decisive),
        Kind::Op | Kind::Like => {
            let next = stream.kind(2);
            let after = stream.kind(3);
            if is_call(next) || next == Kind::Select || next == Kind::SysVar {
                return Some(Strength::Decisive);
            }
            if next == Kind::StrOpen && after == Kind::End && stream.has(2, Flags::EMPTY) {
                return Some(if stream.has(0, Flags::EMPTY) || short {
                    Strength::Decisive
                } else {
                    Strength::Suspicious
                });
            }
            if is_literal(next) && matches!(after, Kind::Comment | Kind::Logic) {
                return Some(Strength::Decisive);
            }
            expression(stream)
        }
        Kind::Order if is_literal(stream.kind(2)) => Some(Strength::Decisive),
        Kind::Having | Kind::Waitfor | Kind::Exec if stream.kind(2) != Kind::Word => {
            Some(Strength::Decisive)
        }
        Kind::Comma if is_literal(stream.kind(2)) || is_call(stream.kind(2)) => {
            let mut at = 2_usize;
            while is_literal(stream.kind(at))
                && stream.kind(at.saturating_add(1)) == Kind::Comma
                && at < 16
            {
                at = at.saturating_add(2);
            }
            let end = stream.kind(at.saturating_add(1));
            (end == Kind::Comment || is_call(stream.kind(at))).then_some(Strength::Decisive)
        }
        _ => None,
    }
}

/// From the closed quote to the one that the value leaves open, operators and operands alternate.
fn expression(stream: &Stream<'_>) -> Option<Strength> {
    let mut at = 1_usize;
    let mut joins = 0_u8;
    let mut compares = false;
    while at < 24 {
        match stream.kind(at) {
            Kind::Op | Kind::Like | Kind::Logic => {
                compares |= stream.kind(at) != Kind::Op || stream.has(at, Flags::COMPARES);
            }
            _ => return None,
        }
        joins = joins.saturating_add(1);
        at = stream.skip(at.saturating_add(1), &[Kind::Not, Kind::Op, Kind::Like]);
        let operand = stream.kind(at);
        let next = stream.kind(at.saturating_add(1));
        if operand == Kind::StrOpen && next == Kind::End {
            let tight = stream.has(0, Flags::SHORT) && compares;
            // `"LIKE" STAMP` is a title with a quoted word.
            let quoted = stream.has(0, Flags::EMPTY) && stream.kind(1) == Kind::Like;
            return ((joins > 1 && compares) || (tight && !quoted)).then_some(Strength::Decisive);
        }
        if !is_literal(operand) && !is_name(operand) {
            return None;
        }
        at = at.saturating_add(1);
    }
    None
}

fn union(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let first = stream.skip(at.saturating_add(1), &[Kind::All]);
    let all = first > at.saturating_add(1);
    if stream.kind(first) != Kind::Select {
        return None;
    }
    let item = stream.skip(first.saturating_add(1), &[Kind::All, Kind::Not]);
    let kind = stream.kind(item);
    let after = stream.kind(item.saturating_add(1));
    let sure = all
        || stream.has(first, Flags::OPEN)
        || stream.has(first, Flags::COMMENTED)
        || stream.has(at, Flags::COMMENTED)
        || stream.broke_out()
        || is_literal(kind)
        || is_call(kind)
        || matches!(kind, Kind::Op | Kind::Comment | Kind::Select | Kind::Schema)
        || (is_name(kind) && matches!(after, Kind::Comma | Kind::From | Kind::Comment | Kind::Op))
        || (kind == Kind::End && (at == 0 || is_literal(stream.before(at))));
    Some(if sure {
        Strength::Decisive
    } else {
        Strength::Suspicious
    })
}

fn select(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let before = stream.before(at);
    let compared = before == Kind::Op
        && at
            .checked_sub(1)
            .is_some_and(|at| stream.has(at, Flags::COMPARES));
    let nested = stream.has(at, Flags::OPEN)
        || compared
        || matches!(
            before,
            Kind::Prefix | Kind::Semi | Kind::Logic | Kind::Comma | Kind::Exec
        );
    let leading = at == 0;
    let item = stream.skip(at.saturating_add(1), &[Kind::All, Kind::Not]);
    let kind = stream.kind(item);
    let after = stream.kind(item.saturating_add(1));
    if is_call(kind) && (nested || leading) {
        return Some(Strength::Decisive);
    }
    if kind == Kind::Danger || kind == Kind::SysVar {
        return Some(Strength::Decisive);
    }
    if (is_literal(kind) || kind == Kind::Op) && (nested || leading) {
        let sure = matches!(
            after,
            Kind::Comma
                | Kind::From
                | Kind::Comment
                | Kind::Semi
                | Kind::Op
                | Kind::Logic
                | Kind::Union
        ) || (nested && after != Kind::Word);
        return sure.then_some(Strength::Decisive);
    }
    if !is_name(kind) {
        return None;
    }
    if (nested || leading) && stream.has(item, Flags::CALLED) && (nested || is_literal(after)) {
        return Some(Strength::Decisive);
    }
    // A list of names up to FROM: commas, operators and calls are SQL, a run of words is a sentence.
    let mut words = 0_u8;
    let mut listed = false;
    for step in 0..24 {
        match stream.kind(item.saturating_add(step)) {
            Kind::Word | Kind::Object => words = words.saturating_add(1),
            Kind::Comma => {
                words = 0;
                listed = true;
            }
            Kind::Op | Kind::Func | Kind::Danger | Kind::Num | Kind::Str => words = 0,
            Kind::From if words < 2 => {
                let table = item.saturating_add(step).saturating_add(1);
                let then = stream.kind(table.saturating_add(1));
                let clause = matches!(
                    then,
                    Kind::Where
                        | Kind::Comment
                        | Kind::Semi
                        | Kind::Limit
                        | Kind::Order
                        | Kind::Union
                        | Kind::Having
                );
                if !matches!(
                    stream.kind(table),
                    Kind::Word | Kind::Object | Kind::Schema | Kind::Select
                ) {
                    return None;
                }
                return Some(
                    if nested || (leading && (clause || listed)) || (listed && clause) {
                        Strength::Decisive
                    } else {
                        Strength::Suspicious
                    },
                );
            }
            _ => return None,
        }
        if words > 2 {
            return None;
        }
    }
    None
}

/// `AND`/`OR`/`||`/`&&`/`HAVING` and what it joins.
fn logic(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let left = stream.skip(at.saturating_add(1), &[Kind::Not]);
    let kind = stream.kind(left);
    let next = stream.kind(left.saturating_add(1));
    let word = !stream.has(at, Flags::SYMBOL);
    if kind == Kind::Select || (kind == Kind::Exists && next == Kind::Select) {
        let real = stream.has(left, Flags::OPEN) || kind == Kind::Exists;
        return real.then_some(Strength::Decisive);
    }
    if kind == Kind::Danger {
        return Some(Strength::Decisive);
    }
    if is_call(kind) {
        return if word || stream.broke_out() || is_literal(stream.before(at)) {
            Some(Strength::Decisive)
        } else {
            Some(Strength::Suspicious)
        };
    }
    let start = at <= 1 && (stream.broke_out() || at == 0);
    if is_literal(kind) {
        if matches!(next, Kind::Op | Kind::Like) {
            let right = stream.skip(left.saturating_add(2), &[Kind::Not, Kind::All, Kind::Op]);
            let other = stream.kind(right);
            let after = stream.kind(right.saturating_add(1));
            if other == Kind::Select || is_call(other) {
                return Some(Strength::Decisive);
            }
            if is_literal(other) {
                let open = after == Kind::StrOpen
                    && !stream.broke_out()
                    && !stream.has(right.saturating_add(1), Flags::EMPTY);
                let sure =
                    other == Kind::StrOpen || (is_closing(after) && !open) || stream.broke_out();
                let compares =
                    stream.has(left.saturating_add(1), Flags::COMPARES) || next == Kind::Like;
                return Some(match (sure, compares) {
                    (true, true) => Strength::Decisive,
                    (true, false) if stream.broke_out() => Strength::Decisive,
                    (true, false) => Strength::Suspicious,
                    _ => Strength::Weak,
                });
            }
            if other == Kind::End && start {
                return Some(Strength::Decisive);
            }
            return start.then_some(Strength::Suspicious);
        }
        if next == Kind::Comment {
            return Some(Strength::Decisive);
        }
        let short = stream.has(0, Flags::SHORT);
        if kind == Kind::StrOpen && start && stream.broke_out() {
            return Some(if short {
                Strength::Decisive
            } else {
                Strength::Suspicious
            });
        }
        if start && stream.broke_out() && is_closing(next) && (short || next != Kind::StrOpen) {
            return Some(Strength::Decisive);
        }
        if kind == Kind::Lit && is_closing(next) {
            return Some(Strength::Suspicious);
        }
        return None;
    }
    if kind == Kind::Word && matches!(next, Kind::Op | Kind::Like) {
        let right = stream.skip(left.saturating_add(2), &[Kind::Not]);
        let other = stream.kind(right);
        let after = stream.kind(right.saturating_add(1));
        if other == Kind::Select && stream.has(right, Flags::OPEN) {
            return Some(Strength::Decisive);
        }
        if stream.broke_out() && at == 1 && (is_literal(other) || is_call(other)) {
            return Some(Strength::Decisive);
        }
        if (is_literal(other) || other == Kind::Word)
            && after == Kind::Comment
            && stream.has(right.saturating_add(1), Flags::EMPTY)
        {
            return Some(Strength::Decisive);
        }
        return Some(Strength::Weak);
    }
    None
}

/// The statement that starts at `at`.
fn statement(stream: &Stream<'_>, at: usize) -> bool {
    let next = stream.kind(at.saturating_add(1));
    let third = stream.kind(at.saturating_add(2));
    match stream.kind(at) {
        Kind::Ddl => next == Kind::Object,
        Kind::Insert => next == Kind::Into || next == Kind::Object,
        Kind::Delete => next == Kind::From && matches!(third, Kind::Word | Kind::Schema),
        Kind::Update => matches!(next, Kind::Word | Kind::Schema) && third == Kind::Set,
        Kind::Exec => {
            matches!(
                next,
                Kind::Danger | Kind::Schema | Kind::Var | Kind::Str | Kind::StrOpen | Kind::Num
            ) || stream.has(at.saturating_add(1), Flags::PROC)
        }
        Kind::Declare => matches!(next, Kind::Var),
        Kind::Waitfor => next == Kind::Delay,
        Kind::Select => {
            is_literal(next)
                || is_call(next)
                || matches!(next, Kind::Op | Kind::Schema)
                || (next == Kind::Word && matches!(third, Kind::From | Kind::Comma | Kind::Into))
        }
        Kind::Set => matches!(next, Kind::Var | Kind::SysVar),
        _ => false,
    }
}

fn stacked(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let next = at.saturating_add(1);
    if statement(stream, next) {
        return Some(Strength::Decisive);
    }
    if stream.kind(next) == Kind::Shutdown
        && matches!(
            stream.kind(next.saturating_add(1)),
            Kind::End | Kind::Comment | Kind::Semi
        )
    {
        return Some(Strength::Decisive);
    }
    (stream.broke_out() && at <= 2 && stream.kind(next) == Kind::Comment)
        .then_some(Strength::Decisive)
}

/// A statement where none was separated: at the start of the value it is one, amid words it is talk.
fn opening(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    if !statement(stream, at) {
        return None;
    }
    let starts = at == 0
        || matches!(
            stream.before(at),
            Kind::Prefix | Kind::Comment | Kind::Num | Kind::Lit | Kind::Semi | Kind::Union
        );
    let strong = match stream.kind(at) {
        Kind::Delete => matches!(
            stream.kind(at.saturating_add(3)),
            Kind::Where | Kind::Semi | Kind::Comment | Kind::End
        ),
        Kind::Exec | Kind::Declare => true,
        _ => stream.kind(at.saturating_add(2)) != Kind::End,
    };
    Some(if starts && strong {
        Strength::Decisive
    } else {
        Strength::Suspicious
    })
}

fn call(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let before = stream.before(at);
    let joined = matches!(
        before,
        Kind::Select
            | Kind::Logic
            | Kind::Comma
            | Kind::Op
            | Kind::Like
            | Kind::Prefix
            | Kind::Order
            | Kind::Having
    );
    match stream.kind(at) {
        Kind::Danger => Some(Strength::Decisive),
        Kind::Timed => {
            let next = stream.kind(at.saturating_add(1));
            let argument =
                is_literal(next) || is_call(next) || next == Kind::Word || next == Kind::Op;
            let closed = stream.has(at.saturating_add(2), Flags::CLOSED)
                || stream.kind(at.saturating_add(2)) != Kind::Word;
            if argument && (joined || (closed && !stream.has(at, Flags::SPACED))) {
                Some(Strength::Decisive)
            } else {
                None
            }
        }
        Kind::Func => {
            let next = stream.kind(at.saturating_add(1));
            let nested = is_call(next)
                || (next == Kind::Select && stream.has(at.saturating_add(1), Flags::OPEN));
            if nested {
                return Some(Strength::Decisive);
            }
            if stream.has(at, Flags::SPACED) {
                return None;
            }
            if joined && stream.broke_out() && at <= 2 {
                return Some(Strength::Decisive);
            }
            Some(if at == 0 || joined {
                Strength::Suspicious
            } else {
                Strength::Weak
            })
        }
        _ => None,
    }
}

fn order(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let next = stream.kind(at.saturating_add(1));
    let after = stream.kind(at.saturating_add(2));
    if !is_literal(next) {
        return (is_call(next)
            || (next == Kind::Select && stream.has(at.saturating_add(1), Flags::OPEN)))
        .then_some(Strength::Decisive);
    }
    let before = stream.before(at);
    let ends = matches!(after, Kind::Comment | Kind::Comma | Kind::Union);
    let whole = after == Kind::End && (at == 0 || is_literal(before));
    Some(if stream.broke_out() && at == 1 || ends || whole {
        Strength::Decisive
    } else {
        Strength::Weak
    })
}

/// `NULL,NULL,NULL`.
fn nulls(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let many = [1, 3, 5]
        .iter()
        .all(|step| stream.kind(at.saturating_add(*step)) == Kind::Lit);
    many.then_some(Strength::Decisive)
}

/// A comment that cuts off what follows a value.
fn comment(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    if at == 0 || !stream.has(at, Flags::EMPTY) {
        return None;
    }
    let number = stream.kind(0) == Kind::Num && at == 1 && stream.has(at, Flags::DASHES);
    number.then_some(Strength::Suspicious)
}

/// `LIKE '%…` after a closed quote or a number.
fn like(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let before = stream.before(at);
    let next = stream.kind(at.saturating_add(1));
    if is_literal(before) && next == Kind::Danger {
        return Some(Strength::Decisive);
    }
    None
}
