//! Calls and chains of members: what scripts do with the objects of a page.
//!
//! **In:** a decoded value and a position in it. **Out:** what starts there.
//! **Invariant:** a word is looked up once; every look-ahead is bounded by a constant.
//! **Source:** ECMA-262 (tokens, optional chains, tagged templates), the browsers' global objects (WHATWG HTML, DOM).
//! **Cost:** constant at a position.

use super::bytes::{byte, contains, has_at, is_space, is_word, pair, part};
use super::words::{Key, Starts, Words};
use super::xss_script::{Context, Found, runs, sink, skip_blank, skip_gap, utf7};

/// Members of the document that attacks read or write.
const DOCUMENT: &[&[u8]] = &[
    b"cookie",
    b"write",
    b"writeln",
    b"domain",
    b"location",
    b"createelement",
    b"documentelement",
    b"defaultview",
    b"baseuri",
    b"documenturi",
    b"url",
    b"referrer",
    b"execcommand",
    b"implementation",
];

/// Members of the window.
const WINDOW: &[&[u8]] = &[
    b"location",
    b"open",
    b"name",
    b"document",
    b"alert",
    b"confirm",
    b"prompt",
    b"eval",
    b"onerror",
    b"onload",
    b"opener",
    b"postmessage",
    b"localstorage",
    b"sessionstorage",
    b"fetch",
    b"atob",
    b"settimeout",
    b"setinterval",
    b"execscript",
    b"parent",
    b"top",
    b"frames",
];

/// Members of a location.
const LOCATION: &[&[u8]] = &[
    b"href",
    b"hash",
    b"search",
    b"replace",
    b"assign",
    b"host",
    b"protocol",
    b"pathname",
];

const STORAGE: &[&[u8]] = &[b"getitem", b"setitem"];
const NAVIGATOR: &[&[u8]] = &[b"sendbeacon", b"credentials", b"serviceworker"];
const HISTORY: &[&[u8]] = &[b"pushstate", b"replacestate"];

const IS_DOCUMENT: u8 = 1;
const IS_WINDOW: u8 = 2;
const IS_LOCATION: u8 = 3;
const IS_STORAGE: u8 = 4;
const IS_NAVIGATOR: u8 = 5;
const IS_HISTORY: u8 = 6;
const IS_THIS: u8 = 7;
/// A function that attacks call.
const CALLED: u8 = 8;
/// One that pages call as often.
const CALLED_OFTEN: u8 = 9;
/// One that has other uses.
const CALLED_ELSE: u8 = 10;
const EXPRESSION: u8 = 11;
const FUNCTION: u8 = 12;
const STRING: u8 = 13;
const REQUEST: u8 = 14;
const CONVERTER: u8 = 15;
const UTF7: u8 = 16;
const IMPORT: u8 = 18;
/// An attribute that runs its value.
const ATTRIBUTE: u8 = 17;

pub(super) const LIST: &[(&[u8], u8)] = &[
    (b"document", IS_DOCUMENT),
    (b"window", IS_WINDOW),
    (b"self", IS_WINDOW),
    (b"top", IS_WINDOW),
    (b"parent", IS_WINDOW),
    (b"frames", IS_WINDOW),
    (b"globalthis", IS_WINDOW),
    (b"location", IS_LOCATION),
    (b"localstorage", IS_STORAGE),
    (b"sessionstorage", IS_STORAGE),
    (b"navigator", IS_NAVIGATOR),
    (b"history", IS_HISTORY),
    (b"this", IS_THIS),
    (b"alert", CALLED),
    (b"prompt", CALLED),
    (b"confirm", CALLED),
    (b"eval", CALLED),
    (b"atob", CALLED),
    (b"btoa", CALLED),
    (b"execscript", CALLED),
    (b"settimeout", CALLED_OFTEN),
    (b"setinterval", CALLED_OFTEN),
    (b"setimmediate", CALLED_OFTEN),
    (b"importscripts", CALLED_OFTEN),
    (b"fetch", CALLED_OFTEN),
    (b"import", IMPORT),
    (b"print", CALLED_ELSE),
    (b"constructor", CALLED_ELSE),
    (b"expression", EXPRESSION),
    (b"function", FUNCTION),
    (b"string", STRING),
    (b"xmlhttprequest", REQUEST),
    (b"activexobject", REQUEST),
    (b"valueof", CONVERTER),
    (b"tostring", CONVERTER),
    (b"adw", UTF7),
    (b"formaction", ATTRIBUTE),
    (b"srcdoc", ATTRIBUTE),
];

