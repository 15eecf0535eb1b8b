//! Cross-site scripting: tags, handlers, URL schemes, attribute break-outs, script fragments.
//!
//! **In:** a decoded value. **Out:** hits of class `xss`.
//! **Invariant:** a tag is read once, from its `<` to its `>`; look-aheads are bounded by constants.
//! **Source:** WHATWG HTML tokenisation (§13.2.5), URL schemes browsers run.
//! **Cost:** one pass; words of prose and harmless mark-up form no hit.

use super::bytes::{
    self, ANGLE, BACKSLASH, CONTROL, LINE, QUOTE, byte, contains, has_at, is_space, is_word, rest,
    tally,
};
use super::triggers::SCRIPT;
use super::words::{Key, Words};
use super::{Class, Hits, Strength, View};

const HARMFUL: u8 = 1;
const RUNS: u8 = 2;
const LOADING: u8 = 3;
const STYLE: u8 = 4;
const LINK: u8 = 5;

/// Tags that load or run something by themselves.
static TAGS: Words<64> = Words::new(&[
    (b"script", RUNS),
    (b"style", STYLE),
    (b"iframe", HARMFUL),
    (b"frame", HARMFUL),
    (b"frameset", HARMFUL),
    (b"object", HARMFUL),
    (b"embed", HARMFUL),
    (b"applet", HARMFUL),
    (b"base", HARMFUL),
    (b"meta", HARMFUL),
    (b"link", LINK),
    (b"bgsound", HARMFUL),
    (b"layer", HARMFUL),
    (b"ilayer", HARMFUL),
    (b"isindex", HARMFUL),
    (b"xss", HARMFUL),
    (b"portal", HARMFUL),
    (b"animate", HARMFUL),
    (b"animation", HARMFUL),
    (b"handler", HARMFUL),
    (b"listener", HARMFUL),
    (b"htmlfile", HARMFUL),
    (b"import", HARMFUL),
    (b"svg", LOADING),
    (b"math", LOADING),
    (b"form", LOADING),
    (b"template", LOADING),
    (b"noscript", LOADING),
]);

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let View {
        bytes: value,
        classes,
        words,
        ..
    } = *view;
    if classes & ANGLE != 0 {
        super::spend(steps, value.len());
        tags(value, steps, hits);
    }
    // A scheme's letters may be torn apart by what browsers drop.
    let torn = classes & (LINE | CONTROL | BACKSLASH) != 0 && value.contains(&b':');
    if hits.is_decisive(Class::Xss) || (words & SCRIPT == 0 && !torn) {
        return;
    }
    super::spend(steps, value.len());
    let mut at = 0;
    while let Some(&head) = value.get(at) {
        let previous = at.checked_sub(1).map_or(0, |at| byte(value, at));
        if !is_word(previous) || previous >= 0x80 {
            let strength = match head | 0x20 {
                b'o' => handler(value, at, classes),
                b'j' | b'v' | b'd' | b'l' | b'm' => scheme(value, at).or_else(|| script(value, at)),
                b'a' | b'e' | b'p' | b'c' | b'f' | b's' | b'x' | b'w' | b'n' | b't' | b'i' => {
                    script(value, at)
                }
                _ => None,
            };
            if let Some(strength) = strength {
                hits.add(Class::Xss, strength, at);
            }
        }
        if head == b'{' && byte(value, at.saturating_add(1)) == b'{' {
            template(value, at, hits);
        }
        if matches!(head, b'.' | b'[')
            && let Some(strength) = property(value, at)
        {
            hits.add(Class::Xss, strength, at);
        }
        if hits.is_decisive(Class::Xss) {
            return;
        }
        at = at.saturating_add(1);
    }
}

fn tags(value: &[u8], steps: &mut u64, hits: &mut Hits) {
    // What follows the first style sheet follows every later one: it is read once.
    let mut styled = false;
    let mut at = 0;
    while let Some(step) = rest(value, at).iter().position(|&byte| byte == b'<') {
        let open = at.saturating_add(step);
        at = open.saturating_add(1);
        let mut name = at;
        while matches!(byte(value, name), b'/' | b'\0')
            && name < at.saturating_add(4)
            && name < value.len()
        {
            name = name.saturating_add(1);
        }
        let closing = byte(value, at) == b'/';
        match byte(value, name) {
            letter if letter.is_ascii_alphabetic() => {
                at = tag(value, open, name, closing, &mut styled, hits);
            }
            b'!' => {
                if has_at(value, name, b"![cdata[") {
                    hits.add(Class::Xss, Strength::Weak, open);
                } else if has_at(value, name, b"!--[if") || has_at(value, name, b"!entity") {
                    hits.add(Class::Xss, Strength::Decisive, open);
                }
            }
            b'?' if has_at(value, name, b"?import") => {
                hits.add(Class::Xss, Strength::Decisive, open)
            }
            b'%' if has_at(value, name, b"%00") => hits.add(Class::Xss, Strength::Suspicious, open),
            _ => {}
        }
        if hits.is_decisive(Class::Xss) {
            return;
        }
        super::spend(steps, at.saturating_sub(open));
    }
}

