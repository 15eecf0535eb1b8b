//! Stores that take text: calls of MongoDB's shell, commands of Redis, Cypher and CQL.
//!
//! **In:** a decoded value. **Out:** hits of class `nosql`.
//! **Invariant:** look-ahead is bounded by constants.
//! **Source:** the manuals of MongoDB's shell, Redis, Neo4j and Cassandra.
//! **Cost:** one pass each over values that have a word of it.

use super::bytes::{self, LINE, PAREN, QUOTE, byte, has_at, is_word, next, part, rest, skip_space};
use super::{Class, Hits, Place, Strength, View};

/// Words that calls of a shell cannot do without.
pub(super) const CALLED: &[&[u8]] = &[b"db", b"tojson", b"tojsononeline", b"printjson", b"redis"];

/// Words that commands of stores cannot do without.
pub(super) const COMMANDS: &[&[u8]] = &[
    b"db",
    b"flushall",
    b"flushdb",
    b"slaveof",
    b"replicaof",
    b"dbfilename",
    b"dir",
    b"csv",
    b"detach",
    b"apoc",
    b"dbms",
    b"filtering",
];

/// How far a call may be in a value that says something else before.
const NEAR: usize = 64;

const METHODS: [&[u8]; 16] = [
    b"find",
    b"findone",
    b"insert",
    b"insertone",
    b"insertmany",
    b"update",
    b"updateone",
    b"updatemany",
    b"remove",
    b"deleteone",
    b"deletemany",
    b"drop",
    b"aggregate",
    b"mapreduce",
    b"count",
    b"dropindexes",
];

/// `db.users.find(`, `db.eval(`, `tojson(this)`, `redis.call(`.
pub(super) fn calls(value: &[u8], hits: &mut Hits) {
    let mut from = 0_usize;
    while let Some(at) = next(value, from, |byte| {
        matches!(byte, b'b' | b't' | b'p' | b'r')
    }) {
        from = at.saturating_add(1);
        let pair = part(value, at, 2);
        if pair == b"b." {
            let start = at.saturating_sub(1);
            let bound = start == 0 || !is_word(byte(value, start.saturating_sub(1)));
            if at > 0
                && byte(value, start) == b'd'
                && bound
                && is_query(value, at.saturating_add(2))
            {
                let near = start < NEAR;
                hits.add(
                    Class::Nosql,
                    if near {
                        Strength::Decisive
                    } else {
                        Strength::Suspicious
                    },
                    start,
                );
            }
        } else if (pair == b"to" || pair == b"pr" || pair == b"re")
            && [
                &b"tojson(this"[..],
                b"tojson(db",
                b"tojsononeline(",
                b"printjson(db",
                b"redis.call(",
                b"redis.pcall(",
            ]
            .iter()
            .any(|call| has_at(value, at, call))
        {
            hits.add(Class::Nosql, Strength::Decisive, at);
            return;
        }
    }
}

/// What stands behind `db.`: a collection and a method, or a command.
fn is_query(value: &[u8], at: usize) -> bool {
    let word = |from: usize| {
        let length = bytes::tally(
            rest(value, from)
                .iter()
                .take(40)
                .take_while(|&&byte| is_word(byte)),
        );
        (
            value.get(from..from.saturating_add(length)).unwrap_or(&[]),
            from.saturating_add(length),
        )
    };
    let (first, end) = word(at);
    let commands: [&[u8]; 6] = [
        b"eval",
        b"runcommand",
        b"admincommand",
        b"dropdatabase",
        b"getcollectionnames",
        b"getcollection",
    ];
    match byte(value, end) {
        b'(' => commands.iter().any(|name| name.eq_ignore_ascii_case(first)),
        b'.' => {
            let (method, end) = word(end.saturating_add(1));
            byte(value, end) == b'('
                && !first.is_empty()
                && METHODS.iter().any(|name| name.eq_ignore_ascii_case(method))
        }
        _ => false,
    }
}

/// `CALL db.labels()`, `CALL apoc.load.json(…)`.
fn procedure(value: &[u8], at: usize) -> bool {
    let packages = [&b"call db."[..], b"call dbms.", b"call apoc."];
    let Some(package) = packages.iter().find(|name| has_at(value, at, name)) else {
        return false;
    };
    let name = at.saturating_add(package.len());
    let end = bytes::tally(
        rest(value, name)
            .iter()
            .take(NEAR)
            .take_while(|&&byte| is_word(byte) || byte == b'.'),
    );
    byte(value, name.saturating_add(end)) == b'('
}

