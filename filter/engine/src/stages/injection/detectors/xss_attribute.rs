//! Attributes: handlers, addresses that run, styles that fetch, names that hide members of the document.
//!
//! **In:** a tag's bytes and where an attribute starts. **Out:** what it does, and where its value stands.
//! **Invariant:** a name and a value are read once; what a drawing needs (`viewBox`, `fill`) is told from what is odd in it.
//! **Source:** WHATWG HTML §13.2.5.32 to 13.2.5.39 (attributes), SVG 2 (animation, `url()` in styles), CSS Syntax 3 (escapes).
//! **Cost:** a constant number of passes over the value.

use super::Strength;
use super::bytes::{
    AMP, ANGLE, BACKSLASH, CONTROL, PAREN, QUOTE, byte, classes, contains, contains_any, has_at,
    is_space, part, rest,
};
use super::words::{Key, Starts, Words};
use super::xss_html::{FOREIGN, FORM, LINK, RUNS};
use super::xss_script::{idle, is_handler, runs};

/// One attribute.
#[derive(Default, Clone, Copy)]
pub(super) struct Attribute {
    /// Position after it.
    pub(super) after: usize,
    /// From and to of its value.
    pub(super) content: (usize, usize),
    /// Its value holds mark-up.
    pub(super) nested: bool,
    pub(super) worst: Option<Strength>,
    /// A template's directive with code.
    pub(super) soft: bool,
    /// `rel` that loads.
    pub(super) rel: bool,
    /// Says where something is loaded from.
    pub(super) target: bool,
    /// No attribute of a drawing that only draws.
    pub(super) odd: bool,
    /// A style that fetches something.
    pub(super) links: bool,
    /// The tag is the last thing in the value, or a closing one and the first.
    pub(super) edge: bool,
}

/// Loads from an address.
const LOADS: u8 = 1;
/// Runs what it holds.
const RUNNER: u8 = 2;
const STYLE: u8 = 3;
/// Says what an animation sets.
const ANIMATED: u8 = 4;
/// Names a member of the document.
const NAMED: u8 = 5;
const XLINK: u8 = 6;
/// Where a form goes to; loads from an address, too.
const ACTION: u8 = 7;
const HREF: u8 = 8;
const REL: u8 = 9;
/// An address that is loaded from at once.
const SRC: u8 = 10;
/// Only draws.
const DRAWS: u8 = 11;
/// Names a member, and only draws.
const ID: u8 = 12;

static NAMES: Words<128> = Words::new(&[
    (b"srcset", LOADS),
    (b"background", LOADS),
    (b"poster", LOADS),
    (b"content", LOADS),
    (b"data", LOADS),
    (b"cite", LOADS),
    (b"srcdoc", RUNNER),
    (b"formaction", RUNNER),
    (b"datasrc", RUNNER),
    (b"dataformatas", RUNNER),
    (b"style", STYLE),
    (b"attributename", ANIMATED),
    (b"name", NAMED),
    (b"id", ID),
    (b"xlink:href", XLINK),
    (b"action", ACTION),
    (b"href", HREF),
    (b"rel", REL),
    (b"src", SRC),
    (b"viewbox", DRAWS),
    (b"width", DRAWS),
    (b"height", DRAWS),
    (b"class", DRAWS),
    (b"role", DRAWS),
    (b"focusable", DRAWS),
    (b"version", DRAWS),
    (b"x", DRAWS),
    (b"y", DRAWS),
    (b"display", DRAWS),
    (b"preserveaspectratio", DRAWS),
    (b"xml:space", DRAWS),
    (b"enable-background", DRAWS),
    (b"shape-rendering", DRAWS),
    (b"overflow", DRAWS),
]);

