//! Scripts without mark-up: URLs that run, handlers, style sheets, break-outs, JavaScript made of symbols.
//!
//! **In:** a decoded value and a position in it. **Out:** what starts there.
//! **Invariant:** every look-ahead is bounded by a constant.
//! **Source:** URL schemes that run (WHATWG URL, HTML §7.4.2.3.2), UTF-7 (RFC 2152), JSFuck's alphabet.
//! **Cost:** constant at a position.

use core::cell::Cell;

use super::bytes::{byte, has_at, is_space, is_word, pair, part, rest, tally};

/// How sure a find is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// An attack wherever it stands.
    Certain,
    /// An attack outside of prose.
    Likely,
    /// Needs something else.
    Odd,
    /// Counts at higher levels.
    Slight,
}

/// What is known of the value around a position.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'c> {
    /// A quote came before.
    pub(super) quoted: bool,
    /// The value is a name.
    pub(super) is_name: bool,
    /// Where UTF-7 of `>` stands next, as far as it is known.
    pub(super) closed: &'c Cell<usize>,
}

/// Words of prose and of programs that look like handlers.
const WORDS: &[&[u8]] = &[
    b"online",
    b"once",
    b"only",
    b"ongoing",
    b"onto",
    b"onset",
    b"onsite",
    b"onboard",
    b"onboarding",
    b"onward",
    b"onwards",
    b"onion",
    b"onions",
    b"ontology",
    b"onetime",
    b"oneway",
    b"oneself",
    b"oneof",
    b"onepage",
    b"ontario",
    b"onpage",
    b"ontop",
    b"onhold",
    b"onfile",
    b"onoff",
    b"ontime",
];

/// Longest name of a handler.
const HANDLER: usize = 52;

/// `on` and at least three letters, nothing else.
pub(super) fn is_handler(name: &[u8]) -> bool {
    name.len() >= 5
        && name.len() <= HANDLER
        && has_at(name, 0, b"on")
        && name.iter().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'\0' | b'.')
        })
}

pub(super) fn skip_blank(value: &[u8], at: usize) -> usize {
    part(value, at, 64)
        .iter()
        .position(|&byte| !is_space(byte) && byte != 0)
        .map_or_else(
            || at.saturating_add(64).min(value.len()),
            |step| at.saturating_add(step),
        )
}

/// Blanks and comments between two tokens.
pub(super) fn skip_gap(value: &[u8], at: usize) -> usize {
    let mut next = skip_blank(value, at);
    for _ in 0..3 {
        if !has_at(value, next, b"/*") {
            break;
        }
        let inside = next.saturating_add(2);
        let Some(length) = pair(part(value, inside, 96), |a, b| a == b'*' && b == b'/') else {
            break;
        };
        next = skip_blank(value, inside.saturating_add(length).saturating_add(2));
    }
    next
}

/// `onfoo=` outside a tag: after a quote, in a name, with a call or a function behind it.
pub(super) fn handler(value: &[u8], at: usize, context: Context<'_>) -> Option<Found> {
    if !matches!(byte(value, at.saturating_add(1)), b'n' | b'N' | b'<') {
        return None;
    }
    let (name, length, end) = letters(value, at);
    let torn = end > at.saturating_add(length);
    let name = name.get(..length).unwrap_or(&[]);
    if length < 5 || !has_at(name, 0, b"on") || WORDS.contains(&name) {
        return None;
    }
    let next = skip_blank(value, end);
    let behind = next.saturating_add(1);
    if byte(value, next) != b'=' || byte(value, behind) == b'=' {
        return None;
    }
    if context.is_name || torn {
        return Some(Found::Certain);
    }
    let before = at.checked_sub(1).map_or(0, |at| byte(value, at));
    let quote = matches!(before, b'"' | b'\'' | b'`');
    let parted = quote || is_space(before) || matches!(before, b'/' | b'\0');
    let content = skip_blank(value, behind);
    let near = next == end && content == behind && content < value.len();
    let code = part(value, behind, 48)
        .iter()
        .any(|byte| matches!(byte, b'(' | b'`'))
        || sink(value, content).is_some();
    let broke = parted && (context.quoted || before == b'/');
    if broke && (code || (context.quoted && near) || quote) || code && next == end {
        Some(Found::Certain)
    } else {
        near.then_some(Found::Slight)
    }
}

