//! SQL: token patterns in the four contexts a value can land in (bare, inside `'`, `"` or backticks).
//!
//! **In:** a decoded value. **Out:** hits of class `sqli`.
//! **Invariant:** patterns look a constant number of tokens ahead, so the cost is linear whatever the input.
//! **Source:** the fragment grammars of MySQL, PostgreSQL, SQL Server, Oracle and SQLite manuals.
//! **Cost:** one pass a context, only for quotes that occur; words of prose form no pattern.

mod condition;
mod disguise;
mod fragment;
mod parts;
mod stacked;
mod statement;
mod tail;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_rare;

use alloc::vec::Vec;

pub(super) use disguise::{is_marked, is_spaced};
pub(super) use fragment::void;

use super::bytes::{
    self, ANGLE, BACKSLASH, BLANK, DOUBLE, HASH, HIGH, LINE, OPERATOR, PAREN, PERCENT, QUOTE,
    SHELL, SINGLE, STAR, TICK,
};
use super::sql_tokens::{Flags, Kind, Tail, Token, tokenize};
use super::triggers::{AMPS, AT, CAST, COLONS, DASHES, EQUALS, LIKE, LOGIC, PIPES, SETS, SQL};
use super::{Class, Hits, Place, SET_UP, Strength, View};
use crate::budget::MAX_STEPS;

/// A value of a few operands, which needs no word to be a condition.
const SHORT: usize = 128;

/// Scans one value. What stands behind a `=` that a name hides (`a%3D1+or+1%3D1`) is a value to whoever decodes twice.
pub(super) fn scan(view: &View<'_>, tokens: &mut Vec<Token>, steps: &mut u64, hits: &mut Hits) {
    if is_sign(view) || is_encoded(view) {
        return;
    }
    names(view, hits);
    if fragment::opens_call(view.bytes)
        || view.classes & OPERATOR != 0 && fragment::is_backup(view.bytes)
    {
        hits.add(Class::Sqli, Strength::Decisive, 0);
    }
    look(view, tokens, steps, hits);
    let hidden = if view.is_name && view.classes & OPERATOR != 0 {
        view.bytes.iter().position(|&byte| byte == b'=')
    } else {
        None
    };
    if let Some(at) = hidden
        && !hits.is_decisive(Class::Sqli)
    {
        let inner = View {
            bytes: bytes::rest(view.bytes, at.saturating_add(1)),
            ..*view
        };
        look(&inner, tokens, steps, hits);
    }
    if !hits.is_decisive(Class::Sqli)
        && let Some(bare) = disguise::removed(view)
    {
        super::spend(steps, bare.len().saturating_mul(16));
        let mut inner = View::new(view.place, view.name, &bare, bytes::classes(&bare));
        inner.is_name = view.is_name;
        look(&inner, tokens, steps, hits);
    }
    spaced(view, tokens, steps, hits);
}

/// Scans a value of plain bytes.
pub(super) fn quiet(view: &View<'_>, tokens: &mut Vec<Token>, steps: &mut u64, hits: &mut Hits) {
    names(view, hits);
    spaced(view, tokens, steps, hits);
}

/// Whether a value that starts with a number may be SQL without a listed word.
pub(super) fn follows_number(view: &View<'_>) -> bool {
    tail::begins(view.bytes.trim_ascii_start()) || fragment::is_remark(view)
}

/// Looks at a value as a server reads it that takes all of Unicode's blanks for blanks.
fn spaced(view: &View<'_>, tokens: &mut Vec<Token>, steps: &mut u64, hits: &mut Hits) {
    if hits.is_decisive(Class::Sqli) {
        return;
    }
    if let Some(bare) = disguise::spaced(view) {
        super::spend(steps, bare.len());
        let mut inner = View::new(view.place, view.name, &bare, bytes::classes(&bare));
        inner.is_name = view.is_name;
        look(&inner, tokens, steps, hits);
    }
}

/// `"/"`, `"%"`: a search for a sign, `$Path="/"` of an old client. Between two empty strings both give NULL, so no row is found;
/// `"-"`, `"*"`, `"^"` give 0, which MySQL takes for equal to any text: `"-"` is a sign only where no form puts it.
fn is_sign(view: &View<'_>) -> bool {
    if view.marks & PIPES != 0 && is_range(view.bytes) {
        return true;
    }
    match view.bytes.trim_ascii() {
        [b'"', b'/' | b'%', b'"'] => true,
        [b'"', b'-', b'"'] => matches!(view.place, Place::Header | Place::Cookie),
        _ => false,
    }
}

