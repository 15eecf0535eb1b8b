//! XPath: conditions, paths and axes that leave their place.
//!
//! **In:** a decoded value. **Out:** hits of class `xpath`.
//! **Invariant:** look-ahead is bounded by constants.
//! **Source:** XPath 1.0 and 3.1, the function libraries of both.
//! **Cost:** a pass over values that have a word of XPath beside `/`, `(` or `:`.

use super::super::places::{Places, Set};
use super::bytes::{self, PAREN, SLASH, STAR, byte, has_at, is_word, rest, skip_space};
use super::triggers::XPATH;
use super::{Class, Hits, Strength, View};

/// Words no pattern of this file can do without.
pub(super) const WORDS: &[&[u8]] = &[
    b"child",
    b"parent",
    b"ancestor",
    b"descendant",
    b"sibling",
    b"following",
    b"preceding",
    b"attribute",
    b"self",
    b"node",
    b"text",
    b"comment",
    b"count",
    b"string",
    b"substring",
    b"name",
    b"local",
    b"contains",
    b"starts",
    b"normalize",
    b"position",
    b"last",
    b"codepoints",
    b"doc",
    b"unparsed",
    b"matches",
    b"environment",
    b"namespace",
];

/// Functions that take a path.
const FUNCTIONS: [&[u8]; 18] = [
    b"count",
    b"string",
    b"substring",
    b"substring-before",
    b"substring-after",
    b"string-length",
    b"string-to-codepoints",
    b"codepoints-to-string",
    b"name",
    b"local-name",
    b"namespace-uri",
    b"normalize-space",
    b"contains",
    b"starts-with",
    b"concat",
    b"translate",
    b"sum",
    b"matches",
];

/// Axes; `self` and `parent` are PHP's and C++'s too.
const AXES: [&[u8]; 9] = [
    b"child",
    b"ancestor",
    b"ancestor-or-self",
    b"descendant",
    b"descendant-or-self",
    b"following-sibling",
    b"preceding-sibling",
    b"parent",
    b"self",
];

/// Bytes of a name that are read backwards.
const NAME: usize = 32;

/// What calls and axes have, and joined paths.
static SIGNS: Set = Set::of(b"(:");
static UNITED: Set = Set::of(b"(:|");

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let value = view.bytes;
    let named = view.words & XPATH != 0 && view.classes & (PAREN | STAR) != 0;
    let united = view.classes & bytes::PIPE != 0 && view.classes & SLASH != 0;
    if !named && !united {
        return;
    }
    super::spend(steps, value.len());
    let mut signs = Places::of(value, if united { &UNITED } else { &SIGNS });
    let mut from = 0;
    while let Some(at) = signs.from(from) {
        from = at.saturating_add(1);
        let strength = match byte(value, at) {
            b'(' if named => call(value, at),
            b':' if named && byte(value, at.saturating_add(1)) == b':' => axis(value, at),
            b'|' if united => union(value, at),
            _ => None,
        };
        if let Some(strength) = strength {
            hits.add(Class::Xpath, strength, at);
            if strength == Strength::Decisive {
                return;
            }
        }
    }
}

/// The name that ends before `at`, hyphens in it.
fn name_before(value: &[u8], at: usize) -> &[u8] {
    let window = value.get(at.saturating_sub(NAME)..at).unwrap_or(&[]);
    let length = bytes::tally(
        window
            .iter()
            .rev()
            .take_while(|&&byte| is_word(byte) || byte == b'-'),
    );
    value.get(at.saturating_sub(length)..at).unwrap_or(&[])
}

/// A path that starts at `at`: `/a`, `//a`, `/*`, `//@id`, an axis; not a regular expression, a comment or a share.
fn is_path(value: &[u8], at: usize) -> bool {
    let slashes = bytes::tally(
        rest(value, at)
            .iter()
            .take(2)
            .take_while(|&&byte| byte == b'/'),
    );
    if slashes == 0 {
        return false;
    }
    let step = at.saturating_add(slashes);
    match byte(value, step) {
        b'*' | b'@' => true,
        head if head.is_ascii_alphabetic() => {
            let end = step.saturating_add(bytes::tally(
                rest(value, step)
                    .iter()
                    .take(NAME)
                    .take_while(|&&byte| is_word(byte) || byte == b'-'),
            ));
            matches!(byte(value, end), b'[' | b'/' | b')' | b',' | b':')
        }
        _ => false,
    }
}

