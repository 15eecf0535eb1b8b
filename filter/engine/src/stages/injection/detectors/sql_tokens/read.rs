//! The SQL tokenizer's reader: one pass over the bytes of a value.
//!
//! **In:** a value and the quote it may sit in. **Out:** tokens, in a reused list.
//! **Invariant:** every step takes at least one byte; look-ahead is bounded by constants or by the token that is taken.
//! **Cost:** linear.

use alloc::vec::Vec;

use super::super::super::places::{Places, Set};
use super::super::words::Key;
use super::bytes::{byte, folded, has_at, is_space, is_word, pair, part, rest, skip_space, tally};
use super::number::{block_comment, number};
use super::words::{
    W_ANALYSE, W_DANGER, W_DROP, W_FUNC, W_IF, W_NATIVE, W_OBJECT, W_PART, W_PROC, W_REPLACE,
    W_RUN, W_TEST, W_TIMED, W_TYPE, W_VALUE, W_VALUES, WORDS, is_function, kind_of,
};
use super::{Flags, Kind, Token};

pub(super) struct Builder<'t> {
    tokens: &'t mut Vec<Token>,
    pub(super) pending: u16,
    /// Brackets open.
    depth: u32,
    /// A comment to the end of a line is a blank.
    fold: bool,
    /// A comment to the end of a line had something behind it.
    folds: bool,
}

impl Builder<'_> {
    pub(super) fn push(&mut self, kind: Kind, flags: u16, at: usize) {
        self.tokens.push(Token {
            kind,
            flags: flags | self.pending,
            at: u32::try_from(at).unwrap_or(u32::MAX),
        });
        self.pending = 0;
    }

    /// A comment to the end of the line, between `from` and `to`.
    fn comment(&mut self, flags: u16, value: &[u8], from: usize, to: usize, at: usize) {
        let more = || rest(value, to).iter().any(|&byte| !is_space(byte));
        let goes_on = to < value.len() && more();
        self.folds |= goes_on;
        if self.fold && goes_on {
            self.pending |= Flags::COMMENTED.0;
        } else {
            self.push(Kind::Comment, flags | blank_until(value, from, to), at);
        }
    }

    pub(super) fn last(&self) -> Kind {
        self.tokens.last().map_or(Kind::End, |token| token.kind)
    }

    /// Behind an operator that follows a value: what stands here is an operand, whatever it looks like elsewhere.
    fn takes_literal(&self) -> bool {
        let kind = |at| self.tokens.get(at).map(|token: &Token| token.kind);
        matches!(kind(0), Some(Kind::Num | Kind::Prefix))
            && matches!(
                kind(1),
                Some(Kind::Logic | Kind::Op | Kind::Like | Kind::Having)
            )
            && is_operator(self.last())
    }
}

/// What stands behind the last token.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Tail {
    /// An opening bracket stands there.
    pub(in super::super) open: bool,
    /// A closing bracket.
    pub(in super::super) closed: bool,
    /// Comments that a reading with `fold` takes for blanks were seen: without, both readings are the same.
    pub(in super::super) folds: bool,
}

/// Reads `value` as it would stand after an opening `context` quote (0: none). With `fold`, a comment that another line
/// follows is a blank; without, it ends what was said. Behind `most` tokens nothing more is read.
pub(in super::super) fn tokenize(
    value: &[u8],
    context: u8,
    fold: bool,
    most: usize,
    tokens: &mut Vec<Token>,
) -> Tail {
    tokens.clear();
    let mut builder = Builder {
        tokens,
        pending: 0,
        depth: 0,
        fold,
        folds: false,
    };
    let mut at = 0;
    if context != 0 {
        at = literal(value, 0, context, false).unwrap_or(value.len());
        let inside = value.get(..at.saturating_sub(1)).unwrap_or(value);
        let mut flags = 0;
        if inside.is_empty() {
            flags |= Flags::EMPTY.0;
        }
        if !inside.trim_ascii().iter().any(|&byte| is_space(byte)) {
            flags |= Flags::SHORT.0;
        }
        if !inside.trim_ascii().is_empty()
            && !inside
                .iter()
                .any(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80)
        {
            flags |= Flags::ODD.0;
        }
        if inside
            .last()
            .is_some_and(|&byte| is_space(byte) || matches!(byte, b'=' | b'[' | b':'))
            && !is_space(byte(value, at))
            && !inside.trim_ascii().is_empty()
        {
            flags |= Flags::QUOTES.0;
        }
        builder.push(Kind::Prefix, flags, at.saturating_sub(1));
    }
    while let Some(&head) = value.get(at) {
        if builder.tokens.len() >= most {
            builder.push(Kind::Other, 0, at);
            break;
        }
        at = token(value, at, head, &mut builder);
    }
    Tail {
        open: builder.pending & Flags::OPEN.0 != 0,
        closed: builder.pending & Flags::CLOSED.0 != 0,
        folds: builder.folds,
    }
}