/// A cookie whose blanks are still encoded: whoever reads it decodes it, and that is a view of its own.
fn is_encoded(view: &View<'_>) -> bool {
    view.place == Place::Cookie
        && view.classes & PERCENT != 0
        && view.classes & (BLANK | LINE) == 0
        && bytes::contains(view.bytes, b"%20")
}

/// `>=16 || 14 >=14.17`, `^12.20.0 || >=14`: versions that a package works with. It begins with a comparison, as no fragment of
/// numbers does.
fn is_range(value: &[u8]) -> bool {
    value.len() <= SHORT
        && matches!(
            value,
            [b'^' | b'~', b'0'..=b'9', ..] | [b'>' | b'<', b'=' | b'0'..=b'9' | b' ', ..]
        )
        && value.iter().all(|byte| {
            byte.is_ascii_digit()
                || matches!(
                    byte,
                    b'.' | b'x' | b'^' | b'~' | b'<' | b'>' | b'=' | b' ' | b'|' | b'-'
                )
        })
        && !bytes::contains(value, b"--")
}

/// A whole value that names a thing of the server: it need have no byte that other patterns need.
fn names(view: &View<'_>, hits: &mut Hits) {
    if view.words & SQL != 0 && fragment::names_server(view)
        || fragment::names_variable(view)
        || fragment::is_remark(view)
    {
        hits.add(Class::Sqli, Strength::Decisive, 0);
    }
}

fn look(view: &View<'_>, tokens: &mut Vec<Token>, steps: &mut u64, hits: &mut Hits) {
    let View {
        bytes: value,
        classes,
        words,
        marks,
        ..
    } = *view;
    let logic = words & LOGIC != 0 || marks & (PIPES | AMPS) != 0;
    let operator = classes & (OPERATOR | ANGLE | STAR | HASH | QUOTE | PAREN) != 0;
    let bare = words & SQL != 0
        || (logic && (operator || words & LIKE != 0))
        || ((words & LOGIC != 0 || classes & PAREN != 0) && marks & DASHES != 0)
        || (value.len() <= SHORT
            && starts_inside(value)
            && (operator || logic || words & LIKE != 0))
        || marks & CAST != 0
        || (value.len() <= SHORT
            && (starts_statement(view) || (classes & SHELL != 0 && starts_inside(value))));
    for (context, needed) in [
        (0, bare),
        (b'\'', classes & SINGLE != 0),
        (b'"', classes & DOUBLE != 0),
        (b'`', classes & TICK != 0 && closes_name(value)),
    ] {
        if !needed || *steps == 0 {
            continue;
        }
        let most = if context != 0 && is_local(view) {
            FIRST
        } else {
            usize::MAX
        };
        // `#` and `--` end with their line: what follows them is code again.
        for fold in [false, true] {
            super::spend(
                steps,
                SET_UP.saturating_add(value.len() >> if most == FIRST { 3 } else { 0 }),
            );
            let before = cfg!(debug_assertions).then(|| hits.clone());
            let tail = tokenize(value, context, fold, most, tokens);
            super::spend(steps, SET_UP.saturating_add(tokens.len().saturating_mul(2)));
            judge(&Stream::new(value, tokens, tail), steps, hits);
            if let Some(mut all) = before.filter(|_| most == FIRST) {
                let tail = tokenize(value, context, fold, usize::MAX, tokens);
                judge(
                    &Stream::new(value, tokens, tail),
                    &mut MAX_STEPS.clone(),
                    &mut all,
                );
                debug_assert_eq!(*hits, all, "{}", value.escape_ascii());
            }
            if hits.is_decisive(Class::Sqli) {
                return;
            }
            if !tail.folds {
                break;
            }
        }
    }
}

/// Tokens of a value in a quote that patterns look at which begin where the quote ends: a condition has at most sixteen operands.
const FIRST: usize = 128;

/// Whether behind its first tokens a value in a quote has nothing that a pattern begins with: no word of SQL's, no operator between
/// conditions, no cast, no variable, no `NULL` in a sign, no word that the tokenizer reads otherwise than `triggers`.
fn is_local(view: &View<'_>) -> bool {
    !view.of_sql
        && view.bytes.len() > FIRST
        && view.marks & (PIPES | AMPS | COLONS | AT) == 0
        && view.classes & (HIGH | BACKSLASH | STAR) == 0
}

