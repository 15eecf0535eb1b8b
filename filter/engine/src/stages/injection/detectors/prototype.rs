//! Prototype pollution: names, keys and paths that reach an object's prototype.
//!
//! **In:** a decoded name or value. **Out:** hits of class `prototype`.
//! **Invariant:** in a name, `__proto__` as a segment is enough; a value must be a path to it (no blanks), or hold it as a key.
//! **Source:** ECMAScript §B.2.2.1 (`Object.prototype.__proto__`), §20.1.3.1 (`constructor`); CVE-2019-10744 (paths of keys).
//! **Cost:** one pass over values with a word of it, or with two underscores.

use super::bytes::{
    BLANK, DOT, LINE, LOUD, SCORE, byte, contains, has_at, is_space, is_word, rest,
};
use super::triggers::PROTOTYPE;
use super::{Class, Hits, Place, Strength, View, code};

/// Words no pattern of this file can do without.
pub(super) const WORDS: &[&[u8]] = &[
    b"__proto__",
    b"constructor",
    b"prototype",
    b"__globals__",
    b"__pro__proto__to__",
    b"constconstructorructor",
    b"setprototypeof",
    b"__definegetter__",
    b"__definesetter__",
];

/// Bytes of a value in which a statement about all objects begins.
const REACH: usize = 32;

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let plain = view.classes & LOUD == 0;
    if view.words & PROTOTYPE == 0 && !(plain && is_wanted(view)) {
        return;
    }
    let value = view.bytes;
    super::spend(steps, value.len().saturating_mul(7));
    // `{"constructor": {"prototype": …}}`: the name of the inner key is the path to it.
    if view.is_name
        && value.eq_ignore_ascii_case(b"prototype")
        && (view.name.ends_with(b"constructor.prototype")
            || view.name.ends_with(b"constructor][prototype"))
    {
        hits.add(Class::Prototype, Strength::Decisive, 0);
        return;
    }
    let one_word = view.classes & (BLANK | LINE) == 0;
    let mut at = 0;
    while let Some(&here) = value.get(at) {
        if !is_word(here) || !code::starts(value, at) {
            at = at.saturating_add(1);
            continue;
        }
        let length = rest(value, at)
            .iter()
            .position(|&letter| !is_word(letter))
            .unwrap_or_else(|| rest(value, at).len());
        let end = at.saturating_add(length);
        let word = value.get(at..end).unwrap_or(&[]);
        let strength = if word == b"__proto__" {
            proto(value, at, end, view, one_word)
        } else if word == b"constructor" {
            constructor(value, end, view.is_name || one_word)
        } else if word == b"prototype" {
            assigned(value, at, end)
        } else if word == b"setPrototypeOf" {
            given(value, at, end)
        } else if word == b"__globals__" {
            // `a.__init__.__globals__.b`: Python's way from an object to a module.
            let led = has_at(value, at.saturating_sub(9), b"__init__")
                || has_at(value, at.saturating_sub(10), b"__init__][");
            (led && (view.is_name || one_word)).then_some(Strength::Decisive)
        } else if matches!(word, b"__pro__proto__to__" | b"constconstructorructor") {
            // What is left when a filter takes the name out once.
            Some(Strength::Decisive)
        } else if matches!(word, b"__defineGetter__" | b"__defineSetter__") {
            let quoted = matches!(byte(value, end), b'"' | b'\'');
            let key = byte(
                value,
                super::bytes::skip_space(value, end.saturating_add(1)),
            ) == b':';
            (view.is_name || (quoted && key)).then_some(Strength::Decisive)
        } else {
            None
        };
        if let Some(strength) = strength {
            hits.add(Class::Prototype, strength, at);
            if strength == Strength::Decisive {
                return;
            }
        }
        at = end;
    }
}

/// A plain value with the words: they were not looked up.
fn is_wanted(view: &View<'_>) -> bool {
    if view.classes & SCORE != 0 && contains(view.bytes, b"__proto__") {
        return true;
    }
    view.bytes.len() >= 9
        && ((view.classes & DOT != 0 && contains(view.bytes, b"constructor.prototype"))
            || (view.is_name && view.bytes.eq_ignore_ascii_case(b"prototype")))
}

fn proto(value: &[u8], at: usize, end: usize, view: &View<'_>, one_word: bool) -> Option<Strength> {
    if view.is_name {
        return Some(Strength::Decisive);
    }
    let before = at.checked_sub(1).map_or(0, |at| byte(value, at));
    let after = byte(value, end);
    // As a key: `"__proto__":`, `'__proto__':`.
    if matches!(after, b'"' | b'\'') && before == after {
        let mut next = end.saturating_add(1);
        while is_space(byte(value, next)) && next < end.saturating_add(8) {
            next = next.saturating_add(1);
        }
        if matches!(byte(value, next), b':' | b']') {
            return Some(Strength::Decisive);
        }
    }
    // As a path: `a.__proto__.b`, `a[__proto__][b]=1`, `$1:__proto__:then`; or all there is.
    let leads = matches!(
        before,
        0 | b'.' | b'[' | b'&' | b'?' | b'/' | b':' | b'#' | b'='
    );
    let goes_on = matches!(after, 0 | b'.' | b'[' | b']' | b'/' | b':' | b'=');
    let path = leads && goes_on && (one_word || matches!(after, b'[' | b']' | b'='));
    if path && !(view.place == Place::Path && at <= 1 && end == value.len()) {
        return Some(Strength::Decisive);
    }
    Some(Strength::Weak)
}

