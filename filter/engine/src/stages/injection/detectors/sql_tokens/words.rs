//! The words of SQL and what they are to the tokenizer.
//!
//! **In:** a word. **Out:** its kind, and what must stand beside it before a value is worth a look.
//! **Invariant:** a kind is decided by the word and by whether a bracket follows, by nothing else.

use super::super::bytes::{has_at, is_space, upto};
use super::super::words::{Key, Words};
use super::Kind;
use super::list::LIST;

pub(super) const W_LOGIC: u8 = 1;
pub(super) const W_UNION: u8 = 2;
pub(super) const W_SELECT: u8 = 3;
pub(super) const W_ALL: u8 = 4;
pub(super) const W_FROM: u8 = 5;
pub(super) const W_WHERE: u8 = 6;
pub(super) const W_INTO: u8 = 7;
pub(super) const W_OUTFILE: u8 = 8;
pub(super) const W_ORDER: u8 = 9;
pub(super) const W_BY: u8 = 10;
pub(super) const W_HAVING: u8 = 11;
pub(super) const W_LIMIT: u8 = 12;
pub(super) const W_DDL: u8 = 13;
pub(super) const W_OBJECT: u8 = 14;
pub(super) const W_UPDATE: u8 = 16;
pub(super) const W_DELETE: u8 = 17;
pub(super) const W_SET: u8 = 18;
pub(super) const W_EXEC: u8 = 19;
pub(super) const W_DECLARE: u8 = 20;
pub(super) const W_WAITFOR: u8 = 21;
pub(super) const W_DELAY: u8 = 22;
pub(super) const W_SHUTDOWN: u8 = 23;
pub(super) const W_EXISTS: u8 = 24;
pub(super) const W_SCHEMA: u8 = 25;
pub(super) const W_LIKE: u8 = 26;
pub(super) const W_NOT: u8 = 27;
pub(super) const W_LIT: u8 = 28;
pub(super) const W_DANGER: u8 = 29;
pub(super) const W_TIMED: u8 = 30;
pub(super) const W_FUNC: u8 = 31;
pub(super) const W_DIV: u8 = 32;
/// A function that only databases have.
pub(super) const W_NATIVE: u8 = 33;
/// A procedure or package that only attacks name.
pub(super) const W_PROC: u8 = 34;
/// A value without brackets: `current_user`.
pub(super) const W_VALUE: u8 = 35;
/// A type behind `::`.
pub(super) const W_TYPE: u8 = 36;
pub(super) const W_CASE: u8 = 37;
pub(super) const W_WHEN: u8 = 38;
pub(super) const W_AS: u8 = 39;
pub(super) const W_VALUES: u8 = 40;
pub(super) const W_GRANT: u8 = 41;
pub(super) const W_FLOW: u8 = 42;
/// An operator word that no trigger needs.
pub(super) const W_JOINT: u8 = 43;
/// A condition in one word: `NOTNULL`.
pub(super) const W_TEST: u8 = 44;
/// `ANALYSE` of `PROCEDURE ANALYSE`.
pub(super) const W_ANALYSE: u8 = 45;
/// `IF`: a call or the start of a statement.
pub(super) const W_IF: u8 = 46;
/// `REPLACE`, `INSERT`: a call or a statement.
pub(super) const W_REPLACE: u8 = 47;
pub(super) const W_UNARY: u8 = 48;
/// `DROP`, `TRUNCATE`.
pub(super) const W_DROP: u8 = 49;
/// `EXEC`, `EXECUTE`: not the `CALL` of prose.
pub(super) const W_RUN: u8 = 50;

pub(super) static WORDS: Words<2048> = table();

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "runs while compiling: a fault is a build error"
)]
const fn table() -> Words<2048> {
    let mut table = Words::empty();
    let mut index = 0;
    while index < LIST.len() {
        table = table.text(LIST[index].1, LIST[index].0 as u32);
        index += 1;
    }
    table
}

/// A function's name that is an everyday word or known to every language: it counts only in a call that a value leaves open.
pub(super) const W_PART: u8 = 51;
/// A statement that no other pattern starts with.
pub(super) const W_VERB: u8 = 53;
/// A name of the server's own that counts as a whole value.
pub(super) const W_SERVER: u8 = 52;

/// What a word needs beside it to take part in a pattern.
pub(in super::super) enum Need {
    /// Nothing.
    Always,
    /// An operator.
    Logic,
    /// A logic word.
    Like,
    /// A bracket.
    Call,
    /// It never starts one.
    Never,
}

/// The need of a listed word.
pub(in super::super) const fn need(word: u8) -> Need {
    match word {
        W_LOGIC => Need::Logic,
        W_LIKE => Need::Like,
        W_FUNC | W_TIMED | W_NATIVE | W_OBJECT | W_EXISTS | W_IF | W_ANALYSE | W_REPLACE
        | W_VALUES | W_DANGER => Need::Call,
        W_ALL | W_FROM | W_WHERE | W_BY | W_LIMIT | W_SET | W_DELAY | W_NOT | W_LIT | W_DIV
        | W_PART | W_VERB | W_INTO | W_TYPE | W_WHEN | W_AS | W_FLOW | W_JOINT | W_TEST
        | W_UNARY => Need::Never,
        _ => Need::Always,
    }
}

/// Where a word can be what a pattern begins with behind the first tokens of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Role {
    /// Nowhere: it is a name, or a type that only `::` makes one.
    None,
    /// Where a bracket follows; a name elsewhere.
    Called,
    /// Anywhere.
    Any,
}

