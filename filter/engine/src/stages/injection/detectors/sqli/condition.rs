//! Conditions: what follows a quote that the value closed, `AND`, `OR`, `WHERE`, `HAVING`, `CASE WHEN`.
//!
//! **In:** tokens and a position. **Out:** how strong the fragment is.
//! **Invariant:** at most [`STEPS`] operands of a condition are read.

use super::{Flags, Kind, Stream, Strength, bytes, is_call, is_closing, is_literal, is_name};

/// Operands of a condition that are read.
const STEPS: usize = 16;

/// Bytes of an operand that stands for any.
const PLACEHOLDER: usize = 1;

/// Bytes of a literal's first half that are no text.
const HALF: usize = 12;

/// A condition as far as it could be read.
#[derive(Debug, Default, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "facts, not states")]
pub(super) struct Condition {
    /// The token behind it.
    pub(super) end: usize,
    /// Every operator has its operands.
    pub(super) complete: bool,
    /// The value ends right behind a comparison.
    pub(super) cut: bool,
    /// Operators between operands.
    pub(super) joins: u8,
    /// Compares, by a symbol.
    pub(super) symbol: bool,
    /// Compares, by a word.
    pub(super) like: bool,
    /// An operand is a name.
    pub(super) names: bool,
    /// An operand is a call.
    pub(super) calls: bool,
    /// An operand is a string.
    pub(super) strings: bool,
    /// The last operand is a string that the value leaves open.
    pub(super) open: bool,
    /// An operand is a query or a choice.
    pub(super) query: bool,
}

/// Reads a condition whose first operand stands at `from`.
pub(super) fn read(stream: &Stream<'_>, from: usize) -> Condition {
    let mut read = Condition::default();
    let mut at = from;
    let mut list = false;
    for _ in 0..STEPS {
        for _ in 0..4 {
            let sign = stream.kind(at) == Kind::Op && !stream.has(at, Flags::COMPARES);
            let doubled = stream.kind(at) == Kind::Op && read.symbol && at > from;
            if !(sign || doubled || matches!(stream.kind(at), Kind::Not | Kind::All)) {
                break;
            }
            at = at.saturating_add(1);
        }
        read.end = at;
        read.open = false;
        let kind = stream.kind(at);
        let next = at.saturating_add(1);
        let arguments = stream.has(next, Flags::OPEN) && !stream.has(next, Flags::CLOSED);
        if is_name(kind) && stream.has(at, Flags::INDEXED) {
            read.names = true;
            if arguments {
                list = true;
                at = next;
                continue;
            }
        } else if is_call(kind) || (is_name(kind) && stream.has(at, Flags::CALLED)) {
            read.calls = true;
            if arguments {
                list = true;
                at = next;
                continue;
            }
        } else if is_literal(kind) {
            read.strings |= matches!(kind, Kind::Str | Kind::StrOpen | Kind::Lit);
            read.open = kind == Kind::StrOpen;
        } else if is_name(kind) {
            read.names = true;
        } else if matches!(kind, Kind::Select | Kind::Case | Kind::Exists) {
            read.query = stream.has(at, Flags::OPEN)
                || (kind == Kind::Case && stream.kind(next) == Kind::When);
            return read;
        } else {
            read.cut = kind == Kind::End
                && read.joins > 0
                && matches!(stream.before(at), Kind::Op)
                && at
                    .checked_sub(1)
                    .is_some_and(|at| stream.has(at, Flags::COMPARES));
            return read;
        }
        at = next;
        while stream.kind(at) == Kind::Cast {
            at = at.saturating_add(1);
        }
        if stream.kind(at) == Kind::Not && stream.kind(at.saturating_add(1)) == Kind::Like {
            at = at.saturating_add(1);
        }
        match stream.kind(at) {
            Kind::Op => read.symbol |= stream.has(at, Flags::COMPARES),
            Kind::Like => {
                read.like = true;
                list = true;
            }
            Kind::Logic => {}
            Kind::Comma if list => {}
            _ => {
                read.complete = true;
                read.end = at;
                return read;
            }
        }
        read.joins = read.joins.saturating_add(1);
        at = at.saturating_add(1);
    }
    read.end = at;
    read
}