/// Reads a tag; returns where to go on (never before its name).
fn tag(
    value: &[u8],
    open: usize,
    name: usize,
    closing: bool,
    styled: &mut bool,
    hits: &mut Hits,
) -> usize {
    let mut key = Key::EMPTY;
    let mut end = name;
    let mut length = 0_u8;
    while let Some(&letter) = value.get(end) {
        let letter = if letter == b':' { b'_' } else { letter };
        if letter != 0 && !is_word(letter) && letter != b'-' {
            break;
        }
        // NUL inside a name was dropped by old browsers.
        if letter != 0 && length < 24 {
            key.push(letter);
            length = length.saturating_add(1);
        }
        // A prefix (`svg:script`) does not change what a tag does.
        if letter == b'_' {
            key = Key::EMPTY;
        }
        end = end.saturating_add(1);
    }
    let kind = TAGS.kind(key);
    let mut at = end;
    let mut attributes = 0_u8;
    let mut worst = None;
    while let Some(&head) = value.get(at) {
        if head == b'>' || head == b'<' {
            break;
        }
        if is_space(head) || matches!(head, b'/' | b'"' | b'\'' | b'`' | b'=' | b'\0') {
            at = at.saturating_add(1);
            continue;
        }
        let (next, strength) = attribute(value, at, kind);
        attributes = attributes.saturating_add(1);
        worst = worst.max(strength);
        at = next.max(at.saturating_add(1));
    }
    if let Some(strength) = worst {
        hits.add(Class::Xss, strength, open);
    }
    let closed = byte(value, at) == b'>';
    match kind {
        RUNS => {
            // `<script>` in a sentence is a word; with an attribute or code behind it, it runs.
            let tail = rest(value, at.saturating_add(1));
            let code = tail
                .iter()
                .any(|byte| matches!(byte, b'(' | b'=' | b'`' | b'<' | b';' | b'{'));
            let runs = attributes > 0 || closing || !closed || code || tail.is_empty();
            let strength = if runs {
                Strength::Decisive
            } else {
                Strength::Suspicious
            };
            hits.add(Class::Xss, strength, open);
        }
        // A style sheet is a nuisance; what it links to is judged as an attribute.
        LINK if !closing && worst.is_none() => hits.add(Class::Xss, Strength::Suspicious, open),
        HARMFUL if !closing => {
            let strength = if attributes > 0 {
                Strength::Decisive
            } else {
                Strength::Suspicious
            };
            hits.add(Class::Xss, strength, open);
        }
        STYLE if !closing => {
            let tail = if *styled { &[] } else { rest(value, at) };
            *styled = true;
            let loads = contains(tail, b"@import")
                || contains(tail, b"expression")
                || contains(tail, b"behavior")
                || contains(tail, b"javascript")
                || contains(tail, b"binding")
                || contains(tail, b"keyframes");
            hits.add(
                Class::Xss,
                if loads || attributes > 0 {
                    Strength::Decisive
                } else {
                    Strength::Suspicious
                },
                open,
            );
        }
        LOADING if !closing => hits.add(Class::Xss, Strength::Suspicious, open),
        _ => {}
    }
    at.max(end)
}

