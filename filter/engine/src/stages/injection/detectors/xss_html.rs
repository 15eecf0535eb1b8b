//! Mark-up that runs or loads something: tags, attributes, style sheets, what leaves the text it was put into.
//!
//! **In:** a decoded value. **Out:** hits of class `xss`, and where mark-up is that an author of prose could quote.
//! **Invariant:** a tag is read once, from its `<` to its `>`; what a quoted attribute holds is read once more, as mark-up of its own.
//! **Source:** WHATWG HTML tokenisation (§13.2.5), foreign content (§13.2.6.5), SVG 2, CSS Syntax 3 (escapes).
//! **Cost:** two passes at most; harmless mark-up forms no hit.

use super::bytes::{byte, contains, has_at, is_space, is_word, part, rest};
use super::words::{Key, Words};
use super::xss_script::{is_handler, runs};
use super::{Class, Hits, Strength};

/// Loads or does something by itself.
const HARMFUL: u8 = 1;
/// Runs its content.
const RUNS: u8 = 2;
/// Harmless alone, a part of attacks.
const PART: u8 = 3;
const STYLE: u8 = 4;
const LINK: u8 = 5;
/// Opens another namespace.
const FOREIGN: u8 = 6;
/// Leaves another namespace again, or is read differently in it.
const BORDER: u8 = 7;
/// Its content is text.
const TEXT: u8 = 8;
/// Loads by an attribute.
const ISLAND: u8 = 9;
const META: u8 = 10;
const FORM: u8 = 11;

static TAGS: Words<128> = Words::new(&[
    (b"script", RUNS),
    (b"style", STYLE),
    (b"iframe", HARMFUL),
    (b"frame", HARMFUL),
    (b"frameset", HARMFUL),
    (b"object", HARMFUL),
    (b"embed", HARMFUL),
    (b"applet", HARMFUL),
    (b"base", HARMFUL),
    (b"meta", META),
    (b"link", LINK),
    (b"bgsound", HARMFUL),
    (b"layer", HARMFUL),
    (b"ilayer", HARMFUL),
    (b"isindex", HARMFUL),
    (b"xss", HARMFUL),
    (b"portal", HARMFUL),
    (b"fencedframe", HARMFUL),
    (b"animate", HARMFUL),
    (b"animation", HARMFUL),
    (b"handler", HARMFUL),
    (b"listener", HARMFUL),
    (b"htmlfile", HARMFUL),
    (b"import", HARMFUL),
    (b"vmlframe", HARMFUL),
    (b"namespace", HARMFUL),
    (b"stylesheet", HARMFUL),
    (b"xml", ISLAND),
    (b"include", ISLAND),
    (b"svg", FOREIGN),
    (b"math", FOREIGN),
    (b"form", FORM),
    (b"template", PART),
    (b"noscript", TEXT),
    (b"title", TEXT),
    (b"textarea", TEXT),
    (b"xmp", TEXT),
    (b"noembed", TEXT),
    (b"noframes", TEXT),
    (b"plaintext", TEXT),
    (b"mtext", BORDER),
    (b"mglyph", BORDER),
    (b"malignmark", BORDER),
    (b"annotation-xml", BORDER),
    (b"foreignobject", BORDER),
    (b"maction", BORDER),
]);

/// What was seen in the tags so far.
#[derive(Default)]
struct Seen {
    /// What follows the first style sheet follows every later one: it is read once.
    styled: bool,
    /// Inside of SVG or MathML.
    foreign: bool,
    /// An element whose content is text was opened.
    text: bool,
    /// A tag that an author of prose could quote.
    soft: Option<usize>,
}

/// Reads all mark-up; returns where some is that prose may quote.
pub(super) fn tags(value: &[u8], dashes: bool, steps: &mut u64, hits: &mut Hits) -> Option<usize> {
    let mut seen = Seen::default();
    scan(value, true, &mut seen, steps, hits);
    if dashes
        && !hits.is_decisive(Class::Xss)
        && let Some(at) = leaves(value)
    {
        hits.add(Class::Xss, Strength::Decisive, at);
    }
    seen.soft
}