/// What a literal may end with, and what may keep it open.
static DOUBLES: Set = Set::of(b"\"\\");
static SINGLES: Set = Set::of(b"'\\");
static TICKS: Set = Set::of(b"`\\");

/// The position after the closing quote; `None` when it stays open. Doubled quotes and backslashes are inside.
fn literal(value: &[u8], from: usize, quote: u8, escapes: bool) -> Option<usize> {
    let mut signs = Places::of(
        value,
        match quote {
            b'"' => &DOUBLES,
            b'\'' => &SINGLES,
            _ => &TICKS,
        },
    );
    let mut at = from;
    while let Some(sign) = signs.from(at) {
        let next = sign.saturating_add(1);
        at = if byte(value, sign) != quote {
            next.saturating_add(usize::from(escapes))
        } else if byte(value, next) != quote {
            return Some(next);
        } else {
            next.saturating_add(1)
        };
    }
    None
}

fn line_end(value: &[u8], at: usize) -> usize {
    rest(value, at)
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(value.len(), |step| at.saturating_add(step))
}

pub(super) fn blank_until(value: &[u8], from: usize, to: usize) -> u16 {
    let inside = value.get(from..to).unwrap_or(&[]);
    // A few letters after the dashes are part of the trick (`--+`, `-- -`, `--x`).
    let words = tally(inside.iter().filter(|byte| byte.is_ascii_alphanumeric()));
    if words <= 3 { Flags::EMPTY.0 } else { 0 }
}

