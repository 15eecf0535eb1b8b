//! Parts of a statement: calls, variables, casts, orders, comments, and values that are a condition as a whole.
//!
//! **In:** tokens and a position. **Out:** how strong the fragment is.
//! **Invariant:** looks a constant number of tokens ahead.

use super::{Flags, Kind, Stream, Strength, condition, is_call, is_literal};

/// Behind these, a call or a variable is an operand.
const fn is_joint(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Select
            | Kind::Logic
            | Kind::Comma
            | Kind::Op
            | Kind::Like
            | Kind::Prefix
            | Kind::Order
            | Kind::Having
            | Kind::Where
            | Kind::When
    )
}

/// The value as one fragment.
pub(super) fn whole(stream: &Stream<'_>) -> Option<Strength> {
    let first = stream.kind(0);
    let last = stream.tokens.len().saturating_sub(1);
    // `benchmark(`: a call whose arguments come from elsewhere.
    if stream.tail.open && last <= 1 && is_call(stream.kind(last)) {
        let native = stream.kind(last) != Kind::Func
            || stream.has(last, Flags::NATIVE)
            || [b"database".as_slice(), b"user", b"schema"]
                .iter()
                .any(|name| super::bytes::has_at(stream.text(last), 0, name));
        let alone = last == 0 || stream.broke_out();
        return Some(if native && alone {
            Strength::Decisive
        } else {
            Strength::Suspicious
        });
    }
    // `, find_in_set(1,2)`
    if first == Kind::Comma && stream.has(1, Flags::NATIVE) && is_call(stream.kind(1)) {
        return Some(Strength::Decisive);
    }
    // `b,1=1`
    if super::is_name(first) && stream.kind(1) == Kind::Comma && is_tautology(stream, 2) {
        return Some(Strength::Decisive);
    }
    // `values ('a', 1)`
    if first == Kind::Values
        && stream.kind(1) == Kind::Str
        && stream.has(1, Flags::OPEN)
        && stream.tail.closed
        && stream.kind(2) == Kind::Comma
    {
        return Some(Strength::Decisive);
    }
    // `set @x := 1`
    if first == Kind::Set
        && stream.kind(1) == Kind::Var
        && (stream.kind(2) == Kind::Op
            || stream.kind(2) == Kind::End && stream.text(1).contains(&b'_'))
    {
        return Some(Strength::Decisive);
    }
    // `; drop`, `; update users`
    if first == Kind::Semi && begins(stream, 1) {
        return Some(Strength::Decisive);
    }
    if !is_literal(first) && !is_call(first) && first != Kind::Not {
        return None;
    }
    let read = condition::read(stream, 0);
    if read.cut && is_call(first) {
        return Some(Strength::Decisive);
    }
    if !read.complete || read.names {
        return None;
    }
    match stream.kind(read.end) {
        // `'admin', '1'='1'`
        Kind::Comma
            if first == Kind::Str
                && read.joins == 0
                && is_tautology(stream, read.end.saturating_add(1)) =>
        {
            Some(Strength::Decisive)
        }
        // `1=1`, `'a'<>'b'`.
        Kind::End if is_call(first) => {
            (read.joins > 0 && (read.symbol || read.like)).then_some(Strength::Decisive)
        }
        Kind::End if first == Kind::Str && read.symbol && !read.open => Some(Strength::Decisive),
        Kind::End if read.joins == 1 && !read.calls && is_literal(first) => {
            let same = stream.same(0, 2) && first == Kind::Num;
            let odd = stream.text(1).starts_with(b"!=")
                || stream.text(1).starts_with(b"<>")
                || stream.text(1).starts_with(b"<=>");
            let worded = read.like && (same || stream.kind(1) == Kind::Not);
            if odd && read.symbol || worded {
                Some(Strength::Decisive)
            } else {
                (same && read.symbol).then_some(Strength::Suspicious)
            }
        }
        // `!1 or 1`
        Kind::End
            if stream.text(0).first() == Some(&b'!')
                && stream.kind(1) == Kind::Num
                && stream.kind(2) == Kind::Logic
                && !read.calls =>
        {
            Some(Strength::Decisive)
        }
        // `1 between 1 and 1`
        Kind::End
            if read.joins == 2
                && first == Kind::Num
                && super::bytes::has_at(stream.text(1), 0, b"between")
                && (stream.same(0, 2) || stream.same(0, 4)) =>
        {
            Some(Strength::Decisive)
        }
        // `(2=2)*7`
        Kind::End
            if read.joins == 2
                && first == Kind::Num
                && read.symbol
                && stream.same(0, 2)
                && stream.has(0, Flags::OPEN)
                && stream.has(3, Flags::CLOSED) =>
        {
            Some(Strength::Decisive)
        }
        // `1!=0--`
        Kind::Comment
            if first == Kind::Num
                && read.joins == 1
                && read.symbol
                && !read.calls
                && stream.has(read.end, Flags::EMPTY)
                && stream.has(read.end, Flags::DASHES) =>
        {
            Some(Strength::Decisive)
        }
        // `('a' * 1) --`
        Kind::Comment
            if stream.has(0, Flags::OPEN)
                && stream.has(read.end, Flags::EMPTY)
                && (read.joins > 0 || read.calls || read.strings) =>
        {
            Some(Strength::Decisive)
        }
        _ => None,
    }
}