/// The letters from `at`, in lower case, their number and where they end; a filter that takes tags out joins `o<x>nload` again.
fn letters(value: &[u8], at: usize) -> ([u8; HANDLER], usize, usize) {
    let mut name = [0_u8; HANDLER];
    let mut length = 0_usize;
    let mut end = at;
    for slot in &mut name {
        if byte(value, end) == b'<'
            && let Some(close) = part(value, end, 8).iter().position(|&byte| byte == b'>')
        {
            end = end.saturating_add(close).saturating_add(1);
        }
        if !byte(value, end).is_ascii_alphabetic() {
            break;
        }
        *slot = byte(value, end).to_ascii_lowercase();
        length = length.saturating_add(1);
        end = end.saturating_add(1);
    }
    (name, length, end)
}

/// A function that attacks end in, named without being called.
pub(super) fn sink(value: &[u8], at: usize) -> Option<usize> {
    let names: &[&[u8]] = match byte(value, at) | 0x20 {
        b'a' => &[b"alert"],
        b'p' => &[b"prompt", b"print"],
        b'c' => &[b"confirm"],
        b'e' => &[b"eval"],
        _ => return None,
    };
    names
        .iter()
        .find(|name| has_at(value, at, name))
        .map(|name| at.saturating_add(name.len()))
        .filter(|&end| !is_word(byte(value, end)))
}

/// Reads letters across blanks and control bytes, as browsers read schemes; whether it had to.
fn spells(value: &[u8], at: usize, word: &[u8]) -> Option<bool> {
    let mut next = at;
    let mut torn = false;
    for &letter in word {
        let mut skipped = 0_u8;
        while byte(value, next) != letter
            && matches!(byte(value, next), 0..=0x20 | b'\\')
            && next < value.len()
            && skipped < 8
            && next > at
        {
            torn |= letter != b':';
            next = next.saturating_add(1);
            skipped = skipped.saturating_add(1);
        }
        if byte(value, next).to_ascii_lowercase() != letter {
            return None;
        }
        next = next.saturating_add(1);
    }
    Some(torn)
}

/// A URL whose scheme runs what follows; whether its letters were torn apart.
pub(super) fn runs(value: &[u8], at: usize) -> Option<bool> {
    let scheme = match byte(value, at) | 0x20 {
        b'j' => &b"javascript:"[..],
        b'v' => b"vbscript:",
        b'l' => b"livescript:",
        b'm' => b"mocha:",
        b'd' => {
            // Nothing of it is read twice that is not there.
            spells(value, at, b"data:")?;
            let behind = byte(value, at.saturating_add(5));
            let goes_on = matches!(
                behind,
                0..=b' ' | b'\\' | b't' | b'T' | b'i' | b'I' | b'a' | b'A'
            );
            if !goes_on && has_at(value, at, b"data:") {
                return None;
            }
            return [
                &b"data:text/html"[..],
                b"data:image/svg",
                b"data:text/xml",
                b"data:application/x",
            ]
            .iter()
            .find_map(|scheme| spells(value, at, scheme));
        }
        _ => return None,
    };
    spells(value, at, scheme)
}

/// Where a link that goes nowhere ends: `javascript:void(0)`, `javascript:;`.
pub(super) fn idle(link: &[u8]) -> Option<usize> {
    const SCHEME: &[u8] = b"javascript:";
    if !has_at(link, 0, SCHEME) {
        return None;
    }
    [
        &b"void(0);"[..],
        b"void(0)",
        b"void 0;",
        b"void 0",
        b";;",
        b";",
    ]
    .iter()
    .find(|nothing| has_at(link, SCHEME.len(), nothing))
    .map(|nothing| SCHEME.len().saturating_add(nothing.len()))
}