fn token(value: &[u8], at: usize, head: u8, builder: &mut Builder<'_>) -> usize {
    let next = byte(value, at.saturating_add(1));
    let one = at.saturating_add(1);
    let two = at.saturating_add(2);
    match head {
        // SQL Server takes every control byte for a blank.
        _ if head <= b' ' || head == 0xA0 || head == 0x7F => return skip_space(value, one),
        b'0'..=b'9' => return number(value, at, builder),
        b'.' if next.is_ascii_digit() && builder.last() != Kind::Word => {
            return number(value, at, builder);
        }
        b'.' => {}
        0xE2 if next == 0x80 && matches!(byte(value, two), 0x93 | 0x94) => {
            return dash(value, at, builder);
        }
        b'$' if builder.takes_literal()
            && let Some(end) = dollars(value, at) =>
        {
            builder.push(Kind::Str, 0, at);
            return end;
        }
        _ if is_word(head) || head == b'$' && is_word(next) => return word(value, at, builder),
        b'\'' | b'"' => {
            let end = literal(value, one, head, true);
            let close = end.unwrap_or(value.len());
            let empty = match end {
                Some(close) => close == two,
                None => one >= value.len(),
            };
            let flags = if empty { Flags::EMPTY.0 } else { 0 };
            let kind = if end.is_some() {
                Kind::Str
            } else {
                Kind::StrOpen
            };
            builder.push(kind, flags, at);
            return close;
        }
        b'`' => return ticked(value, at, builder),
        // `array[1]`: the element of a name; what is in it is not compared with what stands before.
        b'[' if at > 0 && is_word(byte(value, at.saturating_sub(1))) => {
            builder.pending |= Flags::OPEN.0;
            builder.depth = builder.depth.saturating_add(1);
        }
        b']' if builder.depth > 0 => {
            builder.pending |= Flags::CLOSED.0;
            builder.depth = builder.depth.saturating_sub(1);
        }
        b'[' => {
            // SQL Server's [name]; anything longer than a name is no name.
            let close = tally(
                rest(value, one)
                    .iter()
                    .take(64)
                    .take_while(|&&byte| is_word(byte) || byte == b' '),
            );
            let end = one.saturating_add(close);
            if close > 0 && byte(value, end) == b']' {
                builder.push(Kind::Word, 0, at);
                return end.saturating_add(1);
            }
            builder.push(Kind::Other, 0, at);
        }
        b'-' if next == b'-' => {
            let end = line_end(value, two);
            builder.comment(Flags::DASHES.0, value, two, end, at);
            return end;
        }
        b'#' if matches!(next, b'>' | b'-') && builder.last() == Kind::Cast => {
            builder.push(Kind::Op, Flags::COMPARES.0, at);
            return json_operator(value, one);
        }
        b'#' => {
            let end = line_end(value, one);
            builder.comment(0, value, one, end, at);
            return end;
        }
        b'/' if next == b'*' => return block_comment(value, at, builder),
        b'*' if next == b'/' => return two,
        b'(' => {
            builder.pending |= Flags::OPEN.0;
            builder.depth = builder.depth.saturating_add(1);
        }
        b')' => {
            let broken = builder.depth == 0;
            builder.pending |= Flags::CLOSED.0 | if broken { Flags::BROKEN.0 } else { 0 };
            builder.depth = builder.depth.saturating_sub(1);
        }
        // PostgreSQL and SQLite look into JSON with operators of their own.
        b'<' | b'>' | b'-' | b'@' | b'?'
            if (matches!(builder.last(), Kind::Str | Kind::Cast)
                || (matches!((head, next), (b'@', b'>') | (b'<', b'@'))
                    && builder.last() == Kind::Word))
                && matches!(
                    (head, next),
                    (b'<', b'@') | (b'-', b'>') | (b'@', b'>' | b'?' | b'@') | (b'?', _)
                ) =>
        {
            builder.push(Kind::Op, Flags::COMPARES.0, at);
            return json_keys(value, json_operator(value, one), builder);
        }
        // Oracle's and MySQL's escapes that stand for NULL.
        b'\\' if next == b'N' && !is_word(byte(value, two)) => {
            builder.push(Kind::Lit, 0, at);
            return two;
        }
        b'{' | b'}'
            if matches!(
                builder.last(),
                Kind::Op | Kind::Logic | Kind::Prefix | Kind::Select | Kind::Num
            ) => {}
        b',' => builder.push(Kind::Comma, 0, at),
        b';' => builder.push(Kind::Semi, 0, at),
        b'@' => {
            // MySQL's `@"a"`; Objective-C and C# have it where no condition goes on.
            if matches!(next, b'\'' | b'"' | b'`')
                && matches!(builder.last(), Kind::Logic | Kind::Select)
                && let Some(end) = literal(value, two, next, true)
            {
                builder.push(Kind::Var, 0, at);
                return end;
            }
            let system = next == b'@';
            let name = if system { two } else { one };
            let end = rest(value, name)
                .iter()
                .position(|&byte| !is_word(byte))
                .unwrap_or(usize::MAX);
            let end = name.saturating_add(end).min(value.len());
            // `user@host` is an address.
            let kind = match builder.last() {
                Kind::Word if at > 0 && is_word(byte(value, at.saturating_sub(1))) => Kind::Other,
                _ if end == name => Kind::Other,
                _ if system || has_at(value, name, b"version") => Kind::SysVar,
                _ => Kind::Var,
            };
            builder.push(kind, 0, at);
            return end;
        }
        // `a=1|||b=2`: a separator of cookies, and no operator.
        b'|' if next == head && byte(value, two) == head => {
            builder.push(Kind::Other, 0, at);
            return two.saturating_add(1);
        }
        b'&' | b'|' if next == head => {
            builder.push(Kind::Logic, Flags::SYMBOL.0, at);
            return two;
        }
        b'+' | b'-' | b'~' if is_operator(builder.last()) => {}
        // A placeholder where a value belongs.
        b'?' if matches!(next, b'-' | b')' | b',' | b'#') && is_operator(builder.last()) => {
            builder.push(Kind::Lit, 0, at);
        }
        b'!' if next != b'=' && builder.last() == Kind::Not => {}
        b'!' if next != b'=' && is_operator(builder.last()) => builder.push(Kind::Not, 0, at),
        b'+' | b'-' | b'*' | b'/' | b'%' | b'^' | b'&' | b'|' | b'~' | b'!' | b'=' | b'<'
        | b'>' => {
            let long = matches!(
                (head, next),
                (b'<', b'>' | b'<')
                    | (b'>', b'=' | b'>')
                    | (b'!', b'=' | b'<' | b'>')
                    | (b'=', b'=')
                    | (b':', b'=')
            );
            let flags = if matches!(head, b'=' | b'<' | b'>' | b'!') {
                Flags::COMPARES.0
            } else {
                0
            };
            builder.push(Kind::Op, flags, at);
            let longest = (head, next, byte(value, two)) == (b'<', b'=', b'>');
            return match (longest, long || (head, next) == (b'<', b'=')) {
                (true, _) => two.saturating_add(1),
                (false, true) => two,
                (false, false) => one,
            };
        }
        b':' if next == b':' => return cast(value, at, builder),
        b':' if next == b'=' => {
            builder.push(Kind::Op, 0, at);
            return two;
        }
        _ => builder.push(Kind::Other, 0, at),
    }
    one
}