/// Reads `name [= value]`; returns the position after it.
fn attribute(value: &[u8], at: usize, tag: u8) -> (usize, Option<Strength>) {
    let mut end = at;
    while let Some(&head) = value.get(end) {
        if is_space(head) || matches!(head, b'=' | b'>' | b'/' | b'"' | b'\'' | b'<') {
            break;
        }
        end = end.saturating_add(1);
    }
    let name = value.get(at..end).unwrap_or(&[]);
    let mut next = skip_blank(value, end);
    if byte(value, next) != b'=' {
        return (end, None);
    }
    next = skip_blank(value, next.saturating_add(1));
    let quote = byte(value, next);
    let (from, to, after) = if matches!(quote, b'"' | b'\'' | b'`') {
        let from = next.saturating_add(1);
        let length = rest(value, from).iter().position(|&byte| byte == quote);
        let to = length.map_or(value.len(), |length| from.saturating_add(length));
        (from, to, to.saturating_add(1).min(value.len()))
    } else {
        let length = rest(value, next)
            .iter()
            .position(|&byte| is_space(byte) || byte == b'>')
            .unwrap_or(usize::MAX);
        let to = next.saturating_add(length).min(value.len());
        (next, to, to)
    };
    let content = value.get(from..to).unwrap_or(&[]);
    let lead = name
        .iter()
        .position(|byte| byte.is_ascii_alphabetic())
        .unwrap_or(0);
    if is_handler(rest(name, lead)) {
        return (after, Some(Strength::Decisive));
    }
    let strength = if name.eq_ignore_ascii_case(b"style") {
        let harmful = [
            &b"expression"[..],
            b"behavio",
            b"javascript",
            b"-moz-binding",
            b"-o-link",
            b"@import",
            b"vbscript",
        ]
        .iter()
        .any(|word| contains(content, word));
        harmful.then_some(Strength::Decisive)
    } else if tag == RUNS
        || name.eq_ignore_ascii_case(b"srcdoc")
        || name.eq_ignore_ascii_case(b"formaction")
    {
        Some(Strength::Decisive)
    } else {
        let start = content
            .iter()
            .position(|&byte| byte > b' ' && byte < 0x80)
            .unwrap_or(0);
        url_scheme(content, start).then_some(Strength::Decisive)
    };
    (after, strength)
}

fn skip_blank(value: &[u8], at: usize) -> usize {
    rest(value, at)
        .iter()
        .position(|&byte| !is_space(byte) && byte != 0)
        .map_or(value.len(), |step| at.saturating_add(step))
}

/// `on` and at least three letters, nothing else.
fn is_handler(name: &[u8]) -> bool {
    name.len() >= 5
        && name.len() <= 40
        && has_at(name, 0, b"on")
        && name.iter().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'\0' | b'.')
        })
}

/// `onfoo=` outside a tag: decisive after a quote, or with a call right behind it.
fn handler(value: &[u8], at: usize, classes: u32) -> Option<Strength> {
    if !has_at(value, at, b"on") {
        return None;
    }
    let length = tally(
        rest(value, at)
            .iter()
            .take(40)
            .take_while(|byte| byte.is_ascii_alphabetic()),
    );
    if length < 5 {
        return None;
    }
    let end = at.saturating_add(length);
    let next = skip_blank(value, end);
    if byte(value, next) != b'=' || byte(value, next.saturating_add(1)) == b'=' {
        return None;
    }
    let before = rest(value, at.saturating_sub(4))
        .get(..at.min(4))
        .unwrap_or(&[]);
    let mut lead = before.iter().rev();
    let split = lead.next().copied().unwrap_or(0);
    let broke = matches!(split, b'"' | b'\'' | b'`' | b'/')
        || (is_space(split) && lead.any(|byte| matches!(byte, b'"' | b'\'' | b'`' | b'/')));
    let behind = rest(value, next.saturating_add(1))
        .get(..48)
        .unwrap_or_else(|| rest(value, next.saturating_add(1)));
    let code = behind.iter().any(|byte| matches!(byte, b'(' | b'`'));
    if broke && (code || classes & QUOTE != 0) || code && next == end {
        Some(Strength::Decisive)
    } else if next == end {
        Some(Strength::Weak)
    } else {
        None
    }
}

/// Reads letters across blanks and control bytes, as browsers read schemes.
fn spells(value: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let mut next = at;
    for &letter in word {
        let mut skipped = 0_u8;
        while byte(value, next) != letter
            && matches!(byte(value, next), 0..=0x20 | b'\\')
            && next < value.len()
            && skipped < 8
            && next > at
        {
            next = next.saturating_add(1);
            skipped = skipped.saturating_add(1);
        }
        if byte(value, next).to_ascii_lowercase() != letter {
            return None;
        }
        next = next.saturating_add(1);
    }
    Some(next)
}

fn url_scheme(value: &[u8], at: usize) -> bool {
    [
        &b"javascript:"[..],
        b"vbscript:",
        b"livescript:",
        b"mocha:",
        b"data:text/html",
        b"data:image/svg",
        b"data:text/xml",
        b"data:application/x",
    ]
    .iter()
    .any(|scheme| spells(value, at, scheme).is_some())
}