/// Reads `name [= value]`.
pub(super) fn attribute(value: &[u8], at: usize, tag: u8) -> Attribute {
    let mut key = Key::EMPTY;
    let mut end = at;
    for &head in rest(value, at) {
        if is_space(head) || matches!(head, b'=' | b'>' | b'/' | b'"' | b'\'' | b'<') {
            break;
        }
        key.push(head);
        end = end.saturating_add(1);
    }
    let name = value.get(at..end).unwrap_or(&[]);
    let kind = NAMES.kind(key);
    // Only what stands in a drawing's own tag can be odd in it.
    let odd = tag == FOREIGN && !draws(name, kind);
    let mut next = skip_blank(value, end);
    if byte(value, next) != b'=' {
        return Attribute {
            after: next,
            odd,
            ..Attribute::default()
        };
    }
    next = skip_blank(value, next.saturating_add(1));
    let quote = byte(value, next);
    let quoted = matches!(quote, b'"' | b'\'' | b'`');
    let (from, to, after) = if quoted {
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
    let signs = classes(content);
    let mut read = judge(name, kind, content, signs, tag);
    read.odd = odd;
    read.links = signs & PAREN != 0 && contains(content, b"url(") && !contains(content, b"url(#");
    // `<img src='//a.example/?`: takes what the page goes on with along.
    if quoted && to == value.len() && matches!(kind, LOADS | SRC | ACTION) && foreign(content) {
        read.worst = Some(Strength::Decisive);
    }
    read.after = after;
    read.content = (from, to);
    read.nested = signs & ANGLE != 0 && content.contains(&b'<');
    read
}

/// Attributes of a drawing that only draw.
fn draws(name: &[u8], kind: u8) -> bool {
    matches!(kind, DRAWS | STYLE | ID)
        || [
            &b"aria-"[..],
            b"stroke",
            b"fill",
            b"data-",
            b"xmlns",
            b"font",
        ]
        .iter()
        .any(|start| has_at(name, 0, start))
}

fn is(name: &[u8], word: &[u8]) -> bool {
    name.eq_ignore_ascii_case(word)
}

/// What an attribute of the `kind` does that holds `content`, of the classes `signs`.
fn judge(name: &[u8], kind: u8, content: &[u8], signs: u32, tag: u8) -> Attribute {
    let mut read = Attribute::default();
    let lead = name
        .iter()
        .position(|byte| byte.is_ascii_alphabetic())
        .unwrap_or(0);
    let decisive = is_handler(rest(name, lead))
        || tag == RUNS
        || match kind {
            RUNNER => true,
            STYLE => styles(content, signs),
            ANIMATED => animates(content.trim_ascii()),
            NAMED | ID => clobbers(content),
            XLINK => !matches!(byte(content.trim_ascii_start(), 0), b'#' | 0),
            ACTION => tag == FORM && foreign(content),
            HREF => tag == LINK && has_at(content.trim_ascii_start(), 0, b"data:"),
            _ => false,
        };
    let start = content
        .iter()
        .position(|&byte| byte > b' ' && byte < 0x80)
        .unwrap_or(0);
    let runs = || runs(content, start).is_some() || spelled(rest(content, start));
    if decisive || (runs() && idle(content) != Some(content.len())) {
        read.worst = Some(Strength::Decisive);
    }
    let called =
        signs & (PAREN | QUOTE) != 0 && content.iter().any(|byte| matches!(byte, b'(' | b'`'));
    read.soft = (called || has_at(name, 0, b"v-html")) && directive(name);
    read.rel = kind == REL
        && contains_any(
            content,
            &[
                &b"stylesheet"[..],
                b"import",
                b"prefetch",
                b"preload",
                b"manifest",
            ],
        );
    read.target = matches!(kind, HREF | SRC);
    read
}

/// A scheme whose first letter is written as a number: nobody writes a letter so but to hide it.
fn spelled(content: &[u8]) -> bool {
    if !has_at(content, 0, b"&#") {
        return false;
    }
    let hex = matches!(byte(content, 2), b'x' | b'X');
    let digits = rest(content, if hex { 3 } else { 2 });
    let base = if hex { 16 } else { 10 };
    let mut number = 0_u32;
    for &digit in part(digits, 0, 10) {
        let Some(digit) = char::from(digit).to_digit(base) else {
            break;
        };
        number = number.saturating_mul(base).saturating_add(digit);
    }
    matches!(number, 0x4A | 0x6A | 0x56 | 0x76)
}

/// Directives of client-side templates: what they hold is code.
fn directive(name: &[u8]) -> bool {
    [
        &b"v-"[..],
        b"@",
        b":",
        b"x-",
        b"ng-",
        b"data-ng-",
        b"hx-on",
        b"data-bind",
        b"(",
    ]
    .iter()
    .any(|start| has_at(name, 0, start) && name.len() > start.len())
}

/// Attributes that an animation may set to run something.
fn animates(content: &[u8]) -> bool {
    is(content, b"href")
        || is(content, b"xlink:href")
        || is(content, b"innerhtml")
        || is_handler(content)
}

/// Names that hide members of the document.
fn clobbers(content: &[u8]) -> bool {
    [
        &b"getelementbyid"[..],
        b"createelement",
        b"queryselector",
        b"documentelement",
        b"attributes",
        b"parentnode",
        b"nodename",
        b"innerhtml",
        b"currentscript",
        b"defaultview",
        b"ownerdocument",
        b"implementation",
        b"firstchild",
        b"childnodes",
        b"cookie",
        b"__proto__",
    ]
    .iter()
    .any(|name| is(content, name))
}

/// Another host.
fn foreign(content: &[u8]) -> bool {
    let content = content.trim_ascii_start();
    has_at(content, 0, b"//") || has_at(content, 0, b"http:") || has_at(content, 0, b"https:")
}

/// Words of a style that runs or loads code, or that two parsers read differently.
const HARMFUL: &[(&[u8], u8)] = &[
    (b"expression", 1),
    (b"behavio", 1),
    (b"javascript", 1),
    (b"-moz-binding", 1),
    (b"-o-link", 1),
    (b"@import", 1),
    (b"vbscript", 1),
    (b"data:text/html", 1),
    (b"/**/", 1),
];

/// What they begin with.
static HARMS: Starts = Starts::of(HARMFUL);

/// A style that runs, loads code, or is written so that two parsers read it differently; of the classes `signs`.
fn styles(content: &[u8], signs: u32) -> bool {
    let mut left = content;
    while let [first, after @ ..] = left {
        if HARMS.may(*first, byte(after, 0))
            && HARMFUL.iter().any(|(word, _)| has_at(left, 0, word))
        {
            return true;
        }
        left = after;
    }
    signs & BACKSLASH != 0
        && super::bytes::pair(content, |a, b| a == b'\\' && b.is_ascii_hexdigit()).is_some()
        || signs & CONTROL != 0
        || signs & AMP != 0 && ends_in_entity(content)
}

/// A control byte written as a number.
fn ends_in_entity(content: &[u8]) -> bool {
    let mut left = content;
    while let Some(at) = super::bytes::pair(left, |a, b| a == b'&' && b == b'#') {
        let digits = rest(left, at.saturating_add(2));
        let mut number = 0_u32;
        let mut length = 0_u8;
        for &digit in part(digits, 0, 8) {
            let Some(digit) = char::from(digit).to_digit(10) else {
                break;
            };
            number = number.saturating_mul(10).saturating_add(digit);
            length = length.saturating_add(1);
        }
        if length > 0 && (number < 32 || number == 127) {
            return true;
        }
        left = digits;
    }
    false
}

fn skip_blank(value: &[u8], at: usize) -> usize {
    rest(value, at)
        .iter()
        .position(|&byte| !is_space(byte) && byte != 0)
        .map_or(value.len(), |step| at.saturating_add(step))
}