static NAMES: Words<256> = Words::new(LIST);

static STARTS: Starts = Starts::of(LIST);

/// Words of a page that an argument begins with.
const PAGE: u8 = 1;

static ARGUMENTS: Words<64> = Words::new(&[
    (b"document", PAGE),
    (b"window", PAGE),
    (b"this", PAGE),
    (b"location", PAGE),
    (b"self", PAGE),
    (b"atob", PAGE),
    (b"string", PAGE),
    (b"top", PAGE),
    (b"name", PAGE),
    (b"eval", PAGE),
    (b"xss", PAGE),
    (b"origin", PAGE),
    (b"null", PAGE),
    (b"undefined", PAGE),
]);

/// Bytes in which a listed word ends.
const LONGEST: usize = 10;

/// What starts with a word at `at`: a chain of members, a call, an assignment.
pub(super) fn code(value: &[u8], at: usize, context: Context<'_>) -> Option<Found> {
    if !STARTS.may(byte(value, at), byte(value, at.saturating_add(1))) {
        return None;
    }
    let mut key = Key::EMPTY;
    let mut end = at;
    for &letter in part(value, at, 24) {
        if !is_word(letter) {
            break;
        }
        key.push(letter);
        end = end.saturating_add(1);
    }
    let before = at.checked_sub(1).map_or(0, |at| byte(value, at));
    match NAMES.kind(key) {
        IS_DOCUMENT => chain(value, at, end, DOCUMENT),
        IS_WINDOW => chain(value, at, end, WINDOW),
        IS_LOCATION => chain(value, at, end, LOCATION),
        IS_STORAGE => chain(value, at, end, STORAGE),
        IS_NAVIGATOR => chain(value, at, end, NAVIGATOR),
        IS_HISTORY => chain(value, at, end, HISTORY),
        IS_THIS => chain(value, at, end, &[]),
        CALLED => call(value, at, end, Found::Likely),
        CALLED_OFTEN => call(value, at, end, Found::Odd),
        CALLED_ELSE => call(value, at, end, Found::Slight),
        // A declaration of a style sheet.
        IMPORT => imports(value, end),
        EXPRESSION if before == b':' && byte(value, end) == b'(' => Some(Found::Certain),
        EXPRESSION => call(value, at, end, Found::Likely),
        FUNCTION if has_at(value, at.saturating_sub(4), b"new ") => {
            let open = skip_gap(value, end);
            let glued = open == end && byte(value, at) == b'F';
            let code = glued || is_code(value, skip_gap(value, open.saturating_add(1)));
            (byte(value, open) == b'(' && code).then_some(Found::Likely)
        }
        FUNCTION => call(value, at, end, Found::Slight),
        STRING if has_at(value, end, b".fromcharcode") => {
            call(value, at, end.saturating_add(13), Found::Likely)
        }
        REQUEST => (byte(value, end) == b'(').then_some(Found::Likely),
        CONVERTER => converts(value, end),
        UTF7 if byte(value, end) == b'-' => utf7(value, at, context),
        ATTRIBUTE
            if byte(value, end) == b'=' && (context.quoted || matches!(before, b'"' | b'\'')) =>
        {
            Some(Found::Certain)
        }
        _ => None,
    }
}