/// A scheme that runs code at the start of a value or after a delimiter.
fn scheme(value: &[u8], at: usize) -> Option<Strength> {
    if !url_scheme(value, at) {
        return None;
    }
    let tail = rest(value, at.saturating_add(9));
    let tail = tail.get(..256).unwrap_or(tail);
    // `JavaScript: The Good Parts` is a title.
    let colon = tail
        .iter()
        .position(|&byte| byte == b':')
        .map_or(0, |colon| colon.saturating_add(1));
    let title = byte(tail, colon) == b' ';
    let code = tail
        .iter()
        .any(|byte| matches!(byte, b'(' | b'`' | b'=' | b'<' | b'['))
        || (at == 0 && !title);
    Some(if code {
        Strength::Decisive
    } else {
        Strength::Suspicious
    })
}

/// Calls and names that only scripts use, with what follows them.
fn script(value: &[u8], at: usize) -> Option<Strength> {
    /// Calls: what follows the bracket decides.
    const CALLS: [&[u8]; 14] = [
        b"alert",
        b"prompt",
        b"confirm",
        b"eval",
        b"settimeout",
        b"setinterval",
        b"function",
        b"fetch",
        b"atob",
        b"import",
        b"print",
        b"expression",
        b"string.fromcharcode",
        b"constructor",
    ];
    /// Decisive wherever they stand.
    const NAMES: [&[u8]; 17] = [
        b"document.cookie",
        b"document.write",
        b"document.domain",
        b"document.location",
        b"document['",
        b"document[\"",
        b"window.location=",
        b"window['",
        b"window[\"",
        b"self['",
        b"self[\"",
        b"localstorage.getitem",
        b"xmlhttprequest(",
        b"activexobject(",
        b"top['",
        b"top[\"",
        b"-moz-binding",
    ];
    if NAMES.iter().any(|name| has_at(value, at, name)) {
        return Some(Strength::Decisive);
    }
    for name in CALLS {
        if !has_at(value, at, name) {
            continue;
        }
        let end = at.saturating_add(name.len());
        let mut open = bytes::skip_space(value, end);
        // `(alert)(1)`, `alert?.(1)`, `alert.call(…)`.
        for dodge in [&b"?."[..], b".call", b".apply", b".bind", b")", b"/**/"] {
            if has_at(value, open, dodge) {
                open = open.saturating_add(dodge.len());
            }
        }
        let bracket = byte(value, open);
        let argument = byte(value, bytes::skip_space(value, open.saturating_add(1)));
        let tail = rest(value, open.saturating_add(1));
        if bracket == b'`' {
            return (open == end).then_some(Strength::Decisive);
        }
        if bracket != b'(' {
            return None;
        }
        let coded = argument.is_ascii_digit()
            || matches!(
                argument,
                b'\''
                    | b'"'
                    | b'`'
                    | b'/'
                    | b'('
                    | b'['
                    | b'!'
                    | b'+'
                    | b','
                    | b'-'
                    | b')'
                    | b'\\'
                    | b'$'
                    | b'{'
            )
            || [
                &b"document"[..],
                b"window",
                b"this",
                b"location",
                b"self",
                b"atob",
                b"string.",
                b"top",
                b"name",
                b"eval",
                b"xss",
                b"origin",
                b"null",
                b"undefined",
                b"'",
            ]
            .iter()
            .any(|word| has_at(tail, 0, word));
        if !coded {
            return None;
        }
        return Some(match name {
            b"alert"
            | b"prompt"
            | b"confirm"
            | b"eval"
            | b"atob"
            | b"string.fromcharcode"
            | b"expression" => Strength::Decisive,
            b"function" | b"import" | b"print" | b"constructor" => Strength::Weak,
            _ => Strength::Suspicious,
        });
    }
    None
}

/// `.constructor(`, `.innerHTML=`, `["constructor"]`, `.__proto__`.
fn property(value: &[u8], at: usize) -> Option<Strength> {
    const NAMES: [&[u8]; 9] = [
        b".constructor(",
        b".constructor.",
        b".innerhtml",
        b".outerhtml",
        b".fromcharcode(",
        b"['constructor']",
        b"[\"constructor\"]",
        b".parentnode.",
        b".appendchild(",
    ];
    NAMES
        .iter()
        .any(|name| has_at(value, at, name))
        .then_some(Strength::Decisive)
}

/// `{{…}}` that calls or reaches a constructor.
fn template(value: &[u8], at: usize, hits: &mut Hits) {
    let inside = rest(value, at.saturating_add(2));
    let inside = inside.get(..64).unwrap_or(inside);
    if contains(inside, b"constructor") || contains(inside, b"$on.") || contains(inside, b"$eval") {
        hits.add(Class::Xss, Strength::Decisive, at);
    }
}