fn scan(value: &[u8], outer: bool, seen: &mut Seen, steps: &mut u64, hits: &mut Hits) {
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
                let tag = Tag {
                    value,
                    open,
                    name,
                    closing,
                };
                at = tag.read(outer, seen, steps, hits);
            }
            b'!' => declaration(value, open, name, hits),
            b'?' if has_at(value, name, b"?import") => {
                hits.add(Class::Xss, Strength::Decisive, open);
            }
            b'?' if has_at(value, name, b"?xml-stylesheet") => {
                let loads = contains(part(value, name, 128), b"data:")
                    || contains(part(value, name, 128), b"text/css");
                hits.add(
                    Class::Xss,
                    if loads {
                        Strength::Decisive
                    } else {
                        Strength::Weak
                    },
                    open,
                );
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

/// `<!…`: conditional comments and declarations with entities.
fn declaration(value: &[u8], open: usize, name: usize, hits: &mut Hits) {
    if has_at(value, name, b"![cdata[") {
        hits.add(Class::Xss, Strength::Weak, open);
    }
    let subset = has_at(value, name, b"!doctype") && {
        let head = part(value, name, 128);
        let end = head
            .iter()
            .position(|&byte| byte == b'>')
            .unwrap_or(head.len());
        head.get(..end).is_some_and(|head| head.contains(&b'['))
    };
    if subset || has_at(value, name, b"!--[if") || has_at(value, name, b"!entity") {
        hits.add(Class::Xss, Strength::Decisive, open);
    }
}

/// Ends of several contexts at once: no text has them, a probe for all contexts does.
fn leaves(value: &[u8]) -> Option<usize> {
    let at = super::bytes::pair(value, |a, b| a == b'-' && b == b'-')?;
    if !contains(value, b"-->") || contains(value, b"<!--") && !contains(value, b"]]>") {
        return None;
    }
    let cdata = contains(value, b"]]>") && !contains(value, b"<![cdata[");
    let quoted = contains(value, b"'`-->") || contains(value, b"\"-->") || contains(value, b"'-->");
    let first = value.trim_ascii_start();
    let opens = has_at(first, 0, b"--><") || has_at(first, 0, b"--!><");
    (cdata && quoted || opens || quoted && contains(value, b"--><")).then_some(at)
}

/// One tag.
#[derive(Clone, Copy)]
struct Tag<'a> {
    value: &'a [u8],
    /// Its `<`.
    open: usize,
    /// First letter of its name.
    name: usize,
    closing: bool,
}