/// `.member`, `["member"]`, `[/mem/.source]` behind an object.
fn chain(value: &[u8], at: usize, end: usize, members: &[&[u8]]) -> Option<Found> {
    let before = at.checked_sub(1).map_or(0, |at| byte(value, at));
    let mut next = skip_gap(value, end);
    if before == b'(' && byte(value, next) == b')' {
        next = skip_gap(value, next.saturating_add(1));
    }
    if has_at(value, next, b"?.") {
        let index = byte(value, next.saturating_add(2)) == b'[';
        next = next.saturating_add(if index { 2 } else { 1 });
    }
    match byte(value, next) {
        b'.' => {
            let start = skip_gap(value, next.saturating_add(1));
            // A sentence ends with a dot and a blank.
            let spaced = start > next.saturating_add(1)
                && next == end
                && byte(value, start.saturating_sub(1)) != b'/';
            let first = byte(value, start).to_ascii_lowercase();
            let member = members
                .iter()
                .find(|member| byte(member, 0) == first && has_at(value, start, member))?;
            let mut after = start.saturating_add(member.len());
            while byte(value, after).is_ascii_alphabetic() {
                after = after.saturating_add(1).min(start.saturating_add(32));
                if after == start.saturating_add(32) {
                    break;
                }
            }
            // The last part of a path.
            let named = before == b'/' && byte(value, at.saturating_sub(2)) != b'*';
            // `self.name = name`: a member of a class.
            let field = has_at(value, at, b"self")
                && member.eq_ignore_ascii_case(b"name")
                && has_at(value, after, b" = ");
            if spaced || named || field {
                return None;
            }
            used(value, at, after)
        }
        b'[' => {
            let start = skip_gap(value, next.saturating_add(1));
            let computed = matches!(
                byte(value, start),
                b'"' | b'\'' | b'`' | b'/' | b'(' | b'!' | b'~'
            ) || has_at(value, start, b"atob")
                || has_at(value, start, b"string");
            if !computed {
                return None;
            }
            let close = pair(part(value, start, 96), |a, b| {
                a == b']' && matches!(b, b'(' | b'=' | b'[' | b'`' | b'.' | b'?' | b' ' | b'/')
            });
            if members.is_empty() {
                return close.map(|_| Found::Likely);
            }
            Some(Found::Likely)
        }
        b'=' if has_at(value, at, b"location") => assigned(value, at, next),
        _ => None,
    }
}

/// Whether the member that ends at `end` is used as code uses it, not named in a sentence.
fn used(value: &[u8], start: usize, end: usize) -> Option<Found> {
    let next = skip_gap(value, end);
    let before = start.checked_sub(1).map_or(0, |at| byte(value, at));
    let follows = matches!(
        byte(value, next),
        b'=' | b'['
            | b'('
            | b')'
            | b';'
            | b','
            | b'+'
            | b'*'
            | b'}'
            | b']'
            | b'\''
            | b'"'
            | b'`'
            | b'<'
            | b'&'
            | b'|'
            | b'-'
    ) || (byte(value, next) == b'.' && is_word(byte(value, next.saturating_add(1))));
    let over = next >= value.len();
    let led = matches!(
        before,
        0 | b'='
            | b'+'
            | b'('
            | b','
            | b';'
            | b'{'
            | b'['
            | b'\''
            | b'"'
            | b'`'
            | b'-'
            | b'/'
            | b':'
    );
    (follows || (over && (led || start == 0))).then_some(Found::Likely)
}

/// A call of the function whose name is from `at` to `end`: what follows the bracket decides.
fn call(value: &[u8], at: usize, end: usize, sure: Found) -> Option<Found> {
    let before = at.checked_sub(1).map_or(0, |at| byte(value, at));
    let mut open = skip_gap(value, end);
    let mut dodged = false;
    // `(alert)(1)`, `alert?.(1)`, `alert.call(…)`.
    if matches!(byte(value, open), b'?' | b'.' | b')') {
        for dodge in [&b"?."[..], b".call", b".apply", b".bind", b")"] {
            if has_at(value, open, dodge) {
                open = skip_gap(value, open.saturating_add(dodge.len()));
                dodged = true;
            }
        }
    }
    let bracket = byte(value, open);
    if bracket == b'`' {
        if open == end && is_span(value, at, end) {
            return None;
        }
        return (open == end || dodged).then_some(Found::Certain);
    }
    // `[1].find(alert)`, `a=alert;a(1)`.
    if sure == Found::Likely && sink(value, at) == Some(end) {
        let listed = before == b'(' && matches!(byte(value, end), b')' | b',');
        let kept = before == b'=' && matches!(byte(value, end), b';' | b',' | b'}');
        let called = is_word(byte(value, at.saturating_sub(2)));
        if listed && called || kept {
            return Some(Found::Likely);
        }
    }
    if bracket != b'(' {
        return None;
    }
    let argument = skip_gap(value, open.saturating_add(1));
    if dodged && sure == Found::Likely || is_code(value, argument) {
        return Some(sure);
    }
    if sure == Found::Slight {
        return None;
    }
    // Any argument, when nothing but code is around the call.
    let led = matches!(
        before,
        0 | b';'
            | b'"'
            | b'\''
            | b'`'
            | b'}'
            | b'{'
            | b','
            | b'='
            | b'-'
            | b'+'
            | b':'
            | b'('
            | b')'
    );
    if !led {
        return None;
    }
    let close = part(value, open, 96)
        .iter()
        .position(|&byte| byte == b')')
        .map(|step| open.saturating_add(step).saturating_add(1))?;
    let after = skip_blank(value, close);
    let over = after >= value.len()
        || matches!(
            byte(value, after),
            b';' | b'-' | b'+' | b'"' | b'\'' | b'`' | b'}' | b')'
        )
        || has_at(value, after, b"//");
    over.then_some(Found::Likely)
}