/// The end of a JSON operator that starts before `at`.
fn json_operator(value: &[u8], at: usize) -> usize {
    let more = rest(value, at)
        .iter()
        .take(2)
        .take_while(|byte| matches!(byte, b'>' | b'@' | b'?' | b'|' | b'&' | b'-'));
    at.saturating_add(tally(more))
}

/// `array['a', 'b']` behind a JSON operator is a literal.
fn json_keys(value: &[u8], at: usize, builder: &mut Builder<'_>) -> usize {
    let from = skip_space(value, at);
    if !has_at(value, from, b"array[") {
        return at;
    }
    let inside = part(value, from, 96);
    let Some(close) = inside.iter().position(|&byte| byte == b']') else {
        return at;
    };
    builder.push(Kind::Str, 0, from);
    from.saturating_add(close).saturating_add(1)
}

/// A name in backticks; `` `a`.`b` `` is one, and a catalogue is one in backticks too.
fn ticked(value: &[u8], at: usize, builder: &mut Builder<'_>) -> usize {
    let one = at.saturating_add(1);
    let close = rest(value, one).iter().position(|&byte| byte == b'`');
    let member = byte(value, at.saturating_sub(1)) == b'.'
        && matches!(builder.last(), Kind::Word | Kind::Schema);
    if !member {
        let inner = read_word(value, one);
        let schema = inner.kind == Kind::Schema && byte(value, inner.end) == b'`';
        builder.push(if schema { Kind::Schema } else { Kind::Word }, 0, at);
    }
    close.map_or(one, |step| one.saturating_add(step).saturating_add(1))
}

/// A typographic dash: what a word processor makes of `--`. At the end it cuts off like one, elsewhere it is prose.
fn dash(value: &[u8], at: usize, builder: &mut Builder<'_>) -> usize {
    let end = at.saturating_add(3);
    if rest(value, end).iter().all(|&byte| is_space(byte)) {
        builder.push(Kind::Comment, Flags::EMPTY.0, at);
    } else {
        builder.push(Kind::Other, 0, at);
    }
    end
}

/// `::type`; `Name::Type` and `a::b()` of programs are no casts.
fn cast(value: &[u8], at: usize, builder: &mut Builder<'_>) -> usize {
    let from = skip_space(value, at.saturating_add(2));
    let read = read_word(value, from);
    let mixed = byte(value, from).is_ascii_uppercase()
        && byte(value, from.saturating_add(1)).is_ascii_lowercase();
    if read.listed == W_TYPE && !read.calls && !mixed {
        builder.push(Kind::Cast, 0, at);
        return read.end;
    }
    builder.push(Kind::Op, 0, at);
    at.saturating_add(2)
}

/// Whether a typographic dash stands `step` bytes behind `at`.
fn is_dash(value: &[u8], at: usize, step: usize) -> bool {
    matches!(
        rest(value, at.saturating_add(step)),
        [0xE2, 0x80, 0x93 | 0x94, ..]
    )
}