/// `; set @x`, `@version--`, `like '%`, `x::int`: statements and operands that no listed word need be in.
fn starts_statement(view: &View<'_>) -> bool {
    let value = view.bytes.trim_ascii_start();
    match value {
        [b';', ..] => true,
        [b'@', ..] if view.marks & DASHES != 0 => true,
        [b'0'..=b'9', ..] if tail::begins(value) => true,
        [b'p' | b'P', ..] if view.marks & AT != 0 && fragment::leads(value, b"print") => true,
        [b'x' | b'X', ..] if view.words & LOGIC != 0 && fragment::leads(value, b"xor") => true,
        [b'f' | b'F', ..]
            if view.classes & (OPERATOR | TICK) != 0 && fragment::leads(value, b"from") =>
        {
            true
        }
        // `in (0,1)`, `name like '`, `like null`
        _ if view.words & LIKE != 0 && fragment::compares(value) => true,
        _ => {
            (view.words & LIKE != 0
                    && view.classes & SINGLE != 0
                    && bytes::contains(value, b"'%"))
                || (view.marks & COLONS != 0 && bytes::contains(value, b"::"))
                || (view.marks & SETS != 0 && bytes::contains(value, b"set @"))
                // `b,1=1`
                || (view.marks & EQUALS != 0
                    && view.classes & OPERATOR != 0
                    && value.first().is_some_and(u8::is_ascii_alphabetic)
                    && bytes::pair(value, |first, second| {
                        first.is_ascii_digit() && second == b'='
                    })
                    .is_some())
        }
    }
}

/// The value stands in backticks and closes them: the first is not the start of `code` in a text.
fn closes_name(value: &[u8]) -> bool {
    let Some(at) = value.iter().position(|&byte| byte == b'`') else {
        return false;
    };
    let before = value.get(..at).unwrap_or(&[]);
    let after = bytes::byte(value, at.saturating_add(1));
    if at == 0 && is_span(value) {
        return false;
    }
    !before.iter().any(|&byte| bytes::is_space(byte))
        && !bytes::is_word(after)
        && after != b'`'
        && before.last().is_none_or(|&byte| bytes::is_word(byte))
}

/// `` `--all` denies ``, `` `.decode('x')` needed ``: Markdown's code without a blank, and a word of a sentence.
fn is_span(value: &[u8]) -> bool {
    let head = bytes::part(value, 1, SHORT);
    let Some(close) = head
        .iter()
        .position(|&byte| byte == b'`' || bytes::is_space(byte))
    else {
        return false;
    };
    let begins = match head {
        [b'-', b'-', letter, ..] | [b'.', letter, ..] => letter.is_ascii_alphabetic(),
        _ => false,
    };
    begins
        && matches!(bytes::rest(head, close), [b'`', b' ', one, two, ..] if one.is_ascii_lowercase() && two.is_ascii_lowercase())
}

/// A literal, or what closes a bracket: the start of a fragment that needs no word.
fn starts_inside(value: &[u8]) -> bool {
    matches!(
        value.trim_ascii_start(),
        [b'0'..=b'9' | b'\'' | b'"' | b'@' | b')', ..] | [b'(', b'0'..=b'9', ..]
    )
}