/// Whether the backtick at `end` closes a span of Markdown that holds nothing but names: `` `fetch` ``, `` `--no-fetch`: ``.
fn is_span(value: &[u8], at: usize, end: usize) -> bool {
    let lead = value.get(at.saturating_sub(SPAN)..at).unwrap_or(&[]);
    let Some(open) = lead
        .iter()
        .rposition(|&byte| !(is_word(byte) || matches!(byte, b'-' | b'.' | b'/' | b'@' | b':')))
    else {
        return false;
    };
    let before = open.checked_sub(1).map_or(b' ', |at| byte(lead, at));
    let mut after = end.saturating_add(1);
    // `Function`s.
    if byte(value, after) == b's' {
        after = after.saturating_add(1);
    }
    byte(lead, open) == b'`'
        && (is_space(before) || matches!(before, b'(' | b'[' | b'*' | b'"'))
        && (after >= value.len()
            || is_space(byte(value, after))
            || matches!(
                byte(value, after),
                b'.' | b',' | b':' | b';' | b')' | b']' | b'*' | b'?'
            ))
}

/// Longest span that is looked for.
const SPAN: usize = 64;

/// Whether an argument is code: a literal, or something of the page.
fn is_code(value: &[u8], at: usize) -> bool {
    let head = byte(value, at);
    head.is_ascii_digit()
        || head >= 0x80
        || matches!(
            head,
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
                | b'~'
                | b'%'
        )
        || is_page(value, at)
}

/// Whether the word at `at` is one of a page.
fn is_page(value: &[u8], at: usize) -> bool {
    let mut key = Key::EMPTY;
    for &letter in part(value, at, LONGEST) {
        if !is_word(letter) {
            break;
        }
        key.push(letter);
    }
    ARGUMENTS.kind(key) == PAGE
}

/// `location='//…'`, `location=name`.
fn assigned(value: &[u8], at: usize, equals: usize) -> Option<Found> {
    let before = at.checked_sub(1).map_or(0, |at| byte(value, at));
    if byte(value, equals) != b'=' || byte(value, equals.saturating_add(1)) == b'=' {
        return None;
    }
    let led = matches!(
        before,
        0 | b';' | b'"' | b'\'' | b'`' | b'}' | b'{' | b',' | b'(' | b'-' | b'>' | b'/' | b':'
    );
    let mut start = skip_gap(value, equals.saturating_add(1));
    let quoted = matches!(byte(value, start), b'"' | b'\'' | b'`');
    if quoted {
        start = start.saturating_add(1);
    }
    let named = || {
        [
            &b"name"[..],
            b"document",
            b"atob",
            b"window",
            b"top",
            b"this",
            b"url",
        ]
        .iter()
        .any(|word| {
            has_at(value, start, word) && !is_word(byte(value, start.saturating_add(word.len())))
        })
    };
    let url = runs(value, start).is_some()
        || quoted && (has_at(value, start, b"http") || has_at(value, start, b"//"))
        || !quoted && named();
    (led && url).then_some(Found::Likely)
}