/// A scheme that runs code at the start of a value or after a delimiter.
pub(super) fn scheme(value: &[u8], at: usize) -> Option<Found> {
    let Some(torn) = runs(value, at) else {
        return data(value, at);
    };
    let before = at.checked_sub(1).map_or(0, |at| byte(value, at));
    if torn
        && matches!(
            byte(value, at.saturating_add(4)),
            b'\t' | b'\n' | b'\r' | 0..=8
        )
    {
        return Some(Found::Certain);
    }
    let tail = part(value, at.saturating_add(9), 256);
    // `JavaScript: The Good Parts` is a title.
    let colon = tail
        .iter()
        .position(|&byte| byte == b':')
        .map_or(0, |colon| colon.saturating_add(1));
    let over = idle(rest(value, at)).is_some_and(|end| {
        at == 0 && end == value.len()
            || matches!(byte(value, at.saturating_add(end)), b'"' | b'\'' | b'>')
    });
    if over {
        return Some(Found::Slight);
    }
    let title =
        byte(tail, colon) == b' ' && byte(tail, colon.saturating_add(1)).is_ascii_alphabetic();
    let code = tail
        .iter()
        .any(|byte| matches!(byte, b'(' | b'`' | b'=' | b'<' | b'['));
    let put = matches!(before, b'"' | b'\'' | b'=' | b'(');
    Some(if title {
        Found::Slight
    } else if code || put || at == 0 {
        Found::Certain
    } else {
        Found::Odd
    })
}

/// `data:` whose content is mark-up, whatever its type.
fn data(value: &[u8], at: usize) -> Option<Found> {
    if !has_at(value, at, b"data:") {
        return None;
    }
    let content = part(value, at.saturating_add(5), 64);
    let comma = content.iter().position(|&byte| byte == b',')?;
    let kind = content.get(..comma)?;
    let plain = kind.iter().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b';' | b'=' | b'-' | b' ' | b'+')
    });
    let text = rest(content, comma.saturating_add(1)).trim_ascii_start();
    (plain && byte(text, 0) == b'<').then_some(Found::Certain)
}

/// `url(javascript:`, as style sheets write it.
pub(super) fn css_url(value: &[u8], at: usize) -> Option<Found> {
    if !has_at(value, at, b"url") {
        return None;
    }
    let open = skip_blank(value, at.saturating_add(3));
    if byte(value, open) != b'(' {
        return None;
    }
    let mut start = open.saturating_add(1);
    while matches!(
        byte(value, start),
        b'"' | b'\'' | b' ' | b'\t' | b'\n' | b'\r' | b'\\'
    ) && start < open.saturating_add(8)
    {
        start = start.saturating_add(1);
    }
    let harmful = [&b"javascript"[..], b"vbscript", b"data:text/html"]
        .iter()
        .any(|scheme| spells(value, start, scheme).is_some());
    harmful.then_some(Found::Certain)
}

/// UTF-7 of `<`, with the `>` that belongs to it.
pub(super) fn utf7(value: &[u8], at: usize, context: Context<'_>) -> Option<Found> {
    let before = at.checked_sub(1).map_or(0, |at| byte(value, at));
    let from = at.saturating_add(4);
    let first = byte(value, from);
    let tag = first.is_ascii_alphabetic() || matches!(first, b'/' | b'!');
    if !tag || !matches!(before, b'+' | b' ') {
        return None;
    }
    let mut end = context.closed.get();
    if end < from {
        end = rest(value, from)
            .windows(4)
            .position(|window| window.eq_ignore_ascii_case(b"ad4-"))
            .map_or(usize::MAX, |step| from.saturating_add(step));
        context.closed.set(end);
    }
    (end <= from.saturating_add(CLOSED)).then_some(Found::Certain)
}

/// How far `+AD4-` may be behind `+ADw-`.
const CLOSED: usize = 252;