/// `1=1` from `at` to the end.
fn is_tautology(stream: &Stream<'_>, at: usize) -> bool {
    let (operator, other) = (at.saturating_add(1), at.saturating_add(2));
    matches!(stream.kind(at), Kind::Num | Kind::Str)
        && stream.has(operator, Flags::COMPARES)
        && stream.kind(operator) == Kind::Op
        && matches!(stream.kind(other), Kind::Num | Kind::Str)
        && stream.kind(other.saturating_add(1)) == Kind::End
}

/// `1=1,` at `at`.
fn compares_numbers(stream: &Stream<'_>, at: usize) -> bool {
    stream.kind(at) == Kind::Num
        && stream.has(at.saturating_add(1), Flags::COMPARES)
        && stream.kind(at.saturating_add(1)) == Kind::Op
        && stream.kind(at.saturating_add(2)) == Kind::Num
        && stream.kind(at.saturating_add(3)) == Kind::Comma
}

/// The start of a statement that another parameter goes on with.
fn begins(stream: &Stream<'_>, at: usize) -> bool {
    let (next, third) = (at.saturating_add(1), at.saturating_add(2));
    let name = super::is_name(stream.kind(next)) && stream.kind(third) == Kind::End;
    match stream.kind(at) {
        Kind::Ddl => {
            stream.has(at, Flags::NATIVE) && matches!(stream.kind(next), Kind::End | Kind::Other)
        }
        Kind::Select => stream.kind(next) == Kind::End,
        Kind::Update => name,
        _ => false,
    }
}

/// A name of the system catalogues: in a query or as the whole value.
pub(super) fn schema(stream: &Stream<'_>, at: usize) -> Strength {
    let queried = matches!(
        stream.before(at),
        Kind::From | Kind::Into | Kind::Select | Kind::Comma | Kind::Update | Kind::Exec
    );
    let alone = at == 0 && stream.kind(1) != Kind::Word || stream.broke_out();
    let member = stream.text(at).iter().take(32).any(|byte| *byte == b'.');
    if queried || alone || member {
        Strength::Decisive
    } else {
        Strength::Suspicious
    }
}

/// `@@version`.
pub(super) fn variable(stream: &Stream<'_>, at: usize) -> Strength {
    let operand = matches!(
        stream.before(at),
        Kind::Select | Kind::Logic | Kind::Comma | Kind::Op | Kind::All
    );
    let cut = stream.has(1, Flags::DASHES) || stream.text(1).starts_with(b"/*");
    let printed = at == 1 && super::fragment::leads(stream.text(0), b"print");
    if operand || printed || (at == 0 && stream.cuts(1) && cut) {
        Strength::Decisive
    } else {
        Strength::Suspicious
    }
}