/// The role of a listed word.
pub(in super::super) const fn role(word: u8) -> Role {
    match word {
        W_TYPE | W_PART => Role::None,
        W_FUNC | W_TIMED | W_NATIVE | W_DANGER | W_OBJECT => Role::Called,
        _ => Role::Any,
    }
}

/// Bytes between a function's name and its bracket, and one more.
const REACH: usize = 65;

/// Whether a bracket may follow a name that ends where `behind` begins.
pub(in super::super) fn may_call(behind: &[u8]) -> bool {
    let sign = upto(behind, REACH).iter().find(|byte| !is_space(**byte));
    // A comment, or a number that MySQL reads over.
    sign.is_some_and(|&sign| matches!(sign, b'(' | b'/') || sign.is_ascii_digit())
}

/// Whether the letters behind a digit may be the end of a number and a word: `1e5or`, `1fUNION`.
pub(in super::super) fn splits(letters: &[u8]) -> bool {
    let parts = match letters {
        [b'e' | b'E', b'0'..=b'9', ..] => true,
        [b'd' | b'D' | b'e' | b'E' | b'f' | b'F', ..] => letters.len() >= UNION,
        _ => false,
    };
    // A colour, a hash: no word of these is of hex digits alone.
    parts && !letters.iter().all(u8::is_ascii_hexdigit)
}

/// Letters of the shortest word for a union, and one before it.
const UNION: usize = 6;

/// What a listed word is to the patterns, given whether a bracket follows.
pub(super) const fn kind_of(word: u8, calls: bool) -> Kind {
    match word {
        W_LOGIC => Kind::Logic,
        W_UNION => Kind::Union,
        W_SELECT => Kind::Select,
        W_ALL => Kind::All,
        W_FROM => Kind::From,
        W_WHERE => Kind::Where,
        W_INTO => Kind::Into,
        W_OUTFILE => Kind::Outfile,
        W_ORDER => Kind::Order,
        W_BY => Kind::By,
        W_HAVING => Kind::Having,
        W_LIMIT => Kind::Limit,
        W_DDL | W_DROP => Kind::Ddl,
        // `database()`, `user()`, `schema()`.
        W_OBJECT if calls => Kind::Func,
        W_OBJECT => Kind::Object,
        W_UPDATE => Kind::Update,
        W_DELETE => Kind::Delete,
        W_SET => Kind::Set,
        W_EXEC | W_RUN => Kind::Exec,
        W_DECLARE => Kind::Declare,
        W_WAITFOR => Kind::Waitfor,
        W_DELAY => Kind::Delay,
        W_SHUTDOWN => Kind::Shutdown,
        W_EXISTS => Kind::Exists,
        W_SCHEMA => Kind::Schema,
        W_LIKE | W_JOINT => Kind::Like,
        W_NOT | W_UNARY => Kind::Not,
        W_DIV => Kind::Op,
        W_LIT => Kind::Lit,
        W_PROC => Kind::Danger,
        W_CASE => Kind::Case,
        W_WHEN => Kind::When,
        W_AS => Kind::As,
        W_VALUES => Kind::Values,
        W_GRANT => Kind::Grant,
        W_VERB => Kind::Verb,
        W_FLOW => Kind::Flow,
        W_DANGER if calls => Kind::Danger,
        W_TIMED if calls => Kind::Timed,
        W_FUNC | W_NATIVE | W_IF | W_VALUE | W_REPLACE if calls => Kind::Func,
        W_IF => Kind::Flow,
        W_VALUE => Kind::Lit,
        W_REPLACE => Kind::Insert,
        _ => Kind::Word,
    }
}

fn listed(name: &[u8]) -> u8 {
    let mut key = Key::EMPTY;
    for &letter in name {
        key.push(letter);
    }
    WORDS.kind(key)
}

/// Whether a word is listed.
pub(in super::super) fn knows(word: &[u8]) -> bool {
    listed(word) != 0
}

/// Whether `name` is a thing of a database: a table's part, a catalogue, or the plural of one.
pub(in super::super) fn is_listed(name: &[u8]) -> bool {
    let one = name
        .strip_suffix(b"s")
        .or_else(|| name.strip_suffix(b"S"))
        .unwrap_or(name);
    matches!(listed(name), W_SCHEMA | W_OBJECT | W_SERVER) || listed(one) == W_OBJECT
}

/// Whether `name` is called with brackets.
pub(in super::super) fn is_function(name: &[u8]) -> bool {
    match listed(name) {
        W_FUNC | W_NATIVE | W_TIMED | W_DANGER | W_PROC | W_IF | W_REPLACE | W_VALUES | W_PART => {
            true
        }
        W_OBJECT => [b"user".as_slice(), b"schema", b"database"]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own)),
        W_LIKE => name.eq_ignore_ascii_case(b"in"),
        _ => false,
    }
}

/// Whether `name` is a procedure, package or catalogue that an application does not talk about. `all_users` is also an audience,
/// `pg_user` a setting, and as the name of a field most of them are settings.
pub(in super::super) fn is_server_name(name: &[u8], is_field: bool) -> bool {
    const SHARED: [&[u8]; 6] = [
        b"all_",
        b"user_",
        b"pg_user",
        b"pg_database",
        b"pg_roles",
        b"system_",
    ];
    match listed(name) {
        W_PROC | W_SERVER => true,
        W_SCHEMA if is_field => name.eq_ignore_ascii_case(b"information_schema"),
        W_SCHEMA => !SHARED.iter().any(|shared| has_at(name, 0, shared)),
        _ => false,
    }
}
