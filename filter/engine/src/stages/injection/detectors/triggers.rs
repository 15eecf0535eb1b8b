//! Which languages' words a value has, and which neighbours: one pass that spares most values every tokenizer.
//!
//! **In:** a decoded value. **Out:** bits per language, bits per pair of bytes.
//! **Invariant:** every word a detector's pattern cannot do without is listed here, every pair that several ask for is a mark; patterns
//! without either are found by byte classes.
//! **Cost:** a multiplication a byte, a probe a word; runs only on values that are not plain.

use super::bytes::{PAREN, SCORE, folded, has_at, is_space, part};
use super::trigger_words::TABLE;
use super::words::Key;
use super::{code, php_words, sql_tokens};

/// A statement, a call or a name that SQL patterns are made of.
pub(super) const SQL: u32 = 1;
/// `AND`, `OR`, …: a pattern only beside an operator.
pub(super) const LOGIC: u32 = 2;
/// `LIKE`, …: the same.
pub(super) const LIKE: u32 = 4;
/// A function's name; counts when a bracket follows.
pub(super) const CALL: u32 = 8;
/// A command.
pub(super) const COMMAND: u32 = 16;
/// A name of scripts, or a handler.
pub(super) const SCRIPT: u32 = 32;
/// A folder, file or extension worth a look.
pub(super) const PATH: u32 = 64;
/// A stream wrapper.
pub(super) const WRAPPER: u32 = 128;
/// Header and mail injection.
pub(super) const CRLF: u32 = 1 << 8;
/// Java classes, serialised Java, OGNL.
pub(super) const JAVA: u32 = 1 << 9;
/// JNDI look-ups.
pub(super) const JNDI: u32 = 1 << 10;
/// LDAP filters.
pub(super) const LDAP: u32 = 1 << 11;
/// Node and server-side JavaScript, prototypes.
pub(super) const NODE: u32 = 1 << 12;
/// NoSQL operators and server-side functions.
pub(super) const NOSQL: u32 = 1 << 13;
/// Calls of a store's shell.
pub(super) const STORE_CALL: u32 = 1 << 22;
/// Commands of stores.
pub(super) const STORE: u32 = 1 << 23;
/// PHP code and serialised PHP.
pub(super) const PHP: u32 = 1 << 14;
/// Remote inclusion.
pub(super) const RFI: u32 = 1 << 15;
/// Request forgery.
pub(super) const SSRF: u32 = 1 << 17;
/// Templates.
pub(super) const SSTI: u32 = 1 << 18;
/// XPath.
pub(super) const XPATH: u32 = 1 << 19;
/// XML entities and inclusion.
pub(super) const XXE: u32 = 1 << 20;
/// Prototypes.
pub(super) const PROTOTYPE: u32 = 1 << 21;

/// `http`, `https`, `url`: an honest URL has them, too.
pub(super) const WEB: u32 = 1 << 24;
/// A function of PHP; counts as [`PHP`] when a bracket may follow.
pub(super) const PHP_CALL: u32 = 1 << 26;
/// A word that patterns of SQL may be made of; told apart from all others ([`Seen::of_sql`]).
pub(super) const PART: u32 = 1 << 27;
/// A function's name, which is one only where a bracket follows.
pub(super) const PART_CALL: u32 = 1 << 28;
/// A part of a host's name that leads inside, or to who asks for it.
pub(super) const HOST: u32 = 1 << 25;

/// Interpreters that `shell` knows by a call.
pub(super) const INTERPRETER: u32 = 1 << 16;

/// `--`.
pub(super) const DASHES: u32 = 1;
/// `||`.
pub(super) const PIPES: u32 = 1 << 1;
/// `&&`.
pub(super) const AMPS: u32 = 1 << 2;
/// A quote twice in a row.
pub(super) const TWINS: u32 = 1 << 3;
/// `()` of a function's definition, `@{` of perl, `%x` of ruby, `{,` and `}a` of brace expansion.
pub(super) const OPENS: u32 = 1 << 4;
/// Two dots, or one that something hides.
pub(super) const DOTS: u32 = 1 << 5;
/// `'::`.
pub(super) const CAST: u32 = 1 << 6;
/// `:`.
pub(super) const COLON: u32 = 1 << 7;
/// `@`.
pub(super) const AT: u32 = 1 << 8;
/// `:=`.
pub(super) const RULE: u32 = 1 << 9;
/// `^`.
pub(super) const CARET: u32 = 1 << 10;
/// `^` twice.
pub(super) const CARETS: u32 = 1 << 11;
/// `?`.
pub(super) const QUESTION: u32 = 1 << 12;
/// `?` twice.
pub(super) const QUESTIONS: u32 = 1 << 13;
/// A word that is named as functions of PHP's extensions are, where there are brackets.
pub(super) const EXTENSION: u32 = 1 << 14;
/// `"&"`.
pub(super) const GLUE: u32 = 1 << 15;
/// `!`.
pub(super) const BANG: u32 = 1 << 16;
/// `<?`.
pub(super) const QUERY: u32 = 1 << 17;
/// A bracket that closes, and at once one that calls: `)(`.
pub(super) const CALLEE: u32 = 1 << 18;

