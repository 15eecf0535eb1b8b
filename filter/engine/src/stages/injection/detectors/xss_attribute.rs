//! Attributes: handlers, addresses that run, styles that fetch, names that hide members of the document.
//!
//! **In:** a tag's bytes and where an attribute starts. **Out:** what it does, and where its value stands.
//! **Invariant:** a name and a value are read once; what a drawing needs (`viewBox`, `fill`) is told from what is odd in it.
//! **Source:** WHATWG HTML §13.2.5.32 to 13.2.5.39 (attributes), SVG 2 (animation, `url()` in styles), CSS Syntax 3 (escapes).
//! **Cost:** a constant number of passes over the value.

use super::Strength;
use super::bytes::{byte, contains, has_at, is_space, part, rest};
use super::xss_html::{FORM, LINK, RUNS};
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

/// Reads `name [= value]`.
pub(super) fn attribute(value: &[u8], at: usize, tag: u8) -> Attribute {
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
        return Attribute {
            after: end,
            odd: !draws(name),
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
    let mut read = judge(name, content, tag);
    read.odd = !draws(name);
    read.links = contains(content, b"url(") && !contains(content, b"url(#");
    // `<img src='//a.example/?`: takes what the page goes on with along.
    if quoted && to == value.len() && loads(name) && foreign(content) {
        read.worst = Some(Strength::Decisive);
    }
    read.after = after;
    read.content = (from, to);
    read.nested = content.contains(&b'<');
    read
}

/// Attributes that load from an address.
fn loads(name: &[u8]) -> bool {
    [
        &b"src"[..],
        b"srcset",
        b"action",
        b"background",
        b"poster",
        b"content",
        b"data",
        b"cite",
    ]
    .iter()
    .any(|load| is(name, load))
}

/// Attributes of a drawing that only draw.
fn draws(name: &[u8]) -> bool {
    [
        &b"aria-"[..],
        b"stroke",
        b"fill",
        b"data-",
        b"xmlns",
        b"font",
    ]
    .iter()
    .any(|start| has_at(name, 0, start))
        || [
            &b"viewbox"[..],
            b"width",
            b"height",
            b"class",
            b"id",
            b"role",
            b"focusable",
            b"version",
            b"x",
            b"y",
            b"style",
            b"display",
            b"preserveaspectratio",
            b"xml:space",
            b"enable-background",
            b"shape-rendering",
            b"overflow",
        ]
        .iter()
        .any(|word| is(name, word))
}

fn is(name: &[u8], word: &[u8]) -> bool {
    name.eq_ignore_ascii_case(word)
}

/// What an attribute does.
fn judge(name: &[u8], content: &[u8], tag: u8) -> Attribute {
    let mut read = Attribute::default();
    let lead = name
        .iter()
        .position(|byte| byte.is_ascii_alphabetic())
        .unwrap_or(0);
    let bare = rest(name, lead);
    let decisive = is_handler(bare)
        || tag == RUNS
        || is(name, b"srcdoc")
        || is(name, b"formaction")
        || is(name, b"datasrc")
        || is(name, b"dataformatas")
        || (is(name, b"style") && styles(content))
        || (is(name, b"attributename") && animates(content.trim_ascii()))
        || ((is(name, b"name") || is(name, b"id")) && clobbers(content))
        || (is(name, b"xlink:href") && !matches!(byte(content.trim_ascii_start(), 0), b'#' | 0))
        || (is(name, b"action") && tag == FORM && foreign(content))
        || (tag == LINK && is(name, b"href") && has_at(content.trim_ascii_start(), 0, b"data:"));
    let start = content
        .iter()
        .position(|&byte| byte > b' ' && byte < 0x80)
        .unwrap_or(0);
    let nowhere = idle(content) == Some(content.len());
    if decisive
        || (runs(content, start).is_some() && !nowhere)
        || (spelled(rest(content, start)) && !nowhere)
    {
        read.worst = Some(Strength::Decisive);
    }
    read.soft = directive(name)
        && (content.iter().any(|byte| matches!(byte, b'(' | b'`')) || has_at(name, 0, b"v-html"));
    read.rel = is(name, b"rel")
        && [
            &b"stylesheet"[..],
            b"import",
            b"prefetch",
            b"preload",
            b"manifest",
        ]
        .iter()
        .any(|word| contains(content, word));
    read.target = is(name, b"href") || is(name, b"src");
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

/// A style that runs, loads code, or is written so that two parsers read it differently.
fn styles(content: &[u8]) -> bool {
    let harmful = [
        &b"expression"[..],
        b"behavio",
        b"javascript",
        b"-moz-binding",
        b"-o-link",
        b"@import",
        b"vbscript",
        b"data:text/html",
        b"/**/",
    ]
    .iter()
    .any(|word| contains(content, word));
    let hidden = super::bytes::pair(content, |a, b| a == b'\\' && b.is_ascii_hexdigit()).is_some();
    let control = content
        .iter()
        .any(|&byte| (byte < b' ' && !is_space(byte)) || byte == 0x7F);
    harmful || hidden || control || ends_in_entity(content)
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