/// Letters of a tag that are read.
const TAG: usize = 32;

/// `'{}'::jsonb`, `f(x)::int`, `password::int`.
pub(super) fn cast(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let before = stream.before(at);
    if matches!(before, Kind::Str | Kind::Num | Kind::Lit | Kind::Cast)
        || stream.has(at, Flags::CLOSED)
        || matches!(stream.kind(0), Kind::Logic)
    {
        return Some(Strength::Decisive);
    }
    let next = stream.kind(at.saturating_add(1));
    // `face::text-mode, role::program`: tags, one of which begins with a type's name.
    let tail = stream.text(at.saturating_add(1));
    let letters = super::bytes::tally(
        super::bytes::rest(tail, 1)
            .iter()
            .take(TAG)
            .take_while(|byte| byte.is_ascii_lowercase()),
    );
    let tagged = tail.starts_with(b"-")
        && letters > 0
        && super::bytes::byte(tail, letters.saturating_add(1)) == b','
        && super::bytes::byte(tail, letters.saturating_add(2)) == b' ';
    let alone =
        at == 1 && !tagged && matches!(next, Kind::End | Kind::Comment | Kind::Logic | Kind::Op);
    Some(if alone || stream.broke_out() {
        Strength::Decisive
    } else {
        Strength::Suspicious
    })
}