/// `count(/…`, `string(//user…`, `/text()`, `doc('http…`, `and string-length(x)=`.
fn call(value: &[u8], at: usize) -> Option<Strength> {
    let name = name_before(value, at);
    if name.is_empty() {
        return None;
    }
    let start = at.saturating_sub(name.len());
    let before = start.checked_sub(1).map_or(0, |before| byte(value, before));
    let window = value.get(..at.saturating_add(NAME)).unwrap_or(value);
    let argument = skip_space(window, at.saturating_add(1));
    let is = |word: &[u8]| name.eq_ignore_ascii_case(word);
    let empty = byte(value, argument) == b')';
    // A node test behind a step.
    if empty && (is(b"text") || is(b"node") || is(b"comment")) {
        let behind = argument.saturating_add(1);
        let stepped =
            before == b'/' && byte(value, start.saturating_sub(2)) != b'/' || before == b':';
        let used = matches!(
            byte(
                value,
                skip_space(
                    value.get(..behind.saturating_add(4)).unwrap_or(value),
                    behind
                )
            ),
            b'=' | b',' | b')' | b']' | b'[' | b'|' | b'!' | 0
        );
        return (stepped && used).then_some(Strength::Decisive);
    }
    if is(b"environment-variable") || is(b"available-environment-variables") {
        let given = empty || matches!(byte(value, argument), b'\'' | b'"');
        return (given && before != b'.').then_some(Strength::Decisive);
    }
    if is(b"doc") || is(b"doc-available") || is(b"unparsed-text") || is(b"document") {
        let quoted = matches!(byte(value, argument), b'\'' | b'"');
        let from = rest(value, argument.saturating_add(1));
        let reached = [&b"//"[..], b"http", b"ftp", b"file", b"\\\\", b"concat("]
            .iter()
            .any(|scheme| has_at(from, 0, scheme));
        let method = before == b'.';
        let sure = quoted && reached || joined(value, start) && !is(b"doc");
        return (sure && !method).then_some(Strength::Decisive);
    }
    if !FUNCTIONS.iter().any(|known| is(known)) {
        return None;
    }
    if is_path(value, argument) {
        return Some(Strength::Decisive);
    }
    // `contains(*,'`, `contains(.,'`, `starts-with(../a`: a node of the tree.
    let listed = byte(value, argument.saturating_add(1)) == b',';
    let node = byte(value, argument) == b'@'
        || (byte(value, argument) == b'*' && listed)
        || rest(value, argument).starts_with(b"../")
        || (matches!(byte(value, argument), b'.')
            && byte(value, argument.saturating_add(1)) == b',');
    if node {
        return Some(Strength::Decisive);
    }
    // No other language spells it so.
    let own = is(b"string-length")
        || is(b"codepoints-to-string")
        || is(b"string-to-codepoints")
        || is(b"substring-before")
        || is(b"normalize-space");
    if own {
        return Some(if joined(value, start) {
            Strength::Decisive
        } else {
            Strength::Suspicious
        });
    }
    None
}

/// Whether `and`, `or`, a bracket or an operator stands before.
fn joined(value: &[u8], at: usize) -> bool {
    let window = value.get(at.saturating_sub(8)..at).unwrap_or(&[]);
    let text = window.trim_ascii_end();
    let spaced = text.len() < window.len();
    let word = (text.len() >= 2 && spaced)
        && [&b"and"[..], b"or"]
            .iter()
            .any(|word| has_at(text, text.len().saturating_sub(word.len()), word));
    word || matches!(text.last(), Some(b'[' | b'(' | b'=' | b'<' | b'>' | b','))
}

/// `child::node()`, `ancestor::*`; `parent::__construct()` and `self::NAME` are PHP.
fn axis(value: &[u8], at: usize) -> Option<Strength> {
    let name = name_before(value, at);
    if !AXES.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return None;
    }
    let test = rest(value, at.saturating_add(2));
    let node = [&b"node()"[..], b"text()", b"comment()", b"*", b"@"]
        .iter()
        .any(|node| has_at(test, 0, node));
    let shared = name.eq_ignore_ascii_case(b"self") || name.eq_ignore_ascii_case(b"parent");
    let named = test.first().is_some_and(u8::is_ascii_lowercase);
    (node || (named && !shared)).then_some(if node {
        Strength::Decisive
    } else {
        Strength::Suspicious
    })
}

/// `] | //user`, `|//*[`.
fn union(value: &[u8], at: usize) -> Option<Strength> {
    let window = value.get(..at.saturating_add(NAME)).unwrap_or(value);
    let path = skip_space(window, at.saturating_add(1));
    let closed = value
        .get(..at)
        .unwrap_or(&[])
        .trim_ascii_end()
        .last()
        .copied()
        .unwrap_or(0);
    let twice = rest(value, path).starts_with(b"//");
    (twice && is_path(value, path) && matches!(closed, b']' | b')' | b'\'' | b'"' | 0))
        .then_some(Strength::Decisive)
}

#[cfg(test)]
mod tests {
    use super::super::hits_of;
    use super::*;

    fn caught(value: &str) -> bool {
        hits_of(value.as_bytes()).contains(&(Class::Xpath, Strength::Decisive))
    }

    #[test]
    fn paths_axes_and_functions_are_caught() {
        for value in [
            "count(/child::node())",
            "' or count(/*)=1 or 'a'='b",
            "string(//user[name/text()='a']/account/text())",
            "substring(//user[userid=5]/username,2,1)='a'",
            "')] | //user/*[contains(*,'",
            "x']|//*[name()='y",
            "and string-length(account)=4",
            "' and contains(../password,'c",
            "' or name(//users/*[1])='user",
            "* and doc('//10.0.0.1/share')",
            "a' and starts-with(//user[1]/pass,'b') and 'a'='a",
            "ancestor::*",
            "'] | /descendant-or-self::node()",
            "' or substring(name(/*[1]),1,1)='a",
            "and doc-available(concat('http://e.example/',name()))",
        ] {
            assert!(caught(value), "{value}");
        }
    }

    #[test]
    fn code_paths_and_prose_are_let_through() {
        for value in [
            "parent::__construct($a)",
            "self::NAME",
            "$('#a').text()",
            "count(items)",
            "select count(*), name(s)",
            "count(1 / 2)",
            "string(name)",
            "a/text (draft)",
            "see /text and (node)",
            "https://example.com/a(b)/text",
            "match(/^a/)",
            "name(s) of child(ren)",
            "a | b // comment (text)",
            "replace(/text/g, '')",
            "text()",
            "contains(a, 'b')",
            "ancestor::of",
            "std::string(name)",
            "doc('intro')",
        ] {
            assert!(!caught(value), "{value}");
        }
    }
}