/// Kinds after which `+`, `-`, `!`, `~` are signs.
const fn is_operator(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Op
            | Kind::Logic
            | Kind::Comma
            | Kind::Select
            | Kind::Like
            | Kind::Not
            | Kind::All
            | Kind::Order
            | Kind::When
            | Kind::Case
            | Kind::Having
            | Kind::Where
            | Kind::End
    )
}

/// A word as it stands.
pub(super) struct Read {
    pub(super) kind: Kind,
    listed: u8,
    flags: u16,
    calls: bool,
    pub(super) end: usize,
}

/// How far the bracket of a call may be from its name.
const REACH: usize = 64;

/// Whether a bracket follows the name that ends at `end`, blanks and a comment between.
fn calls(value: &[u8], end: usize) -> bool {
    let next = byte(value, end);
    if next == b'(' || !(is_space(next) || next == b'/') {
        return next == b'(';
    }
    // A word behind a blank.
    if next != b'/' && byte(value, end.saturating_add(1)).is_ascii_alphabetic() {
        return false;
    }
    let window = value
        .get(..end.saturating_add(REACH).min(value.len()))
        .unwrap_or(value);
    let mut at = end;
    for _ in 0..4 {
        at = skip_space(window, at);
        // `sleep 1.e(5)`: MySQL reads over the number.
        if byte(window, at).is_ascii_digit() && has_at(window, at.saturating_add(1), b".e") {
            at = at.saturating_add(3);
        }
        if byte(window, at) != b'/' || byte(window, at.saturating_add(1)) != b'*' {
            break;
        }
        let inside = at.saturating_add(2);
        let close = pair(rest(window, inside), |first, second| {
            first == b'*' && second == b'/'
        });
        let Some(step) = close else {
            return true;
        };
        at = inside.saturating_add(step).saturating_add(2);
    }
    byte(window, at) == b'('
}

pub(super) fn read_word(value: &[u8], at: usize) -> Read {
    let mut key = Key::EMPTY;
    let mut length = 0_usize;
    for &letter in rest(value, at) {
        let letter = folded(letter);
        if letter == 0 || letter == 0xE2 && is_dash(value, at, length) {
            break;
        }
        key.push_folded(letter);
        length = length.wrapping_add(1);
    }
    let end = at.saturating_add(length);
    let mut read = Read {
        kind: Kind::Word,
        listed: 0,
        flags: 0,
        calls: false,
        end,
    };
    if length > 30 {
        return read;
    }
    let listed = WORDS.kind(key);
    if matches!(
        listed,
        0 | W_PART
            | W_FUNC
            | W_TIMED
            | W_OBJECT
            | W_DANGER
            | W_NATIVE
            | W_PROC
            | W_VALUE
            | W_IF
            | W_REPLACE
            | W_VALUES
            | W_TYPE
    ) {
        read.calls = calls(value, end);
        if read.calls {
            let spaced = byte(value, end) != b'(' && byte(value, end) != b'/';
            read.flags |= if spaced {
                Flags::SPACED.0
            } else {
                Flags::CALLED.0
            };
        }
    }
    match listed {
        W_NATIVE | W_VALUE | W_DANGER | W_DROP | W_RUN => read.flags |= Flags::NATIVE.0,
        // A package and what is in it.
        W_PROC if byte(value, end) == b'.' => read.flags |= Flags::CALLED.0,
        _ => {}
    }
    if byte(value, at.saturating_add(2)) == b'_'
        && (has_at(value, at, b"xp_") || has_at(value, at, b"sp_"))
    {
        read.flags |= Flags::PROC.0;
    }
    read.listed = listed;
    // `user()` is one; a value that starts with `function()` is code.
    let object = listed == W_OBJECT && at == 0 && !is_function(part(value, at, length));
    read.kind = kind_of(listed, read.calls && !object);
    read
}

/// Bytes of a literal with quotes of its own that are looked through for its end.
const QUOTED: usize = 64;

/// The end of PostgreSQL's `$$a$$` and `$t$a$t$`.
fn dollars(value: &[u8], at: usize) -> Option<usize> {
    let name = rest(value, at.saturating_add(1));
    let name = tally(name.iter().take(16).take_while(|&&byte| is_word(byte)));
    let mark = part(value, at, name.saturating_add(2));
    if !mark.ends_with(b"$") || mark.len() < 2 {
        return None;
    }
    let from = at.saturating_add(mark.len());
    let close = (0..QUOTED)
        .map(|step| from.saturating_add(step))
        .find(|&at| rest(value, at).starts_with(mark))?;
    Some(close.saturating_add(mark.len()))
}

