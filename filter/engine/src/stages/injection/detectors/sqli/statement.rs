//! Statements: queries that are joined on, nested or stacked.
//!
//! **In:** tokens and a position. **Out:** how strong the fragment is.
//! **Invariant:** looks a constant number of tokens ahead.

use super::{Flags, Kind, Stream, Strength, bytes, is_call, is_literal, is_name};

/// `UNION [ALL] SELECT …`.
pub(super) fn union(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let first = stream.skip(at.saturating_add(1), &[Kind::All]);
    let all = first > at.saturating_add(1);
    let row = first.saturating_add(1);
    if stream.kind(first) == Kind::Values
        && (stream.has(row, Flags::OPEN) || stream.has(row, Flags::CALLED))
    {
        return Some(Strength::Decisive);
    }
    // `1 union table users`
    let table = bytes::has_at(stream.text(first), 0, b"table")
        && is_name(stream.kind(row))
        && at == 1
        && (is_literal(stream.kind(0)) || stream.broke_out())
        && matches!(
            stream.kind(row.saturating_add(1)),
            Kind::End | Kind::Comment
        );
    if table {
        return Some(Strength::Decisive);
    }
    if stream.kind(first) != Kind::Select {
        // `-1/**/union#`: what it joins comes from another parameter.
        let hidden = stream.has(at, Flags::COMMENTED) && is_literal(stream.kind(0));
        return (hidden && matches!(stream.kind(first), Kind::End | Kind::Comment))
            .then_some(Strength::Decisive);
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
        || matches!(
            kind,
            Kind::Op | Kind::Comment | Kind::Select | Kind::Schema | Kind::Case
        )
        || (is_name(kind)
            && matches!(
                after,
                Kind::Comma | Kind::From | Kind::Comment | Kind::Op | Kind::As
            ))
        || (is_name(kind) && stream.has(item, Flags::CALLED))
        || (at == 1 && is_literal(stream.kind(0)))
        || (kind == Kind::End && (at == 0 || is_literal(stream.before(at))));
    Some(if sure {
        Strength::Decisive
    } else {
        Strength::Suspicious
    })
}

/// What a `SELECT` stands in and what it asks for.
pub(super) fn select(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let before = stream.before(at);
    // `the "select" loop`, `placeholder="Select"`, `<b>Select</b>`, `== Select ==`: a word that is quoted, shown or headed.
    let next = at.saturating_add(1);
    let quoted = before == Kind::Prefix && stream.has(0, Flags::QUOTES);
    let last = stream.skip(next, &[Kind::All]);
    if quoted && stream.kind(last) == Kind::StrOpen
        || stream.kind(last) == Kind::Op && stream.has(last, Flags::COMPARES)
    {
        return None;
    }
    let compared = before == Kind::Op
        && at
            .checked_sub(1)
            .is_some_and(|at| stream.has(at, Flags::COMPARES));
    // `why is "select …" slow?`
    let quoted = stream.has(0, Flags::QUOTES) && !stream.has(0, Flags::SHORT);
    let nested = stream.has(at, Flags::OPEN)
        || compared
        || (before == Kind::Prefix && !quoted)
        || matches!(before, Kind::Semi | Kind::Logic | Kind::Comma | Kind::Exec);
    let leading = at == 0;
    // `' select union 1,2`: a filter that takes one of the two words out leaves the other.
    if before == Kind::Prefix
        && stream.has(0, Flags::SHORT)
        && stream.kind(at.saturating_add(1)) == Kind::Union
    {
        return Some(Strength::Decisive);
    }
    let item = stream.skip(at.saturating_add(1), &[Kind::All, Kind::Not]);
    let kind = stream.kind(item);
    let after = stream.kind(item.saturating_add(1));
    if matches!(kind, Kind::Danger | Kind::SysVar) {
        return Some(Strength::Decisive);
    }
    if before == Kind::Var && kind == Kind::Var {
        return Some(Strength::Decisive);
    }
    if nested || leading {
        let choice = kind == Kind::Case && !matches!(after, Kind::Word | Kind::Other | Kind::Comma);
        let dangerous = kind == Kind::Word && stream.has(item, Flags::NATIVE);
        if is_call(kind) || choice || dangerous || kind == Kind::Var {
            return Some(Strength::Decisive);
        }
        // `=(select`, and what is selected arrives in another parameter.
        let cut = stream.has(at, Flags::COMMENTED)
            || stream.has(at, Flags::OPEN) && (leading || compared);
        if nested && kind == Kind::End && cut {
            return Some(Strength::Decisive);
        }
    }
    // `'select'`: a word in quotes.
    if kind == Kind::StrOpen && stream.has(item, Flags::EMPTY) && stream.broke_out() {
        return None;
    }
    // `SELECT TOP 10 name`.
    let limited = item > at.saturating_add(1) && kind == Kind::Num && is_name(after);
    if (is_literal(kind) || kind == Kind::Op) && !limited {
        let ends =
            stream.cuts(item.saturating_add(1)) && stream.has(item.saturating_add(1), Flags::EMPTY);
        let sure = matches!(
            after,
            Kind::Comma
                | Kind::From
                | Kind::Comment
                | Kind::Semi
                | Kind::Op
                | Kind::Logic
                | Kind::Union
        ) || (nested && after != Kind::Word)
            || (nested && stream.kind(item.saturating_add(2)) == Kind::From)
            || (after == Kind::End && stream.text(item).starts_with(b"0x"));
        if (nested || leading) && sure || ends {
            return Some(Strength::Decisive);
        }
        return constants(stream, item);
    }
    let item = if limited {
        item.saturating_add(1)
    } else {
        item
    };
    if !is_name(stream.kind(item)) {
        return None;
    }
    if (nested || leading)
        && stream.has(item, Flags::CALLED)
        && (nested || is_literal(stream.kind(item.saturating_add(1))))
    {
        return Some(Strength::Decisive);
    }
    columns(stream, item, nested, leading)
}

/// `1, 0x41, user()`: a list that no sentence has.
fn constants(stream: &Stream<'_>, from: usize) -> Option<Strength> {
    let mut at = from;
    for _ in 0..12 {
        let kind = stream.kind(at);
        let hex = stream.text(at).starts_with(b"0x") && stream.text(at).len() > 4;
        if stream.kind(at.saturating_add(1)) == Kind::Comma
            && (is_call(kind) || (kind == Kind::Num && hex))
        {
            return Some(Strength::Decisive);
        }
        if is_call(kind) && at > from {
            return Some(Strength::Decisive);
        }
        // `1,con_cat(0x41…`: a filter that takes the middle out has not been there yet.
        let bytes = stream.text(at.saturating_add(1)).starts_with(b"0x");
        if at > from && is_name(kind) && stream.has(at, Flags::CALLED) && bytes {
            return Some(Strength::Decisive);
        }
        if !is_literal(kind) || stream.kind(at.saturating_add(1)) != Kind::Comma {
            return None;
        }
        at = at.saturating_add(2);
    }
    None
}

/// A list of names up to `FROM`: commas, operators and calls are SQL, a run of words is a sentence.
fn columns(stream: &Stream<'_>, item: usize, nested: bool, leading: bool) -> Option<Strength> {
    let mut words = 0_u8;
    let mut listed = false;
    for step in 0..24 {
        match stream.kind(item.saturating_add(step)) {
            Kind::Word | Kind::Object => words = words.saturating_add(1),
            Kind::Comma => {
                words = 0;
                listed = true;
            }
            Kind::Op
            | Kind::Func
            | Kind::Danger
            | Kind::Num
            | Kind::Str
            | Kind::Lit
            | Kind::Var
            | Kind::SysVar
            | Kind::As
            | Kind::Cast => words = 0,
            Kind::From if words < 2 => {
                let table = item.saturating_add(step).saturating_add(1);
                let then = stream.kind(table.saturating_add(1));
                let clause = matches!(
                    then,
                    Kind::Comment
                        | Kind::Semi
                        | Kind::Limit
                        | Kind::Order
                        | Kind::Union
                        | Kind::Having
                ) || (then == Kind::Where
                    && stream.kind(table.saturating_add(2)) != Kind::End);
                if !matches!(
                    stream.kind(table),
                    Kind::Word | Kind::Object | Kind::Schema | Kind::Select
                ) {
                    return None;
                }
                return Some(
                    if nested
                        || stream.has(item, Flags::COMMENTED)
                        || (leading && (clause || listed))
                        || (listed && clause)
                    {
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

/// `) FROM users WHERE …`, `) AS x FROM`: the rest of a query whose head the application wrote.
pub(super) fn source(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let name = at.saturating_add(1);
    let then = at.saturating_add(2);
    let broken = stream.has(at, Flags::BROKEN);
    if stream.kind(at) == Kind::As {
        let named = is_name(stream.kind(name)) || stream.kind(name) == Kind::Str;
        return (named
            && stream.kind(then) == Kind::From
            && (broken
                || (stream.broke_out() && at == 1 && stream.has(0, Flags::SHORT))
                || (at == 1 && is_literal(stream.kind(0)))))
        .then_some(Strength::Decisive);
    }
    if at > 1 || !(at == 0 || broken) {
        return None;
    }
    if !matches!(stream.kind(name), Kind::Word | Kind::Object | Kind::Schema) {
        return None;
    }
    let ticked = stream.text(name).first() == Some(&b'`');
    let then = stream.kind(then);
    match then {
        Kind::Where => {
            let read = super::condition::read(stream, at.saturating_add(3));
            ((read.complete || read.cut) && read.symbol).then_some(Strength::Decisive)
        }
        Kind::Limit | Kind::Order | Kind::Union | Kind::Comment | Kind::Having
            if broken || ticked =>
        {
            Some(Strength::Decisive)
        }
        Kind::Order => Some(Strength::Suspicious),
        _ => None,
    }
}

/// Whether a statement starts at `at`.
fn statement(stream: &Stream<'_>, at: usize) -> bool {
    let first = stream.skip(at.saturating_add(1), &[Kind::All]);
    let next = stream.kind(first);
    let third = stream.kind(first.saturating_add(1));
    let fourth = first.saturating_add(2);
    match stream.kind(at) {
        Kind::Ddl => {
            next == Kind::Object && third != Kind::Op
                || (stream.has(at, Flags::NATIVE)
                    && is_name(next)
                    && (matches!(third, Kind::Comment | Kind::Semi)
                        || stream.has(first, Flags::COMMENTED)))
        }
        Kind::Insert => {
            (next == Kind::Into && is_table(third) && is_row(stream, fourth))
                || (is_name(next) && stream.kind(first.saturating_add(1)) == Kind::Values)
                || (is_name(next) && stream.has(first, Flags::SPACED) && has_values(stream, first))
                || (is_name(next) && stream.has(first, Flags::CALLED) && has_values(stream, first))
        }
        Kind::Delete => next == Kind::From && matches!(third, Kind::Word | Kind::Schema),
        Kind::Update => {
            matches!(next, Kind::Word | Kind::Schema | Kind::Object)
                && third == Kind::Set
                && stream.kind(first.saturating_add(3)) == Kind::Op
        }
        Kind::Exec => {
            let literal = matches!(next, Kind::Var | Kind::Str | Kind::StrOpen | Kind::Func);
            matches!(next, Kind::Danger | Kind::Schema)
                || stream.has(first, Flags::PROC)
                || (literal && stream.has(at, Flags::NATIVE))
        }
        Kind::Declare => matches!(next, Kind::Var),
        Kind::Waitfor => next == Kind::Delay,
        Kind::Select => {
            is_literal(next)
                || is_call(next)
                || matches!(next, Kind::Op | Kind::Schema | Kind::Case)
                || (next == Kind::Word && matches!(third, Kind::From | Kind::Comma | Kind::Into))
        }
        Kind::Set => matches!(next, Kind::Var | Kind::SysVar),
        // `GRANT role TO name`: nobody separates a sentence so.
        Kind::Grant => {
            is_name(next)
                && bytes::has_at(stream.text(first.saturating_add(1)), 0, b"to ")
                && is_name(stream.kind(fourth))
        }
        _ => false,
    }
}

const fn is_table(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Word | Kind::Object | Kind::Schema | Kind::Var | Kind::Func
    )
}

/// What stands behind the table of an `INSERT`.
fn is_row(stream: &Stream<'_>, at: usize) -> bool {
    stream.has(at, Flags::OPEN)
        || is_call(stream.kind(at))
        || matches!(
            stream.kind(at),
            Kind::Values | Kind::Select | Kind::Set | Kind::Comment | Kind::Semi | Kind::Exec
        )
}

/// Whether `VALUES` follows a short list of columns.
fn has_values(stream: &Stream<'_>, from: usize) -> bool {
    (1..12).any(|step| stream.kind(from.saturating_add(step)) == Kind::Values)
}

/// A statement behind `;`.
pub(super) fn stacked(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    let next = at.saturating_add(1);
    let first = stream.skip(next, &[Kind::Flow]);
    if first > next {
        // `; BEGIN DECLARE @x`, `; IF 1=1 SHUTDOWN`.
        let read = super::condition::read(stream, first);
        let then = if read.complete { read.end } else { first };
        let ends = stream.kind(then) == Kind::Shutdown
            || stream.kind(first) == Kind::Exists
            || read.query
            || stream.kind(then) == Kind::Waitfor
            || statement(stream, first)
            || (then > first && statement(stream, then));
        if ends {
            return Some(Strength::Decisive);
        }
    }
    if stream.kind(next) == Kind::Verb && runs(stream, at) {
        return Some(Strength::Decisive);
    }
    if let Some(strength) = super::stacked::statement(stream, at) {
        return Some(strength);
    }
    // `'; print 'x'--`, `';return--`
    if stream.broke_out() && at == 1 && stream.has(0, Flags::SHORT) && is_name(stream.kind(next)) {
        let last = stream.skip(next.saturating_add(1), &[Kind::Str]);
        if stream.cuts(last) && stream.has(last, Flags::EMPTY) {
            return Some(Strength::Decisive);
        }
    }
    let into = stream.kind(next) == Kind::Insert
        && stream.kind(next.saturating_add(1)) == Kind::Into
        && at == 0;
    let bare = stream.broke_out() && at == 1 && stream.kind(next) == Kind::Select;
    if into || bare {
        return Some(Strength::Decisive);
    }
    if statement(stream, next) {
        // `Thanks; create user accounts` is a request to a colleague.
        let words = stream.kind(next) == Kind::Ddl
            && !stream.has(next, Flags::NATIVE)
            && stream.before(at) == Kind::Word
            && !stream.broke_out()
            && !defines(stream, next);
        return Some(if words {
            Strength::Suspicious
        } else {
            Strength::Decisive
        });
    }
    if stream.kind(next) == Kind::Shutdown
        && matches!(
            stream.kind(next.saturating_add(1)),
            Kind::End | Kind::Comment | Kind::Semi
        )
    {
        return Some(Strength::Decisive);
    }
    let called = stream.kind(next) == Kind::Exec
        && stream.has(next.saturating_add(1), Flags::CALLED)
        && matches!(stream.before(at), Kind::Num | Kind::Prefix | Kind::Str);
    if called {
        return Some(Strength::Decisive);
    }
    (stream.broke_out() && at <= 2 && stream.kind(next) == Kind::Comment)
        .then_some(Strength::Decisive)
}

/// `1; copy t from …`, `'; vacuum--`: statements whose names are words of prose, right behind a value.
fn runs(stream: &Stream<'_>, at: usize) -> bool {
    let verb = at.saturating_add(1);
    let (next, third) = (verb.saturating_add(1), verb.saturating_add(2));
    let behind = at == 1 && matches!(stream.kind(0), Kind::Num | Kind::Prefix | Kind::Str);
    let ends = |at: usize| matches!(stream.kind(at), Kind::End | Kind::Comment | Kind::Semi);
    let says = |at: usize, word: &[u8]| bytes::has_at(stream.text(at), 0, word);
    let fourth = third.saturating_add(1);
    let goes_on = stream.kind(third) == Kind::Op
        || says(third, b"open")
        || says(third, b"read")
        || says(verb, b"pragma") && stream.has(next, Flags::CALLED)
        || ((says(third, b"to") || stream.kind(third) == Kind::From)
            && (matches!(stream.kind(fourth), Kind::Str | Kind::Var)
                || says(fourth, b"program")
                || says(fourth, b"std")));
    behind
        && (ends(next)
            || stream.kind(next) == Kind::Into
            || stream.has(next, Flags::OPEN)
            || matches!(stream.kind(next), Kind::Object | Kind::Schema)
            || (is_name(stream.kind(next)) && (goes_on || stream.broke_out() && ends(third))))
}

/// Whether a `CREATE` or `ALTER` says more than its sentence would: columns, a query, an end.
fn defines(stream: &Stream<'_>, at: usize) -> bool {
    (1..5).any(|step| {
        let at = at.saturating_add(step);
        stream.has(at, Flags::OPEN)
            || stream.has(at, Flags::COMMENTED)
            || matches!(
                stream.kind(at),
                Kind::Comment | Kind::Ddl | Kind::Select | Kind::Var
            )
            || (stream.kind(at) == Kind::As && stream.kind(at.saturating_add(1)) != Kind::Word)
            || (stream.kind(at) == Kind::Semi
                && matches!(stream.kind(at.saturating_add(1)), Kind::End | Kind::Comment))
            || is_setting(stream.text(at))
    })
}

/// `IDENTIFIED BY`, `ADD COLUMN`, `MODIFY`: how definitions go on.
fn is_setting(text: &[u8]) -> bool {
    const SETTINGS: [&[u8]; 6] = [
        b"change ",
        b"identified",
        b"add ",
        b"modify ",
        b"authorization",
        b"password",
    ];
    SETTINGS.iter().any(|word| bytes::has_at(text, 0, word))
}

/// A statement where none was separated: at the start of the value it is one, amid words it is talk.
pub(super) fn opening(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    if !statement(stream, at) {
        return None;
    }
    let starts = at == 0
        || matches!(
            stream.before(at),
            Kind::Prefix
                | Kind::Comment
                | Kind::Num
                | Kind::Lit
                | Kind::Semi
                | Kind::Union
                | Kind::Flow
        );
    let strong = match stream.kind(at) {
        Kind::Delete => {
            matches!(
                stream.kind(at.saturating_add(3)),
                Kind::Where | Kind::Semi | Kind::Comment
            ) || (at > 0 && stream.kind(at.saturating_add(3)) == Kind::End)
        }
        Kind::Exec | Kind::Declare => true,
        Kind::Grant => stream.broke_out() && at == 1,
        Kind::Ddl if stream.has(at.saturating_add(1), Flags::COMMENTED) => true,
        Kind::Ddl if stream.has(at, Flags::NATIVE) => matches!(
            stream.kind(at.saturating_add(3)),
            Kind::End | Kind::Semi | Kind::Comment | Kind::Comma | Kind::Op
        ),
        Kind::Ddl => defines(stream, at) || stream.broke_out() && at == 1,
        _ => stream.kind(at.saturating_add(2)) != Kind::End,
    };
    Some(if starts && strong {
        Strength::Decisive
    } else {
        Strength::Suspicious
    })
}