/// Right after the closed quote.
pub(super) fn prefix(stream: &Stream<'_>) -> Option<Strength> {
    if let Some(strength) = closed_at_once(stream).or_else(|| halves(stream)) {
        return Some(strength);
    }
    let short = stream.has(0, Flags::SHORT);
    let first = stream.skip(1, &[Kind::Not]);
    match stream.kind(first) {
        Kind::Comment if first == 1 => {
            // `admin'--` closes a statement; `the boys' -- all of them` is a dash.
            let dashes = stream.has(1, Flags::DASHES);
            // `'--option'` in code, `"---` before a document.
            let option = !stream.has(1, Flags::EMPTY) && stream.has(0, Flags::QUOTES);
            let ruled = stream.text(1).starts_with(b"---\n") && !short;
            let cuts = if stream.has(1, Flags::EMPTY) {
                dashes || short
            } else {
                dashes && (stream.has(1, Flags::CLOSED) || short)
            };
            Some(if cuts && !option && !ruled && !stream.has(0, Flags::ODD) {
                Strength::Decisive
            } else {
                Strength::Suspicious
            })
        }
        Kind::Semi if matches!(stream.kind(2), Kind::Comment) => Some(Strength::Decisive),
        // `x@y.z';`
        Kind::Semi
            if stream.kind(2) == Kind::End
                && short
                && !stream.has(0, Flags::EMPTY)
                && !stream.has(0, Flags::ODD)
                && !stream.has(0, Flags::QUOTES) =>
        {
            Some(Strength::Decisive)
        }
        Kind::Op | Kind::Like => {
            let operand = first.saturating_add(1);
            let next = stream.kind(operand);
            let after = stream.kind(operand.saturating_add(1));
            if is_call(next) || next == Kind::Select || next == Kind::SysVar {
                return Some(Strength::Decisive);
            }
            if next == Kind::StrOpen
                && after == Kind::End
                && stream.has(operand, Flags::EMPTY)
                && !stream.has(0, Flags::QUOTES)
                && stream.value.trim_ascii() != br#""*""#
                && !(kind_is_word(stream, first)
                    && stream.kind(first) == Kind::Op
                    && !bytes::is_space(bytes::byte(stream.value, 1)))
            {
                return Some(if stream.has(0, Flags::EMPTY) || short {
                    Strength::Decisive
                } else {
                    Strength::Suspicious
                });
            }
            if bytes::has_at(stream.text(first), 0, b"collate")
                && !is_collation(stream.text(operand))
            {
                return Some(Strength::Suspicious);
            }
            let quotes = stream.has(0, Flags::QUOTES);
            if is_literal(next) && matches!(after, Kind::Comment | Kind::Logic) && !quotes {
                return Some(Strength::Decisive);
            }
            expression(stream, first)
        }
        Kind::Logic => expression(stream, first),
        Kind::Order if is_literal(stream.kind(2)) => Some(Strength::Decisive),
        // `"call" lists` is a title with a quoted word.
        Kind::Having | Kind::Waitfor | Kind::Exec
            if stream.kind(2) != Kind::Word
                && !(stream.kind(2) == Kind::StrOpen && stream.has(0, Flags::QUOTES)) =>
        {
            Some(Strength::Decisive)
        }
        Kind::Limit
            if stream.kind(2) == Kind::Num
                && matches!(
                    stream.kind(3),
                    Kind::Comment | Kind::Comma | Kind::Union | Kind::Into | Kind::Danger
                ) =>
        {
            Some(Strength::Decisive)
        }
        Kind::Comma => {
            let mut at = 2_usize;
            while is_literal(stream.kind(at))
                && stream.kind(at.saturating_add(1)) == Kind::Comma
                && at < 16
            {
                at = at.saturating_add(2);
            }
            let last = at.saturating_add(1);
            // `', name='x`: another column of an UPDATE.
            let end = matches!(stream.kind(5), Kind::End | Kind::Comment);
            let column = is_name(stream.kind(2))
                && stream.text(3).first() == Some(&b'=')
                && is_literal(stream.kind(4))
                && end
                && stream.has(0, Flags::SHORT);
            if column {
                return Some(Strength::Decisive);
            }
            if !is_literal(stream.kind(2)) && !is_call(stream.kind(2)) {
                return None;
            }
            // `',null)`: the rest of a row.
            let row = stream.has(last, Flags::BROKEN) && is_literal(stream.kind(at));
            (stream.kind(last) == Kind::Comment || is_call(stream.kind(at)) || row)
                .then_some(Strength::Decisive)
        }
        _ => None,
    }
}