/// The end of Oracle's `q'[a]'`, whose quote stands at `at`.
fn own_quotes(value: &[u8], at: usize) -> Option<usize> {
    let last = match byte(value, at.saturating_add(1)) {
        b'[' => b']',
        b'(' => b')',
        b'{' => b'}',
        b'<' => b'>',
        0 | b' ' | b'\'' => return None,
        other => other,
    };
    let from = at.saturating_add(2);
    let close = pair(part(value, from, QUOTED), |first, second| {
        first == last && second == b'\''
    })?;
    Some(from.saturating_add(close).saturating_add(2))
}

/// The end of the name of a literal whose quote stands behind it: `q'[a]'` whole, `date'2020-01-01'` without its text.
fn named_literal(value: &[u8], at: usize, end: usize) -> Option<usize> {
    let name = part(value, at, end.saturating_sub(at));
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    if is(b"q") || is(b"nq") {
        return (byte(value, end) == b'\'').then(|| own_quotes(value, end))?;
    }
    if !(is(b"date") || is(b"time") || is(b"timestamp") || is(b"interval")) {
        return None;
    }
    let quote = skip_space(part(value, 0, end.saturating_add(2)), end);
    (byte(value, quote) == b'\'' && byte(value, quote.saturating_add(1)).is_ascii_digit())
        .then_some(quote)
}

fn word(value: &[u8], at: usize, builder: &mut Builder<'_>) -> usize {
    let Read {
        kind,
        listed,
        flags,
        end,
        ..
    } = read_word(value, at);
    match kind {
        // A quoted national or hex string: N'…', X'…'.
        Kind::Word
            if end == at.saturating_add(1)
                && byte(value, end) == b'\''
                && matches!(byte(value, at) | 0x20, b'n' | b'x' | b'b' | b'e')
                && builder.last() != Kind::End =>
        {
            return end;
        }
        Kind::Word
            if builder.takes_literal()
                && let Some(close) = named_literal(value, at, end) =>
        {
            if byte(value, close) != b'\'' || byte(value, close.saturating_sub(1)) == b'\'' {
                builder.push(Kind::Str, 0, at);
            }
            return close;
        }
        Kind::By if builder.last() == Kind::Order => return end,
        Kind::Order => {
            // Only `ORDER BY`; a word otherwise.
            let next = read_word(value, skip_space(value, end)).kind;
            let by = next == Kind::By || byte(value, end) == b'/';
            builder.push(if by { Kind::Order } else { Kind::Word }, flags, at);
            return end;
        }
        Kind::By => builder.push(Kind::Word, flags, at),
        // `SOUNDS LIKE`, `SIMILAR TO`.
        Kind::Like if has_at(value, at, b"s") => {
            let next = skip_space(value, end);
            let second = read_word(value, next);
            builder.push(Kind::Like, flags, at);
            let joined = second.kind == Kind::Like || has_at(value, next, b"to ");
            return if joined { second.end } else { end };
        }
        _ if listed == W_TEST => {
            builder.push(Kind::Like, 0, at);
            builder.push(Kind::Lit, 0, at);
        }
        Kind::Object if has_at(value, at, b"procedure") => {
            let next = read_word(value, skip_space(value, end));
            let probe = next.listed == W_ANALYSE;
            if probe {
                builder.push(Kind::Danger, Flags::CALLED.0, at);
                return next.end;
            }
            builder.push(kind, flags, at);
        }
        // `a.b` is one name: the last part decides.
        _ if at > 0
            && byte(value, at.saturating_sub(1)) == b'.'
            && matches!(builder.last(), Kind::Word | Kind::Object) =>
        {
            if !matches!(kind, Kind::Word | Kind::Object) {
                builder.push(kind, flags | Flags::CALLED.0, at);
            } else if let Some(name) = builder.tokens.last_mut() {
                name.flags |= flags;
            }
        }
        Kind::Word if byte(value, end) == b'[' => {
            builder.push(kind, flags | Flags::INDEXED.0, at);
        }
        _ => builder.push(kind, flags, at),
    }
    end
}