/// `::`.
pub(super) const COLONS: u32 = 1 << 19;
/// A digit right before `=`.
pub(super) const EQUALS: u32 = 1 << 20;
/// `[`.
pub(super) const SQUARE: u32 = 1 << 21;
/// `@(`.
pub(super) const RAZOR: u32 = 1 << 22;
/// `set @`.
pub(super) const SETS: u32 = 1 << 23;
/// `.254.`: of the address of metadata services.
pub(super) const LINK: u32 = 1 << 24;

/// Blanks between a function's name and its bracket, at most.
const BLANKS: usize = 8;

/// Letters of the shortest end of a number and word behind it: `e5or`.
const SPLIT: usize = 4;

/// Where the kind of a command stands, above all bits.
pub(super) const KIND: u32 = 29;
/// Bits of kinds: what `shell` says of a command is asked for again.
pub(super) const KINDS: u32 = u32::MAX << KIND;

// No two languages share a bit.
const _: () = {
    let mut left: &[u32] = &[
        SQL,
        LOGIC,
        LIKE,
        CALL,
        COMMAND,
        SCRIPT,
        PATH,
        WRAPPER,
        CRLF,
        JAVA,
        JNDI,
        LDAP,
        NODE,
        NOSQL,
        STORE_CALL,
        STORE,
        PHP,
        RFI,
        SSRF,
        SSTI,
        XPATH,
        XXE,
        PROTOTYPE,
        WEB,
        HOST,
        PHP_CALL,
        PART,
        PART_CALL,
        INTERPRETER,
        KINDS,
    ];
    let mut seen = 0;
    while let [bit, after @ ..] = left {
        assert!(seen & *bit == 0, "a bit stands for two languages");
        seen |= *bit;
        left = after;
    }
};

/// What one pass over a value tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The bits of all words.
    pub(super) words: u32,
    /// The bits of all neighbours that patterns begin with.
    pub(super) marks: u32,
    /// What a pattern of SQL that can stand anywhere may be made of: a word, `?,`.
    pub(super) of_sql: bool,
}

/// What a byte outside of words says beside the one behind it.
fn mark(head: u8, after: &[u8], seen: u32) -> u32 {
    let next = after.first().copied().unwrap_or(0);
    match head {
        b'-' if next == b'-' => DASHES,
        b'|' if next == b'|' => PIPES,
        b'&' if next == b'&' => AMPS,
        b'\'' | b'"' | b'`' if next == head => TWINS,
        b'\'' if after.starts_with(b"::") => CAST,
        b'"' if after.starts_with(b"&\"") => GLUE,
        b'!' => BANG,
        b'<' if next == b'?' => QUERY,
        b'(' if next == b')' => OPENS,
        b'%' if next == b'x' => OPENS,
        b'{' if next == b',' => OPENS,
        b')' | b']' | b'}' if next == b'(' => CALLEE,
        b'}' if next.is_ascii_lowercase() => OPENS,
        b'@' if next == b'{' => OPENS | AT,
        b'@' if next == b'(' => RAZOR | AT,
        b'[' => SQUARE,
        b'@' => AT,
        b'.' if matches!(next, b'.' | b';' | b'?') => DOTS,
        b'.' if next == b'2' && after.starts_with(b"254.") => LINK,
        b';' if next == b'.' => DOTS,
        b':' if next == b'=' => COLON | RULE,
        b':' if next == b':' => COLON | COLONS,
        b':' => COLON,
        b'^' if seen & CARET != 0 => CARETS,
        b'^' => CARET,
        b'?' => {
            let dots = if next == b'.' { DOTS } else { 0 };
            let twice = if seen & QUESTION != 0 { QUESTIONS } else { 0 };
            dots | twice | QUESTION
        }
        _ => 0,
    }
}

/// What a byte outside of words says beside what stands before it.
fn mark_behind(head: u8, value: &[u8], after: &[u8]) -> u32 {
    let at = value.len().saturating_sub(after.len()).saturating_sub(1);
    let before = value.get(..at).unwrap_or(&[]);
    match head {
        b'=' if before.last().is_some_and(u8::is_ascii_digit) => EQUALS,
        b'@' if has_at(before, before.len().saturating_sub(4), b"set ") => SETS,
        _ => 0,
    }
}

