//! Statements behind `;` that no listed word starts: `TABLE t`, `SHOW TABLES`, `LOAD DATA`, `GRANT … ON … TO`.
//!
//! **In:** tokens and the position of the `;`. **Out:** how strong the fragment is.
//! **Invariant:** only right behind a value (a number, a closed quote); looks a constant number of tokens ahead.
//! **Source:** the statement lists of MySQL, PostgreSQL and SQLite manuals. Their words are words of prose: a sentence goes on
//! where the statement ends.

use super::{Kind, Stream, Strength, bytes, is_name};

/// What `SHOW` shows, and no fair does.
const SHOWN: [&[u8]; 9] = [
    b"tables",
    b"databases",
    b"schemas",
    b"columns",
    b"grants",
    b"variables",
    b"processlist",
    b"triggers",
    b"indexes",
];

/// A statement whose first word stands behind the `;` at `at`.
pub(super) fn statement(stream: &Stream<'_>, at: usize) -> Option<Strength> {
    if at != 1 || !matches!(stream.kind(0), Kind::Num | Kind::Prefix | Kind::Str) {
        return None;
    }
    let says = |at: usize, word: &[u8]| {
        let text = stream.text(at);
        bytes::has_at(text, 0, word) && !bytes::is_word(bytes::byte(text, word.len()))
    };
    let over = |at: usize| matches!(stream.kind(at), Kind::End | Kind::Comment);
    let ends = |at: usize| over(at) || stream.kind(at) == Kind::Semi && over(at.saturating_add(1));
    let named = |at: usize| is_name(stream.kind(at)) || stream.kind(at) == Kind::Schema;
    let cuts = |at: usize| stream.cuts(at) && stream.has(at, super::Flags::EMPTY);
    let sure = if says(2, b"set") {
        (says(3, b"global") || says(3, b"persist")) && named(4) && stream.kind(5) == Kind::Op
            || says(3, b"role") && named(4) && ends(5)
    } else if says(2, b"prepare") {
        // What is prepared is a string, a number or a variable; a salad is made from a name.
        named(3)
            && stream.kind(4) == Kind::From
            && matches!(
                stream.kind(5),
                Kind::Num | Kind::Str | Kind::StrOpen | Kind::Var | Kind::SysVar
            )
    } else if says(2, b"create") {
        says(3, b"or") && says(4, b"replace")
    } else if says(2, b"table") {
        named(3) && ends(4)
    } else if says(2, b"show") {
        let from = stream.kind(4) == Kind::From && named(5) && ends(6);
        SHOWN.iter().any(|word| says(3, word))
            && (ends(4) || from || stream.kind(4) == Kind::Like && stream.kind(5) != Kind::Word)
    } else if says(2, b"describe") || says(2, b"desc") || says(2, b"explain") {
        // `1; describe yourself` is a task.
        let table = stream.kind(3) == Kind::Schema
            || bytes::part(stream.text(3), 0, 64)
                .iter()
                .any(|byte| matches!(byte, b'_' | b'.'));
        if named(3) && ends(4) && !(table || cuts(4) || stream.broke_out()) {
            return Some(Strength::Suspicious);
        }
        stream.kind(3) == Kind::Select || named(3) && ends(4)
    } else if says(2, b"grant") || says(2, b"revoke") {
        let on = if says(4, b"privileges") { 5 } else { 4_usize };
        says(on, b"on")
            && (2..8).any(|step| {
                let at = on.saturating_add(step);
                says(at, b"to") || stream.kind(at) == Kind::From
            })
    } else if says(2, b"load") {
        says(3, b"data") && (4..7).any(|at| says(at, b"infile"))
    } else if says(2, b"lock") {
        (says(3, b"tables") || says(3, b"table"))
            && named(4)
            && (says(5, b"read") || says(5, b"write") || says(5, b"in"))
            && !named(6)
    } else if says(2, b"analyze") || says(2, b"optimize") || says(2, b"repair") {
        says(3, b"table") && named(4) && ends(5)
    } else if says(2, b"flush") {
        (says(3, b"privileges") || says(3, b"tables") || says(3, b"logs")) && ends(4)
    } else {
        (says(2, b"begin") || says(2, b"commit") || says(2, b"rollback")) && cuts(3)
    };
    sure.then_some(Strength::Decisive)
}
