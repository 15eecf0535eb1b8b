//! Clauses that end a query, right behind a value: `LIMIT … INTO @a`, `FETCH FIRST`, `WITH ROLLUP`, `FOR UPDATE`, `MEMBER OF`.
//!
//! **In:** tokens. **Out:** how strong the fragment is.
//! **Invariant:** only right behind a value (a number, a closed quote); looks a constant number of tokens ahead.
//! **Source:** the `SELECT` grammars of MySQL, PostgreSQL, SQL Server, Oracle and SQLite manuals.

use super::{Flags, Kind, Stream, Strength, bytes, condition};

/// The clause behind the first token.
pub(super) fn clause(stream: &Stream<'_>) -> Option<Strength> {
    if !matches!(stream.kind(0), Kind::Num | Kind::Prefix) {
        return None;
    }
    let says = |at: usize, word: &[u8]| {
        let text = stream.text(at);
        bytes::has_at(text, 0, word) && !bytes::is_word(bytes::byte(text, word.len()))
    };
    let rows = |at: usize| says(at, b"rows") || says(at, b"row");
    let ends = |at: usize| matches!(stream.kind(at), Kind::End | Kind::Comment);
    let fetch = |at: usize| {
        says(at, b"fetch")
            && (says(at.saturating_add(1), b"next") || says(at.saturating_add(1), b"first"))
            && (rows(at.saturating_add(2))
                || stream.kind(at.saturating_add(2)) == Kind::Num && rows(at.saturating_add(3)))
    };
    let sure = match stream.kind(1) {
        Kind::Limit => {
            let into = (3..6).any(|at| {
                stream.kind(at) == Kind::Into && stream.kind(at.saturating_add(1)) == Kind::Var
            });
            stream.kind(2) == Kind::Num && (into || rows(3) && fetch(4))
        }
        // `1 version() limit 1,1`
        Kind::Func => {
            stream.has(1, Flags::NATIVE)
                && stream.has(2, Flags::CLOSED)
                && stream.kind(2) == Kind::Limit
                && stream.kind(3) == Kind::Num
        }
        // `1 collate nocase`
        Kind::Like => {
            says(1, b"collate")
                && stream.kind(2) == Kind::Word
                && ends(3)
                && stream.kind(0) == Kind::Num
                && condition::is_collation(stream.text(2))
        }
        _ if says(1, b"member") => {
            says(2, b"of") && stream.kind(3) == Kind::Str && stream.has(3, Flags::OPEN)
        }
        _ if says(1, b"with") => says(2, b"rollup") && ends(3),
        _ if says(1, b"window") => {
            stream.kind(3) == Kind::As && (stream.has(4, Flags::OPEN) || stream.tail.open)
        }
        _ if says(1, b"lock") => says(2, b"in") && says(3, b"share") && says(4, b"mode"),
        _ if says(1, b"for") && (says(2, b"update") || says(2, b"share")) => {
            let waits = says(3, b"nowait") || says(3, b"skip") && says(4, b"locked");
            if stream.kind(3) == Kind::End {
                // `1 for update` can be said of anything.
                return Some(Strength::Suspicious);
            }
            waits || stream.cuts(3) && stream.has(3, Flags::EMPTY)
        }
        _ => fetch(1),
    };
    sure.then_some(Strength::Decisive)
}

/// Whether one of the clauses that need no listed word may follow the number that `value` starts with.
pub(super) fn begins(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 8] = [
        b"limit", b"offset", b"fetch", b"with", b"window", b"lock", b"for", b"collate",
    ];
    let digits = bytes::tally(
        value
            .iter()
            .take(20)
            .take_while(|byte| byte.is_ascii_digit()),
    );
    let word = bytes::skip_space(value, digits);
    word > digits && WORDS.iter().any(|known| bytes::has_at(value, word, known))
}