/// A call.
pub(super) fn call(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let before = stream.before(at);
    let joined = is_joint(before);
    let first = at.saturating_add(1);
    let next = stream.kind(first);
    let native = stream.has(at, Flags::NATIVE);
    match stream.kind(at) {
        Kind::Danger => {
            let used = stream.has(at, Flags::CALLED)
                || (joined && before != Kind::Like)
                || matches!(before, Kind::Exec | Kind::Semi | Kind::Word | Kind::Schema)
                    && stream.has(at, Flags::PROC)
                    && is_literal(next);
            // `against ('+a' in boolean mode)`
            if super::bytes::has_at(stream.text(at), 0, b"against") {
                let behind = stream.kind(first.saturating_add(1));
                let text = next == Kind::Str
                    && stream.has(first, Flags::OPEN)
                    && matches!(behind, Kind::Like | Kind::Comment | Kind::Op);
                return text.then_some(Strength::Decisive);
            }
            Some(if used || matches!(before, Kind::Exec | Kind::Semi) {
                Strength::Decisive
            } else {
                Strength::Suspicious
            })
        }
        Kind::Timed => {
            let argument =
                is_literal(next) || is_call(next) || next == Kind::Word || next == Kind::Op;
            let closed = stream.has(at.saturating_add(2), Flags::CLOSED)
                || stream.kind(at.saturating_add(2)) != Kind::Word;
            // `Sleep(8) is all I need`
            let behind = stream.kind(at.saturating_add(2));
            // `sleep(5) not working in bash`
            let denied = behind == Kind::Not && stream.kind(at.saturating_add(3)) == Kind::Word;
            let talk = (denied || matches!(behind, Kind::Word | Kind::Like)) && !joined;
            if !talk && argument && (joined || (closed && !stream.has(at, Flags::SPACED))) {
                Some(Strength::Decisive)
            } else {
                None
            }
        }
        Kind::Func => {
            // `length(version())`: a call of the database's own without arguments.
            let inner = at.saturating_add(2);
            let empty = stream.has(first, Flags::NATIVE)
                && (stream.has(inner, Flags::OPEN) && stream.has(inner, Flags::CLOSED)
                    || stream.kind(inner) == Kind::End && stream.tail.open && stream.tail.closed);
            let known = native || next != Kind::Func || empty;
            let nested = is_call(next) && known && stream.has(first, Flags::OPEN)
                || (next == Kind::Select && stream.has(first, Flags::OPEN))
                || (matches!(next, Kind::SysVar | Kind::Case) && stream.has(first, Flags::OPEN));
            if nested {
                return Some(Strength::Decisive);
            }
            if stream.has(at, Flags::SPACED) {
                return None;
            }
            // `iif(1=1,1,1/0)`, `make_set(2=2,1)`: what is chosen by numbers alone is chosen by the sender.
            let chooses =
                native && stream.has(first, Flags::OPEN) && compares_numbers(stream, first);
            if chooses || joined && stream.broke_out() && at <= 2 {
                return Some(Strength::Decisive);
            }
            // `concat(0x223e,version())`.
            let hex = native && next == Kind::Num && stream.text(first).starts_with(b"0x");
            if hex {
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

/// `ORDER BY 5--`.
pub(super) fn order(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let next = stream.kind(at.saturating_add(1));
    let after = stream.kind(at.saturating_add(2));
    if !is_literal(next) {
        let cut = stream.broke_out()
            && at == 1
            && super::is_name(next)
            && stream.cuts(at.saturating_add(2))
            && stream.has(at.saturating_add(2), Flags::EMPTY);
        return (is_call(next)
            || cut
            || next == Kind::Case
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
pub(super) fn nulls(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let many = [1, 3, 5]
        .iter()
        .all(|step| stream.kind(at.saturating_add(*step)) == Kind::Lit);
    many.then_some(Strength::Decisive)
}

/// A comment that cuts off what follows a value.
pub(super) fn comment(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    // SQL Server keeps a statement that names this procedure out of its log.
    if stream.hides && stream.has(at, Flags::DASHES) {
        return Some(Strength::Decisive);
    }
    if at == 0 || !stream.has(at, Flags::EMPTY) {
        return None;
    }
    let number = stream.kind(0) == Kind::Num && at == 1 && stream.has(at, Flags::DASHES);
    number.then_some(Strength::Suspicious)
}

/// `LIKE '%…` after a closed quote or a number, `IN (SELECT …)`.
pub(super) fn like(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let before = stream.before(at);
    let next = stream.kind(at.saturating_add(1));
    // `like '%'`
    let wild = at == 0
        && matches!(next, Kind::Str | Kind::StrOpen)
        && stream.text(1).get(1) == Some(&b'%');
    if wild || is_literal(before) && next == Kind::Danger {
        return Some(Strength::Decisive);
    }
    // `in (0,-1)`, `in ('a','b')`: a list and nothing else.
    if at == 0 && super::bytes::has_at(stream.text(0), 0, b"in") && stream.has(1, Flags::OPEN) {
        return is_list(stream, 1).then_some(Strength::Decisive);
    }
    // `like null`, `name like '`
    let end = stream.kind(at.saturating_add(2)) == Kind::End;
    let null = at == 0 && next == Kind::Lit && super::fragment::is_like_null(stream.text(0));
    let left = at == 1
        && super::is_name(stream.kind(0))
        && next == Kind::StrOpen
        && stream.has(2, Flags::EMPTY)
        && super::bytes::has_at(stream.text(1), 0, b"like");
    if end && (null || left) {
        return Some(Strength::Decisive);
    }
    // `) like (`
    let broken = at == 0 && stream.has(at, Flags::BROKEN);
    (broken && next == Kind::End && stream.tail.open).then_some(Strength::Decisive)
}

/// Whether literals with commas between them, and the bracket that closes them, are all there is from `from` on.
fn is_list(stream: &Stream<'_>, from: usize) -> bool {
    let mut at = from;
    for _ in 0..64 {
        at = stream.skip(at, &[Kind::Op]);
        if !matches!(stream.kind(at), Kind::Num | Kind::Str | Kind::Lit) {
            return false;
        }
        at = at.saturating_add(1);
        match stream.kind(at) {
            Kind::Comma => at = at.saturating_add(1),
            Kind::End => return stream.tail.closed && at > from.saturating_add(2),
            _ => return false,
        }
    }
    true
}