impl Tag<'_> {
    /// Reads it; returns where to go on (never before its name's end).
    fn read(self, outer: bool, seen: &mut Seen, steps: &mut u64, hits: &mut Hits) -> usize {
        let Tag { value, open, .. } = self;
        let (kind, end) = self.kind();
        let mut at = end;
        let mut attributes = 0_u8;
        let mut found = Attribute::default();
        while let Some(&head) = value.get(at) {
            let next = byte(value, at.saturating_add(1));
            if head == b'>' || (head == b'<' && next.is_ascii_alphabetic()) {
                break;
            }
            // `</x` in a tag is the name of an attribute; its slash parts it from the next.
            if is_space(head) || matches!(head, b'/' | b'"' | b'\'' | b'`' | b'=' | b'\0' | b'<') {
                at = at.saturating_add(1);
                continue;
            }
            let one = attribute(value, at, kind);
            attributes = attributes.saturating_add(1);
            found.worst = found.worst.max(one.worst);
            found.soft |= one.soft;
            found.rel |= one.rel;
            found.target |= one.target;
            // What a quoted value holds becomes mark-up where the value is taken out again.
            if outer && one.nested {
                let (from, to) = one.content;
                let content = value.get(from..to).unwrap_or(&[]);
                super::spend(steps, content.len());
                scan(content, false, seen, steps, hits);
                if hits.is_decisive(Class::Xss) {
                    return value.len();
                }
            }
            at = one.after.max(at.saturating_add(1));
        }
        if let Some(strength) = found.worst {
            hits.add(Class::Xss, strength, open);
        }
        if found.soft {
            seen.soft = seen.soft.or(Some(open));
        }
        self.weigh(kind, at, attributes, &found, seen, hits);
        at.max(end)
    }

    /// What the name says, and where it ends.
    fn kind(self) -> (u8, usize) {
        let mut key = Key::EMPTY;
        let mut end = self.name;
        let mut length = 0_u8;
        let mut prefix = 0;
        while let Some(&letter) = self.value.get(end) {
            if letter == b':' && TAGS.kind(key) == FOREIGN {
                prefix = FOREIGN;
            }
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
        (if kind == 0 { prefix } else { kind }, end)
    }

    fn weigh(
        self,
        kind: u8,
        at: usize,
        attributes: u8,
        found: &Attribute,
        seen: &mut Seen,
        hits: &mut Hits,
    ) {
        let Tag {
            value,
            open,
            closing,
            ..
        } = self;
        let mut add = |strength| hits.add(Class::Xss, strength, open);
        if closing {
            match kind {
                RUNS => add(Strength::Decisive),
                // Leaves an element that the page opened.
                TEXT | STYLE if !seen.text && !seen.styled => add(Strength::Weak),
                _ => {}
            }
            return;
        }
        if seen.foreign && matches!(kind, STYLE | BORDER | TEXT | PART | FORM) {
            add(Strength::Decisive);
        }
        match kind {
            RUNS => {
                // `<script>` in a sentence is a word; with an attribute or code behind it, it runs.
                let closed = byte(value, at) == b'>';
                let tail = rest(value, at.saturating_add(1));
                let code = tail
                    .iter()
                    .any(|byte| matches!(byte, b'(' | b'=' | b'`' | b'<' | b';' | b'{'));
                let first = value.trim_ascii_start().first() == Some(&b'<');
                let runs = attributes > 0 || !closed || code || tail.is_empty() || first;
                add(if runs {
                    Strength::Decisive
                } else {
                    Strength::Suspicious
                });
            }
            LINK if found.worst.is_none() => {
                add(Strength::Suspicious);
                if found.rel && found.target {
                    seen.soft = seen.soft.or(Some(open));
                }
            }
            HARMFUL | META => add(if attributes > 0 {
                Strength::Decisive
            } else {
                Strength::Suspicious
            }),
            ISLAND if attributes > 0 && found.target => add(Strength::Decisive),
            STYLE => self.sheet(at, attributes, seen, hits),
            FOREIGN => {
                seen.foreign = true;
                add(Strength::Suspicious);
                if attributes > 0 {
                    seen.soft = seen.soft.or(Some(open));
                }
            }
            TEXT => seen.text = true,
            PART | FORM => add(Strength::Suspicious),
            _ => {}
        }
    }

    fn sheet(self, at: usize, attributes: u8, seen: &mut Seen, hits: &mut Hits) {
        let tail = if seen.styled {
            &[]
        } else {
            rest(self.value, at)
        };
        seen.styled = true;
        let loads = [
            &b"@import"[..],
            b"expression",
            b"behavior",
            b"javascript",
            b"binding",
            b"keyframes",
        ]
        .iter()
        .any(|word| contains(tail, word));
        let strength = if loads || attributes > 0 {
            Strength::Decisive
        } else {
            Strength::Suspicious
        };
        hits.add(Class::Xss, strength, self.open);
        // Rules of its own in a value that is no page.
        let content = rest(tail, 1).trim_ascii_start();
        if tail.contains(&b'{') || matches!(byte(content, 0), b'@' | b'=') {
            seen.soft = seen.soft.or(Some(self.open));
        }
    }
}

/// One attribute.
#[derive(Default, Clone, Copy)]
struct Attribute {
    /// Position after it.
    after: usize,
    /// From and to of its value.
    content: (usize, usize),
    /// Its value holds mark-up.
    nested: bool,
    worst: Option<Strength>,
    /// A template's directive with code.
    soft: bool,
    /// `rel` that loads.
    rel: bool,
    /// Says where something is loaded from.
    target: bool,
}

/// Reads `name [= value]`.
fn attribute(value: &[u8], at: usize, tag: u8) -> Attribute {
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
    read.after = after;
    read.content = (from, to);
    read.nested = content.contains(&b'<');
    read
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
    if decisive || runs(content, start).is_some() || spelled(rest(content, start)) {
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