/// JavaScript made of `[]()!+`: no other language has runs of them.
pub(super) fn symbols(value: &[u8]) -> Option<usize> {
    let mut start = 0_usize;
    let mut length = 0_usize;
    let mut pairs = 0_usize;
    let mut bangs = 0_usize;
    let mut before = 0;
    let mut at = 0_usize;
    for &here in value.iter().chain(b"\0") {
        match here {
            b'[' | b']' | b'(' | b')' | b'!' | b'+' | b'{' | b'}' | b'~' => {
                if length == 0 {
                    start = at;
                }
                length = length.saturating_add(1);
                if here == b']' && before == b'[' {
                    pairs = pairs.saturating_add(1);
                }
                // A negated bracket; an exclamation mark ends a sentence or a word.
                if before == b'!' && matches!(here, b'[' | b'!' | b'+' | b'(') {
                    bangs = bangs.saturating_add(1);
                }
                before = here;
            }
            b' ' => {}
            _ => {
                // `!![]` is all there is.
                let alone = at == value.len() && start <= 1;
                if bangs > 0 && ((pairs >= 2 && length >= 8) || (pairs == 1 && bangs >= 2 && alone))
                {
                    return Some(start);
                }
                length = 0;
                pairs = 0;
                bangs = 0;
                before = 0;
            }
        }
        at = at.saturating_add(1);
    }
    None
}

/// The same amid a text: `';f(x)//`, `'-f(x)-'` with words on either side.
pub(super) fn severs(value: &[u8]) -> Option<usize> {
    let mut from = 0_usize;
    while let Some(step) = rest(value, from)
        .iter()
        .position(|&byte| matches!(byte, b'"' | b'\'' | b'`'))
    {
        let quote = from.saturating_add(step);
        from = quote.saturating_add(1);
        let mut name = from;
        while matches!(
            byte(value, name),
            b'-' | b'+' | b';' | b')' | b'}' | b'*' | b'^'
        ) && name < quote.saturating_add(6)
        {
            name = name.saturating_add(1);
        }
        if name == from || !byte(value, name).is_ascii_alphabetic() {
            continue;
        }
        let tail = part(value, name, 96);
        let called = tail
            .iter()
            .position(|&byte| !(is_word(byte) || matches!(byte, b'.' | b'$')))
            .is_some_and(|end| byte(tail, end) == b'(');
        if !called {
            continue;
        }
        let Some(close) = tail.iter().rposition(|&byte| byte == b')') else {
            continue;
        };
        let mut after = close.saturating_add(1);
        while matches!(byte(tail, after), b';' | b'}') {
            after = after.saturating_add(1);
        }
        let cut = has_at(tail, after, b"//")
            || matches!(byte(tail, after), b'-' | b'+')
                && byte(tail, after.saturating_add(1)) == byte(value, quote);
        if cut {
            return Some(quote);
        }
    }
    None
}

/// A string left by its quote, a call, and the rest cut off or joined again: `'-f()-'`, `";f()//`.
pub(super) fn breaks_out(value: &[u8]) -> Option<usize> {
    let text = value.trim_ascii_end();
    let cut = [
        &b"//"[..],
        b"-'",
        b"-\"",
        b"-`",
        b"+'",
        b"+\"",
        b"+`",
        b"<!--",
        b"/*",
        b";'",
        b";\"",
        b"*'",
        b"*\"",
        b"^'",
        b"^\"",
        b"='",
        b"=\"",
    ]
    .iter()
    .any(|end| text.ends_with(end));
    if !cut {
        return None;
    }
    let quote = part(value, 0, 64)
        .iter()
        .position(|&byte| matches!(byte, b'"' | b'\'' | b'`'))?;
    let mut next = skip_blank(value, quote.saturating_add(1));
    let mut joined = false;
    while matches!(
        byte(value, next),
        b'-' | b'+' | b';' | b'*' | b')' | b'}' | b']' | b'^' | b',' | b'|' | b'&' | b' ' | b'('
    ) && next < quote.saturating_add(12)
    {
        joined |= !matches!(byte(value, next), b' ' | b')' | b'(' | b',');
        next = next.saturating_add(1);
    }
    let length = tally(
        part(value, next, 48)
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.')),
    );
    let name = part(value, next, length);
    let called = byte(value, next.saturating_add(length)) == b'(';
    let script = length >= 1
        && called
        && byte(name, 0).is_ascii_alphabetic()
        && !name.iter().all(u8::is_ascii_uppercase);
    // SQL joins strings by `+` and `||` too: its calls are the other detector's.
    (joined && script).then_some(quote)
}