/// `Object.prototype.admin = true`, of all objects.
fn assigned(value: &[u8], at: usize, end: usize) -> Option<Strength> {
    let start = at.checked_sub(7)?;
    if !has_at(value, start, b"Object.") || byte(value, end) != b'.' || !code::starts(value, start)
    {
        return None;
    }
    let (name, _) = code::word(value, end.saturating_add(1));
    let sign = super::bytes::skip_space(value, name);
    let sets =
        byte(value, sign) == b'=' && !matches!(byte(value, sign.saturating_add(1)), b'=' | b'>');
    let alone = !rest(value, start).contains(&b'\n') && !code::in_sentence(value, start);
    (sets && start < REACH && alone).then_some(Strength::Decisive)
}

/// `Object.setPrototypeOf(a, b)`.
fn given(value: &[u8], at: usize, end: usize) -> Option<Strength> {
    let start = at.checked_sub(7)?;
    if !has_at(value, start, b"Object.") || start >= REACH {
        return None;
    }
    let call = code::call(value, start, end)?;
    let alone = !rest(value, start).contains(&b'\n') && !call.is_mention(value);
    alone.then_some(Strength::Decisive)
}

/// `constructor.prototype`, `constructor[prototype]`, `constructor["prototype"]`, `constructor:prototype`, `[constructor][prototype]`.
fn constructor(value: &[u8], end: usize, path: bool) -> Option<Strength> {
    let mut at = end;
    for _ in 0..6 {
        if !matches!(
            byte(value, at),
            b'.' | b'[' | b']' | b'"' | b'\'' | b':' | b'/' | b'\\' | b'{' | b' '
        ) {
            break;
        }
        at = at.saturating_add(1);
    }
    let reached =
        at > end && has_at(value, at, b"prototype") && !is_word(byte(value, at.saturating_add(9)));
    if !reached {
        return None;
    }
    // `"constructor": {"prototype": …` is a key in a key, wherever it stands.
    let keys = value
        .get(end..at)
        .is_some_and(|between| between.contains(&b':') && between.contains(&b'{'));
    Some(if path || keys {
        Strength::Decisive
    } else {
        Strength::Weak
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Place, Strength, View, bytes, hits_of};
    use super::scan;
    use crate::stages::injection::Hits;

    fn is_decisive(place: Place, name: &[u8], bytes: &[u8], is_name: bool) -> bool {
        let mut view = View::new(place, name, bytes, bytes::classes(bytes));
        view.is_name = is_name;
        let mut hits = Hits::default();
        scan(&view, &mut 1_000_000, &mut hits);
        hits.is_decisive(Class::Prototype)
    }

    #[test]
    fn names_and_keys_reach_the_prototype() {
        for name in [
            &b"__proto__"[..],
            b"__proto__[admin]",
            b"a.__proto__.b",
            b"user[__proto__][admin]",
            b"constructor.prototype.x",
            b"a[constructor][prototype][x]",
            b"constructor[\"prototype\"][x]",
        ] {
            assert!(
                is_decisive(Place::Query, name, name, true),
                "{}",
                name.escape_ascii()
            );
        }
        assert!(is_decisive(
            Place::Body,
            b"a.constructor.prototype",
            b"prototype",
            true
        ));
        assert!(!is_decisive(
            Place::Body,
            b"car.prototype",
            b"prototype",
            true
        ));
        assert!(!is_decisive(
            Place::Body,
            b"constructor",
            b"constructor",
            true
        ));
    }

    #[test]
    fn values_are_paths_or_documents() {
        for value in [
            &b"__proto__"[..],
            b"__proto__.polluted",
            b"a.b.__proto__.c",
            b"$1:__proto__:then",
            b"{\"a\": 1, \"__proto__\": {\"admin\": true}}",
            b"{\"constructor\": {\"prototype\": {\"x\": 1}}}",
            b"x=1&__proto__[a]=b",
            b"constructor.prototype.env",
            b"Object.prototype.admin=true",
            b"1;Object.prototype.x = 1",
            b"Object.setPrototypeOf(a, b)",
            b"__class__.__init__.__globals__.x",
            b"a[__init__][__globals__][x]",
            b"__pro__proto__to__[x]=1",
            b"constconstructorructor[prototype][x]=1",
            b"{\"__defineGetter__\":\"x\"}",
        ] {
            let hits = hits_of(value);
            assert!(
                hits.contains(&(Class::Prototype, Strength::Decisive)),
                "{}: {hits:?}",
                value.escape_ascii()
            );
        }
        for value in [
            &b"What is __proto__ in JavaScript?"[..],
            b"the constructor prototype of our car",
            b"Person.prototype.greet",
            b"constructor",
            b"prototype",
            b"team constructor: prototype review",
            b"__prototype__",
            b"my__proto__col",
            b"Object.prototype.toString.call(x)",
            b"Person.prototype.x = 1",
            b"Object.prototype.x == 1",
            b"use Object.prototype.x = 1 to set it",
            b"Object.setPrototypeOf is slow",
            b"what is __globals__ in a frame",
            b"f.__globals__",
            b"__defineGetter__ is old",
        ] {
            let hits = hits_of(value);
            assert!(
                !hits.contains(&(Class::Prototype, Strength::Decisive)),
                "{}: {hits:?}",
                value.escape_ascii()
            );
        }
    }
}