/// `import('//…')`: a module of another host.
fn imports(value: &[u8], end: usize) -> Option<Found> {
    let open = skip_gap(value, end);
    let quote = skip_gap(value, open.saturating_add(1));
    let start = quote.saturating_add(1);
    let quoted = matches!(byte(value, quote), b'"' | b'\'' | b'`');
    let far = has_at(value, start, b"//")
        || has_at(value, start, b"http")
        || has_at(value, start, b"data:");
    (byte(value, open) == b'(' && quoted && far).then_some(Found::Likely)
}

/// `{valueOf:alert}`: what is called by a conversion.
fn converts(value: &[u8], end: usize) -> Option<Found> {
    let next = skip_gap(value, end);
    let target = skip_gap(value, next.saturating_add(1));
    let reached = sink(value, target).is_some() || has_at(value, target, b"location");
    (matches!(byte(value, next), b':' | b'=') && reached).then_some(Found::Likely)
}

/// `.constructor(`, `.innerHTML=`, `.call` with a template, `{{…constructor…}}`.
pub(super) fn member(value: &[u8], at: usize) -> Option<Found> {
    let start = at.saturating_add(1);
    match byte(value, at) {
        b'{' => return template(value, at),
        b'[' => {
            let named = has_at(value, start, b"'constructor']")
                || has_at(value, start, b"\"constructor\"]");
            return named.then_some(Found::Likely);
        }
        _ => {}
    }
    let named = |names: &[&[u8]]| {
        names
            .iter()
            .find(|name| has_at(value, start, name))
            .map(|name| start.saturating_add(name.len()))
    };
    let set = |end: usize| {
        let next = skip_gap(value, end);
        let sign = byte(value, next);
        let set = sign == b'=' && byte(value, next.saturating_add(1)) != b'='
            || has_at(value, next, b"+=");
        set.then_some(Found::Likely)
    };
    let second = byte(value, start.saturating_add(1)) | 0x20;
    match byte(value, start) | 0x20 {
        b'c' if second == b'o' && has_at(value, start, b"constructor") => {
            match byte(value, start.saturating_add(11)) {
                b'`' => Some(Found::Certain),
                b'(' | b'.' | b'[' => Some(Found::Likely),
                _ => None,
            }
        }
        b'c' if second == b'r' => named(&[b"createcontextualfragment("]).map(|_| Found::Likely),
        b'c' => tagged(value, start),
        b'f' => named(&[b"fromcharcode("])
            .map(|_| Found::Likely)
            .or_else(|| tagged(value, start)),
        b'p' => named(&[b"parentnode."]).map(|_| Found::Likely),
        b'i' => {
            if named(&[b"insertadjacenthtml("]).is_some() {
                return Some(Found::Likely);
            }
            named(&[b"innerhtml"]).and_then(set)
        }
        b'o' => named(&[b"outerhtml"]).and_then(set),
        b't' => named(&[b"textcontent"]).and_then(set),
        b's' => named(&[b"srcdoc"]).and_then(set),
        b'a' if named(&[b"appendchild("]).is_some() => Some(Found::Likely),
        b'a' | b'b' => tagged(value, start),
        // `| 0x20` of a blank is a blank.
        b' ' | b'/' => tagged(value, skip_gap(value, start)),
        _ => None,
    }
}

/// `call`, `apply`, `bind` or `from` with a template behind it.
fn tagged(value: &[u8], start: usize) -> Option<Found> {
    let name: &[u8] = match byte(value, start) | 0x20 {
        b'c' => b"call",
        b'a' => b"apply",
        b'b' => b"bind",
        b'f' => b"from",
        _ => return None,
    };
    if !has_at(value, start, name) {
        return None;
    }
    let next = skip_gap(value, start.saturating_add(name.len()));
    (byte(value, next) == b'`').then_some(Found::Likely)
}

/// `{{…}}` that calls or reaches a constructor.
fn template(value: &[u8], at: usize) -> Option<Found> {
    if !has_at(value, at, b"{{") {
        return None;
    }
    let inside = part(value, at.saturating_add(2), 64);
    let reached =
        contains(inside, b"constructor") || contains(inside, b"$on.") || contains(inside, b"$eval");
    reached.then_some(Found::Certain)
}