/// The value starts with the quote that closes its literal: what follows can be shorter than elsewhere.
fn closed_at_once(stream: &Stream<'_>) -> Option<Strength> {
    if !stream.has(0, Flags::EMPTY) {
        return None;
    }
    let (second, third) = (stream.kind(2), stream.kind(3));
    let sure = match stream.kind(1) {
        // `'*1*'`, `'-0-'`: a number that the operators tie to the literals on both sides.
        Kind::Op if second == Kind::Num && third == Kind::Op => {
            stream.kind(4) == Kind::StrOpen
                && stream.has(4, Flags::EMPTY)
                && stream.kind(5) == Kind::End
                && stream.text(4).first() == Some(&b'\'')
                && stream.same_sign(1, 3)
        }
        // `';`, `';print'`
        Kind::Semi => {
            second == Kind::End
                || is_name(second) && third == Kind::StrOpen && stream.has(3, Flags::EMPTY)
        }
        // `'alter a`, `" union/`, `'select x`
        Kind::Ddl | Kind::Union | Kind::Select => {
            (is_name(second) || second == Kind::Op) && third == Kind::End
        }
        // `'||(`
        Kind::Logic | Kind::Op if second == Kind::End => stream.tail.open,
        // `' like '%`, `' regexp '.`
        Kind::Like => {
            second == Kind::StrOpen && third == Kind::End && {
                let text = bytes::rest(stream.text(2), 1);
                !text.is_empty() && text.len() <= 3 && !text.iter().any(u8::is_ascii_alphanumeric)
            }
        }
        // `' or name!`, `' or name 9`, `' or 3,4`
        Kind::Logic => {
            is_name(second) && matches!(third, Kind::Op | Kind::Num) && stream.kind(4) == Kind::End
                || second == Kind::Num && third == Kind::Comma
        }
        // `' * from`, `' = #`
        Kind::Op => {
            second == Kind::From || stream.has(1, Flags::COMPARES) && second == Kind::Comment
        }
        _ => false,
    };
    sure.then_some(Strength::Decisive)
}

/// `a '=' b`: two operands no longer than a placeholder, and an operator that stands outside of the literals around it.
fn halves(stream: &Stream<'_>) -> Option<Strength> {
    let operator = stream.skip(1, &[Kind::Not]);
    let last = operator.saturating_add(1);
    let short = |text: &[u8]| text.trim_ascii().len() <= PLACEHOLDER;
    let sure = matches!(stream.kind(operator), Kind::Op | Kind::Logic | Kind::Like)
        && stream.kind(last) == Kind::StrOpen
        && stream.text(last).first() == Some(&b'\'')
        && short(bytes::rest(stream.text(last), 1))
        && stream
            .tokens
            .first()
            .is_some_and(|token| short(bytes::part(stream.value, 0, token.at())))
        && stream.has(0, Flags::QUOTES);
    sure.then_some(Strength::Decisive)
}