/// The words and neighbours of a value, of the classes `classes`.
pub(super) fn look(value: &[u8], classes: u32) -> Seen {
    let mut all = 0;
    let mut marks = 0;
    let mut of_sql = false;
    let snakes = classes & SCORE != 0 && classes & PAREN != 0;
    let mut left = value;
    while let Some((&head, after)) = left.split_first() {
        let start = left;
        left = after;
        let first = folded(head);
        if first == 0 {
            marks |= mark(head, after, marks);
            match head {
                b'=' | b'@' => marks |= mark_behind(head, value, after),
                b'?' => of_sql |= after.first() == Some(&b','),
                _ => {}
            }
            continue;
        }
        // `1union`, `00000and`: a word starts behind its number.
        if first.is_ascii_digit() {
            continue;
        }
        let head = first;
        let mut key = Key::EMPTY;
        key.push_folded(head);
        let second = after.first().copied().unwrap_or(0) | 0x20;
        let mut length = 1_usize;
        while let Some((&next, after)) = left.split_first() {
            let next = folded(next);
            if next == 0 {
                break;
            }
            key.push_folded(next);
            length = length.wrapping_add(1);
            left = after;
        }
        if length < 2 {
            // `1.e`, `1e-5and`.
            of_sql |= head == b'e';
            continue;
        }
        if snakes && php_words::is_of_extension(part(start, 0, length)) {
            marks |= EXTENSION;
        }
        let bits = TABLE.found(key);
        if bits & CALL != 0 {
            let called = match left.split_first() {
                Some((b'(', _)) => true,
                // A comment before the bracket.
                Some((b'/', after)) => after.first() == Some(&b'*'),
                Some((&blank, after)) => {
                    is_space(blank)
                        && part(after, 0, BLANKS).iter().find(|byte| !is_space(**byte))
                            == Some(&b'(')
                }
                None => false,
            };
            all |= if called { SQL } else { 0 };
        }
        if bits & (PHP_CALL | PART | PART_CALL) != 0 {
            if bits & PHP_CALL != 0 && code::may_call(left) {
                all |= PHP;
            }
            of_sql |= bits & PART != 0 || bits & PART_CALL != 0 && sql_tokens::may_call(left);
        }
        // Behind a digit.
        if matches!(head, b'd'..=b'f') && length >= SPLIT {
            let at = value.len().wrapping_sub(start.len());
            let before = value
                .get(at.wrapping_sub(1))
                .is_some_and(u8::is_ascii_digit);
            of_sql |= before && sql_tokens::splits(part(start, 0, length));
        }
        all |= bits & !(CALL | PART | PART_CALL);
        if head == b'o' && second == b'n' && length >= 5 {
            let next = left.first().copied().unwrap_or(0);
            all |= if next == b'=' || is_space(next) {
                SCRIPT
            } else {
                0
            };
        }
    }
    Seen {
        words: all,
        marks,
        of_sql,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::bytes::classes;
    use super::*;

    fn marks(value: &str) -> u32 {
        look(value.as_bytes(), classes(value.as_bytes())).marks & !(CARET | QUESTION)
    }

    #[test]
    fn what_patterns_of_sql_are_made_of_is_told() {
        let of_sql = |value: &str| look(value.as_bytes(), classes(value.as_bytes())).of_sql;
        for value in [
            "a and b",
            "x, null",
            "<b>from",
            "1or 2",
            "1e5or 2",
            "1fUNION",
            "1eexcept",
            "?,?",
            "1.e(",
            "count(",
            "count  (",
            "count/**/(",
            "left 1.e(",
            "user (",
            "current_user",
            "a\u{e9} in b",
        ] {
            assert!(of_sql(value), "{value}");
        }
        for value in [
            "<path d=\"M1.5,2c-3,7V8h9L10z\" fill=\"#3f5a0d\"/>",
            "2em 5deg",
            "left: 1px",
            "text-align:right",
            "a user b",
            "?a=1&b=2?",
            "x.e5",
            "time (",
            "int",
        ] {
            assert!(!of_sql(value), "{value}");
        }
    }

    #[test]
    fn neighbours_are_marked_wherever_they_stand() {
        for (text, bits) in [
            ("--", DASHES),
            ("||", PIPES),
            ("&&", AMPS),
            ("''", TWINS),
            ("\"\"", TWINS),
            ("``", TWINS),
            ("'::", CAST | COLON | COLONS),
            ("::", COLON | COLONS),
            ("[", SQUARE),
            (".254.", LINK),
            ("@(", RAZOR | AT),
            ("1=", EQUALS),
            ("set @", SETS | AT),
            ("\"&\"", GLUE),
            ("!", BANG),
            ("()", OPENS),
            ("%x", OPENS),
            ("{,", OPENS),
            ("}a", OPENS),
            ("@{", OPENS | AT),
            ("@", AT),
            ("..", DOTS),
            (".;", DOTS),
            (";.", DOTS),
            (".?", DOTS),
            ("?.", DOTS),
            (":", COLON),
            (":=", COLON | RULE),
            ("^a^", CARETS),
            ("?a?", QUESTIONS),
        ] {
            for (before, behind) in [("", ""), ("a", ""), ("", " b"), ("1 ", "9"), ("é", "$")] {
                let value = format!("{before}{text}{behind}");
                assert_eq!(marks(&value), bits, "{value}");
            }
        }
        assert_eq!(marks("1mysqli_query(a)"), EXTENSION);
        for plain in [
            "- - | | & & ' \" ` ( ) { } . ; ? ^ 1",
            "x86_64 (a)",
            "a_b mysqli_query",
        ] {
            assert_eq!(marks(plain), 0, "{plain}");
        }
    }
}