/// The kinds of the tokens in which a value's hit was seen, for a trace: those of the first reading that has one.
pub(in crate::stages::injection) fn shape(value: &[u8]) -> Vec<u8> {
    let mut shape = Vec::new();
    let mut tokens = Vec::new();
    for (context, fold) in [
        (0, false),
        (0, true),
        (b'\'', false),
        (b'\'', true),
        (b'"', false),
        (b'"', true),
        (b'`', false),
    ] {
        let mut hits = Hits::default();
        let tail = tokenize(value, context, fold, usize::MAX, &mut tokens);
        judge(
            &Stream::new(value, &tokens, tail),
            &mut MAX_STEPS.clone(),
            &mut hits,
        );
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
struct Stream<'a> {
    value: &'a [u8],
    tokens: &'a [Token],
    tail: Tail,
    /// Ends with a procedure's name that keeps a statement out of SQL Server's log.
    hides: bool,
}

impl<'a> Stream<'a> {
    fn new(value: &'a [u8], tokens: &'a [Token], tail: Tail) -> Self {
        Self {
            value,
            tokens,
            tail,
            hides: value.trim_ascii_end().ends_with(b"sp_password"),
        }
    }

    fn kind(&self, at: usize) -> Kind {
        self.tokens.get(at).map_or(Kind::End, |token| token.kind)
    }

    fn has(&self, at: usize, flag: Flags) -> bool {
        self.tokens.get(at).is_some_and(|token| token.has(flag))
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

    /// The bytes from a token on; empty past the last.
    fn text(&self, at: usize) -> &'a [u8] {
        self.tokens
            .get(at)
            .map_or(&[], |token| bytes::rest(self.value, token.at()))
    }

    /// Whether two tokens are the same short word or number.
    fn same(&self, one: usize, other: usize) -> bool {
        let mut left = self.text(one).iter();
        let mut right = self.text(other).iter();
        for _ in 0..32 {
            let (left, right) = (
                left.next().copied().unwrap_or(0),
                right.next().copied().unwrap_or(0),
            );
            // A typographic dash ends a word.
            let word = |byte: u8| bytes::is_word(byte) && byte != 0xE2;
            match (word(left), word(right)) {
                (true, true) if left.eq_ignore_ascii_case(&right) => {}
                (false, false) => return true,
                _ => return false,
            }
        }
        false
    }

    /// Whether two operators begin with the same sign.
    fn same_sign(&self, one: usize, other: usize) -> bool {
        self.text(one).first() == self.text(other).first()
    }

    /// A comment that cuts off the rest of a statement.
    fn cuts(&self, at: usize) -> bool {
        self.kind(at) == Kind::Comment
            && (self.has(at, Flags::EMPTY) || self.has(at, Flags::DASHES))
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

fn judge(stream: &Stream<'_>, steps: &mut u64, hits: &mut Hits) {
    for strength in [parts::whole(stream), tail::clause(stream)]
        .into_iter()
        .flatten()
    {
        hits.add(Class::Sqli, strength, 0);
    }
    for at in 0..stream.tokens.len() {
        let Some(token) = stream.tokens.get(at) else {
            return;
        };
        let strength = match token.kind {
            Kind::Prefix => condition::prefix(stream),
            Kind::Union => statement::union(stream, at),
            Kind::Select => statement::select(stream, at),
            Kind::Logic | Kind::Having => condition::logic(stream, at),
            Kind::Where => condition::restriction(stream, at),
            Kind::Case | Kind::When => condition::case(stream, at),
            Kind::Semi => statement::stacked(stream, at),
            Kind::Danger | Kind::Timed | Kind::Func => parts::call(stream, at),
            Kind::Schema => Some(parts::schema(stream, at)),
            Kind::SysVar => Some(parts::variable(stream, at)),
            Kind::Cast => parts::cast(stream, at),
            Kind::As | Kind::From => statement::source(stream, at),
            Kind::Waitfor
                if stream.kind(at.saturating_add(1)) == Kind::Delay
                    || bytes::has_at(stream.text(at.saturating_add(1)), 0, b"time") =>
            {
                let what = stream.kind(at.saturating_add(2));
                (matches!(what, Kind::Str | Kind::StrOpen | Kind::Num | Kind::Var))
                    .then_some(Strength::Decisive)
            }
            Kind::Into if stream.kind(at.saturating_add(1)) == Kind::Outfile => {
                Some(Strength::Decisive)
            }
            Kind::Order => parts::order(stream, at),
            Kind::Comma => parts::nulls(stream, at),
            Kind::Comment => parts::comment(stream, at),
            Kind::Like => parts::like(stream, at),
            Kind::Ddl
            | Kind::Insert
            | Kind::Delete
            | Kind::Update
            | Kind::Exec
            | Kind::Declare
            | Kind::Grant => statement::opening(stream, at),
            _ => continue,
        };
        // Operands are read before and behind.
        super::spend(
            steps,
            match token.kind {
                Kind::Logic => SET_UP,
                Kind::Comment => 40,
                _ => 0,
            },
        );
        if *steps == 0 {
            return;
        }
        if let Some(strength) = strength {
            hits.add(Class::Sqli, strength, token.at());
            if strength == Strength::Decisive {
                return;
            }
        }
    }
}