/// `nocase`, `utf8mb4_bin`, `"C"`: a collation has a name of its own or one with an underscore.
pub(super) fn is_collation(text: &[u8]) -> bool {
    const NAMES: [&[u8]; 6] = [
        b"nocase",
        b"binary",
        b"rtrim",
        b"unicode",
        b"database_default",
        b"ucs_basic",
    ];
    let length = text
        .iter()
        .position(|byte| !bytes::is_word(*byte))
        .unwrap_or(text.len());
    let name = bytes::part(text, 0, length);
    name.is_empty()
        || bytes::part(name, 0, 32).contains(&b'_')
        || bytes::has_at(text, 0, b"u&")
        || NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// `name (a, b);`, `(name 1)--`: brackets behind the operator, and with them the statement ends.
fn calls_and_ends(stream: &Stream<'_>, operand: usize) -> bool {
    let opens =
        stream.has(operand, Flags::OPEN) || stream.has(operand.saturating_add(1), Flags::OPEN);
    opens
        && (1..8).any(|step| {
            let at = operand.saturating_add(step);
            let last = stream.kind(at.saturating_add(1));
            stream.has(at, Flags::CLOSED)
                && (stream.kind(at) == Kind::Semi && matches!(last, Kind::End | Kind::Comment)
                    || stream.cuts(at) && stream.has(at, Flags::EMPTY))
        })
}

/// `f(a,"-",b)`: the quote that seems to close a literal opens an argument.
fn opens_argument(stream: &Stream<'_>) -> bool {
    let end = stream.tokens.first().map_or(0, |token| token.at());
    let before = end
        .checked_sub(1)
        .map_or(0, |at| bytes::byte(stream.value, at));
    before == b',' && stream.value.contains(&b'(')
}

/// `MOD`, `DIV` rather than a symbol.
fn kind_is_word(stream: &Stream<'_>, at: usize) -> bool {
    stream.text(at).first().is_some_and(u8::is_ascii_alphabetic)
}

/// From the closed quote to the one that the value leaves open, or to a comment that cuts off the rest,
/// operators and operands alternate.
fn expression(stream: &Stream<'_>, operator: usize) -> Option<Strength> {
    let kind = stream.kind(operator);
    let operand = operator.saturating_add(1);
    let read = read(stream, operand);
    let short = stream.has(0, Flags::SHORT);
    let compares =
        read.symbol || read.like || kind != Kind::Op || stream.has(operator, Flags::COMPARES);
    if read.query {
        return Some(Strength::Decisive);
    }
    if kind == Kind::Logic
        && short
        && !stream.has(0, Flags::QUOTES)
        && calls_and_ends(stream, operand)
    {
        return Some(Strength::Decisive);
    }
    if !read.complete {
        return None;
    }
    let end = stream.kind(read.end);
    if stream.cuts(read.end) && (stream.has(read.end, Flags::EMPTY) || read.joins > 0) {
        // `~name` flips the bits of a column: nothing that a condition needs.
        let flips = stream.text(operator).first() == Some(&b'~') && read.names && read.joins == 0;
        return (short && !flips).then_some(Strength::Decisive);
    }
    let behind = stream.kind(read.end.saturating_add(1));
    let cut = stream.cuts(read.end.saturating_add(2))
        && stream.has(read.end.saturating_add(2), Flags::EMPTY);
    if end == Kind::Semi
        && short
        && compares
        && (matches!(behind, Kind::End | Kind::Comment)
            || (is_name(behind) || behind == Kind::Verb) && cut)
    {
        return Some(Strength::Decisive);
    }
    if !read.open || end != Kind::End {
        return None;
    }
    // `"LIKE" STAMP` is a title with a quoted word, `Q="LIKE"` an attribute.
    let quoted = stream.has(0, Flags::QUOTES)
        || (stream.has(0, Flags::EMPTY) && kind == Kind::Like && read.joins == 0);
    // `a'+'b`: the two halves of a literal that the server joins.
    let joined = !stream.has(0, Flags::EMPTY)
        && stream
            .tokens
            .first()
            .is_some_and(|token| token.at() <= HALF)
        && !opens_argument(stream);
    (short && !quoted && (compares || joined) && (kind != Kind::Logic || read.joins > 0)
        || (read.joins > 0 && compares && !stream.has(0, Flags::QUOTES)))
    .then_some(Strength::Decisive)
}

/// `AND`/`OR`/`||`/`&&`/`HAVING` and what it joins.
pub(super) fn logic(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let left = stream.skip(at.saturating_add(1), &[Kind::Not]);
    let kind = stream.kind(left);
    let next = stream.kind(left.saturating_add(1));
    let word = !stream.has(at, Flags::SYMBOL);
    if kind == Kind::Select || (kind == Kind::Exists && next == Kind::Select) {
        let real = stream.has(left, Flags::OPEN) || kind == Kind::Exists;
        return real.then_some(Strength::Decisive);
    }
    if kind == Kind::Comment && left == at.saturating_add(1) {
        return (is_literal(stream.before(at)) && stream.has(left, Flags::EMPTY))
            .then_some(Strength::Decisive);
    }
    // `3 and(`
    if kind == Kind::End && at == 1 && stream.tail.open && stream.kind(0) == Kind::Num {
        return Some(Strength::Decisive);
    }
    // `1 or !0`, `1 or ~1`
    let sign = stream.text(at.saturating_add(1)).first();
    let behind = stream.kind(at.saturating_add(2));
    if at == 1
        && stream.kind(0) == Kind::Num
        && matches!(sign, Some(b'!' | b'~'))
        && matches!(behind, Kind::Num | Kind::Lit)
        && stream.kind(at.saturating_add(3)) == Kind::End
    {
        return Some(Strength::Decisive);
    }
    if at == 1 && is_typed(stream) {
        return Some(Strength::Decisive);
    }
    let read = read(stream, at.saturating_add(1));
    // `xor 5-`
    if at == 0
        && read.end > left
        && kind == Kind::Num
        && stream.kind(read.end) == Kind::End
        && stream.before(read.end) == Kind::Op
        && bytes::has_at(stream.text(at), 0, b"xor")
    {
        return Some(Strength::Decisive);
    }
    if kind == Kind::Danger && stream.has(left, Flags::CALLED) || read.query {
        return Some(Strength::Decisive);
    }
    if is_call(kind) {
        let sure = word && (kind != Kind::Func || stream.has(left, Flags::NATIVE))
            || stream.broke_out()
            || is_literal(stream.before(at))
            || (read.complete && read.symbol && is_closing(stream.kind(read.end)));
        return Some(if sure {
            Strength::Decisive
        } else if word && at == 0 {
            Strength::Suspicious
        } else {
            Strength::Weak
        });
    }
    if let Some(strength) = joined(stream, at, &read) {
        return Some(strength);
    }
    let start = at <= 1 && (stream.broke_out() || at == 0);
    if is_literal(kind) {
        return literal(stream, at, left, start);
    }
    if is_name(kind) && matches!(next, Kind::Op | Kind::Like) {
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

/// `1 or b'1'`, `1 or not 0`, `1 or ~0`, `0x31 or 1`: a value, and a truth that is written as no sentence writes it.
fn is_typed(stream: &Stream<'_>) -> bool {
    if stream.kind(0) != Kind::Num {
        return false;
    }
    let not = stream.kind(2) == Kind::Not;
    let left = stream.skip(2, &[Kind::Not]);
    let ends = matches!(
        stream.kind(left.saturating_add(1)),
        Kind::End | Kind::Comment | Kind::Semi
    );
    // `0 or 1 group by id`
    let sorted = stream.kind(left.saturating_add(1)) == Kind::Order
        && is_name(stream.kind(left.saturating_add(2)));
    let text = stream.text(left);
    let start = stream.tokens.get(left).map_or(0, |token| token.at());
    let before = start
        .checked_sub(1)
        .map_or(0, |at| bytes::byte(stream.value, at));
    let single = !bytes::is_word(bytes::byte(text, 1)) && bytes::byte(text, 1) != b'.';
    let digit = if single { bytes::byte(text, 0) } else { 0 };
    let tied = start
        .checked_sub(2)
        .is_some_and(|at| bytes::is_word(bytes::byte(stream.value, at)));
    // `1 or(1)`, `1 or/*a*/1`, `1 or 0x1`: no blank, or a base that prose has no number in.
    let glued = stream.kind(left) == Kind::Num
        && (before == b'/' || text.starts_with(b"0x") || before == b'(' && left == 2 && tied);
    if glued && ends || sorted && stream.kind(left) == Kind::Num {
        return true;
    }
    ends && match stream.kind(left) {
        Kind::Str => matches!(before | 0x20, b'b' | b'x' | b'n'),
        Kind::Num => {
            digit == b'0' && (not || before == b'~')
                || digit == b'1' && !not && stream.text(0).starts_with(b"0x")
        }
        _ => false,
    }
}

/// Conditions that are sure as a whole.
fn joined(stream: &Stream<'_>, at: usize, read: &Condition) -> Option<Strength> {
    let first = at.saturating_add(1);
    let having = stream.kind(at) == Kind::Having;
    // `OR 7=(`, `&& e===`: cut off where the application goes on.
    if at == 0 && read.cut {
        return Some(Strength::Decisive);
    }
    if !read.complete || !is_closing(stream.kind(read.end)) {
        return None;
    }
    if !read.names && (read.symbol || (having && read.joins > 0 && stream.has(first, Flags::OPEN)))
    {
        // `1+1=2`: no word of prose in it.
        let open = read.open && !stream.broke_out() && at > 1;
        return (!open).then_some(Strength::Decisive);
    }
    let quotes = read.like && read.strings;
    if read.symbol && read.joins == 1 && !read.calls {
        // `a=a`.
        let end = read.end;
        let (one, other) = (end.saturating_sub(3), end.saturating_sub(1));
        if one == first && stream.kind(other) == Kind::Word && stream.same(one, other) {
            return Some(Strength::Decisive);
        }
    }
    let after_value = at == 1 && matches!(stream.kind(0), Kind::Num | Kind::Str);
    let whole = matches!(
        stream.kind(read.end),
        Kind::End | Kind::Comment | Kind::Semi | Kind::Logic
    );
    let worded = read.like && (read.strings || read.calls) && stream.kind(read.end) != Kind::Logic;
    ((at == 0 && (read.symbol || worded) || after_value && (read.symbol || quotes)) && whole)
        .then_some(Strength::Decisive)
}

/// `6' or 7'`, `5'10" or 6'2"`: lengths; `d'Or 5--6`: a name and an address.
fn is_measure(stream: &Stream<'_>, next: Kind) -> bool {
    if !stream.broke_out() {
        return false;
    }
    let end = stream.tokens.first().map_or(0, |token| token.at());
    let inside = stream.value.get(..end).unwrap_or(&[]);
    let lengths = next == Kind::StrOpen
        && !inside.is_empty()
        && inside
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'\'' | b'"' | b' ' | b'.'));
    let elided = match inside {
        [.., before, letter] => bytes::is_space(*before) && matches!(letter | 0x20, b'd' | b'l'),
        [letter] => matches!(letter | 0x20, b'd' | b'l'),
        [] => false,
    };
    lengths || elided && bytes::byte(stream.value, end.saturating_add(1)).is_ascii_alphabetic()
}

/// A literal behind `AND`, `OR`.
fn literal(stream: &Stream<'_>, at: usize, left: usize, start: bool) -> Option<Strength> {
    let kind = stream.kind(left);
    let next = stream.kind(left.saturating_add(1));
    if matches!(next, Kind::Op | Kind::Like) {
        let right = stream.skip(left.saturating_add(2), &[Kind::Not, Kind::All, Kind::Op]);
        let other = stream.kind(right);
        let after = stream.kind(right.saturating_add(1));
        if other == Kind::Select || is_call(other) {
            return Some(Strength::Decisive);
        }
        if is_literal(other) {
            // `2 and 2 is 4` is a sum in words.
            let sum = bytes::has_at(stream.text(left.saturating_add(1)), 0, b"is")
                && next == Kind::Like
                && right == left.saturating_add(2)
                && matches!(other, Kind::Num)
                && !stream.broke_out()
                && !stream.same(left, right);
            if sum {
                return Some(Strength::Suspicious);
            }
            let open = after == Kind::StrOpen
                && !stream.broke_out()
                && !stream.has(right.saturating_add(1), Flags::EMPTY);
            let sure = other == Kind::StrOpen || (is_closing(after) && !open) || stream.broke_out();
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
    if kind == Kind::Num && at == 1 && is_measure(stream, next) {
        return Some(Strength::Suspicious);
    }
    if next == Kind::Comment {
        // `and @anna (#91)`: who did what, in a list of changes.
        let comment = stream.text(left.saturating_add(1));
        let numbered =
            comment.first() == Some(&b'#') && comment.get(1).is_some_and(u8::is_ascii_digit);
        if kind == Kind::Var && numbered {
            return None;
        }
        return Some(Strength::Decisive);
    }
    let short = stream.has(0, Flags::SHORT);
    if kind == Kind::StrOpen && start && stream.broke_out() {
        // `'and'`, `'Or' is a name`: the word is what is quoted.
        let text = bytes::part(stream.text(left), 1, 64);
        let said = stream.has(0, Flags::EMPTY)
            && !stream.has(at, Flags::SYMBOL)
            && !bytes::has_at(stream.text(at), 0, b"xor")
            && !bytes::is_space(bytes::byte(stream.value, 1))
            && (text.is_empty() || bytes::is_space(bytes::byte(text, 0)));
        if said {
            return Some(Strength::Suspicious);
        }
        // `the 'and' keyword` is a quoted word.
        return Some(if short && !stream.has(0, Flags::QUOTES) {
            Strength::Decisive
        } else {
            Strength::Suspicious
        });
    }
    if start && stream.broke_out() && is_closing(next) && (short || next != Kind::StrOpen) {
        return Some(if stream.has(0, Flags::QUOTES) && kind == Kind::Str {
            Strength::Suspicious
        } else {
            Strength::Decisive
        });
    }
    if kind == Kind::Lit && is_closing(next) {
        // `9 or true`.
        let value = at == 1 && stream.kind(0) == Kind::Num && next == Kind::End;
        return Some(if value {
            Strength::Decisive
        } else {
            Strength::Suspicious
        });
    }
    None
}

/// `WHERE` and its condition, where no query stands before it.
pub(super) fn restriction(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let read = read(stream, at.saturating_add(1));
    if read.query {
        return Some(Strength::Decisive);
    }
    if !read.complete || !read.symbol || !is_closing(stream.kind(read.end)) {
        return None;
    }
    let behind = at <= 1 && (is_literal(stream.before(at)) || stream.broke_out());
    let cut = stream.kind(read.end) == Kind::Comment && stream.has(read.end, Flags::EMPTY);
    (!read.names || behind || cut).then_some(Strength::Decisive)
}

/// `CASE WHEN 1=1 THEN …`, `CASE x WHEN …`, `) WHEN 1 THEN`.
pub(super) fn case(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let first = at.saturating_add(1);
    let (when, opens) = if stream.kind(at) == Kind::When {
        if !stream.has(at, Flags::BROKEN) {
            return None;
        }
        (at, true)
    } else {
        let opens = at == 0
            || stream.has(at, Flags::OPEN)
            || matches!(
                stream.before(at),
                Kind::Op | Kind::Logic | Kind::Comma | Kind::Select | Kind::Like
            );
        if stream.kind(first) == Kind::When {
            (first, opens)
        } else {
            (read(stream, first).end, opens)
        }
    };
    if stream.kind(when) != Kind::When {
        return None;
    }
    let read = read(stream, when.saturating_add(1));
    if !read.complete || stream.kind(read.end) != Kind::Flow {
        return None;
    }
    Some(if opens || read.symbol {
        Strength::Decisive
    } else {
        Strength::Suspicious
    })
}