/// `' RETURN 1 UNION MATCH (n) RETURN n//`: clauses of Cypher behind a quote, and a comment that takes what follows; a query that
/// begins with its pattern is one, too, whoever writes it.
pub(super) fn graph(view: &View<'_>, steps: &mut u64) -> Option<(Strength, usize)> {
    const CLAUSES: [&[u8]; 9] = [
        b"return ",
        b"unwind ",
        b"match (",
        b"match(",
        b"create (",
        b"merge (",
        b"with ",
        b"detach ",
        b"call ",
    ];
    let value = view.bytes;
    let text = value.trim_ascii_end();
    if view.classes & QUOTE != 0 && text.ends_with(b"//") && !text.ends_with(b"://") {
        super::spend(steps, text.len());
        let quote = text
            .iter()
            .position(|&byte| matches!(byte, b'\'' | b'"' | b'`'))?;
        let mut at = quote;
        while let Some(here) = next(text, at, |byte| {
            matches!(byte | 0x20, b'r' | b'u' | b'm' | b'c' | b'w' | b'd')
        }) {
            at = here.saturating_add(1);
            let starts = here > 0 && !is_word(byte(text, here.saturating_sub(1)));
            if starts && CLAUSES.iter().any(|clause| has_at(text, here, clause)) {
                return Some((Strength::Decisive, here));
            }
        }
        return None;
    }
    let start = skip_space(value, 0);
    if has_at(value, start, b"match (") && view.classes & PAREN != 0 {
        let pattern = part(value, start.saturating_add(7), NEAR);
        let close = pattern.iter().position(|&byte| byte == b')')?;
        let node = pattern.get(..close)?.iter().all(|&byte| {
            is_word(byte) || matches!(byte, b':' | b'{' | b'}' | b'\'' | b'"' | b' ' | b',' | b'.')
        });
        let after = byte(pattern, skip_space(pattern, close.saturating_add(1)));
        if node
            && matches!(
                after | 0x20,
                b'-' | b'<' | b'r' | b'w' | b'd' | b's' | b'o' | b','
            )
        {
            return Some((Strength::Suspicious, start));
        }
    }
    None
}

/// `ctx._source.role = 'admin'` (painless), `x/_all_docs?` (CouchDB) where a plain value belongs.
pub(super) fn stored(view: &View<'_>) -> bool {
    if view.place == Place::Path || view.is_name {
        return false;
    }
    let value = view.bytes;
    let start = skip_space(value, 0);
    if has_at(value, start, b"ctx._source") {
        return matches!(byte(value, start.saturating_add(11)), b'.' | b'[');
    }
    let docs = [&b"/_all_docs"[..], b"_all_docs?", b"../_all_docs"];
    view.classes & (LINE | bytes::BLANK) == 0 && docs.iter().any(|name| has_at(value, start, name))
}

/// Commands of stores that take text: Redis behind a line end, Cypher and CQL behind a quote.
pub(super) fn commands(view: &View<'_>, hits: &mut Hits) {
    let value = view.bytes;
    let quote = view.classes & QUOTE != 0;
    let line = view.classes & LINE != 0;
    let mut blank = true;
    let mut broken = false;
    for at in 0..value.len() {
        let head = byte(value, at);
        let starts = blank;
        blank = !is_word(head);
        broken |= matches!(head, b'\n' | b'\r');
        if !starts || blank {
            continue;
        }
        let second = byte(value, at.saturating_add(1)) | 0x20;
        if !matches!(
            (head | 0x20, second),
            (b'f' | b's', b'l')
                | (b'r', b'e')
                | (b'c', b'o' | b'a')
                | (b'l', b'o')
                | (b'd', b'e')
                | (b'a', b'l')
        ) {
            continue;
        }
        let strength = match head | 0x20 {
            b'f' if line
                && broken
                && (has_at(value, at, b"flushall") || has_at(value, at, b"flushdb")) =>
            {
                Some(Strength::Decisive)
            }
            b's' | b'r'
                if line
                    && broken
                    && (has_at(value, at, b"slaveof ") || has_at(value, at, b"replicaof ")) =>
            {
                Some(Strength::Decisive)
            }
            b'c' if has_at(value, at, b"config set dbfilename")
                || has_at(value, at, b"config set dir ") =>
            {
                Some(Strength::Decisive)
            }
            b'c' if procedure(value, at) => Some(Strength::Decisive),
            b'l' if has_at(value, at, b"load csv from ")
                || has_at(value, at, b"load csv with headers from ") =>
            {
                Some(Strength::Decisive)
            }
            b'd' if has_at(value, at, b"detach delete ") => Some(if quote {
                Strength::Decisive
            } else {
                Strength::Suspicious
            }),
            b'a' if has_at(value, at, b"allow filtering") => Some(if quote {
                Strength::Decisive
            } else {
                Strength::Weak
            }),
            _ => None,
        };
        if let Some(strength) = strength {
            hits.add(Class::Nosql, strength, at);
            if strength == Strength::Decisive {
                return;
            }
        }
    }
}
