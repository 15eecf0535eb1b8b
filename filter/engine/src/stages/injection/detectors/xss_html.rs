//! Mark-up that runs or loads something: tags, attributes, style sheets, what leaves the text it was put into.
//!
//! **In:** a decoded value. **Out:** hits of class `xss`, and where mark-up is that an author of prose could quote.
//! **Invariant:** a tag is read once, from its `<` to its `>`; what a quoted attribute holds is read once more, as mark-up of its own.
//! **Source:** WHATWG HTML tokenisation (§13.2.5), foreign content (§13.2.6.5), SVG 2, CSS Syntax 3 (escapes).
//! **Cost:** two passes at most; harmless mark-up forms no hit.

use super::super::places::{Places, Set};
use super::bytes::{byte, contains, contains_any, has_at, is_space, is_word, part, rest};
use super::words::{Key, Words};
use super::xss_attribute::{Attribute, attribute};
use super::{Class, Hits, SET_UP, Strength};

/// Loads or does something by itself.
const HARMFUL: u8 = 1;
/// Runs its content.
pub(super) const RUNS: u8 = 2;
/// Harmless alone, a part of attacks.
const PART: u8 = 3;
const STYLE: u8 = 4;
pub(super) const LINK: u8 = 5;
/// Opens another namespace.
pub(super) const FOREIGN: u8 = 6;
/// Leaves another namespace again, or is read differently in it.
const BORDER: u8 = 7;
/// Its content is text.
const TEXT: u8 = 8;
/// Loads by an attribute.
const ISLAND: u8 = 9;
const META: u8 = 10;
pub(super) const FORM: u8 = 11;

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

/// Letters of a tag's name that are read.
const LONGEST: u8 = 24;

/// What was seen in the tags so far.
#[derive(Default)]
struct Seen {
    /// What follows the first style sheet follows every later one: it is read once.
    styled: bool,
    /// Inside of SVG or MathML.
    foreign: bool,
    /// An element whose content is text was opened.
    text: bool,
    /// First byte of the value that is no blank, and the end behind the last.
    first: usize,
    last: usize,
    /// A tag that an author of prose could quote.
    soft: Option<usize>,
}

/// Reads all mark-up; returns where some is that prose may quote.
pub(super) fn tags(value: &[u8], dashes: bool, steps: &mut u64, hits: &mut Hits) -> Option<usize> {
    let mut seen = Seen {
        first: super::bytes::skip_space(value, 0),
        last: value.trim_ascii_end().len(),
        ..Seen::default()
    };
    scan(value, true, &mut seen, steps, hits);
    if dashes && !hits.is_decisive(Class::Xss) {
        super::spend(steps, value.len().saturating_mul(5).saturating_add(SET_UP));
        if let Some(at) = leaves(value) {
            hits.add(Class::Xss, Strength::Decisive, at);
        }
    }
    seen.soft
}

fn scan(value: &[u8], outer: bool, seen: &mut Seen, steps: &mut u64, hits: &mut Hits) {
    static OPEN: Set = Set::of(b"<");
    let mut opens = Places::of(value, &OPEN);
    let mut at = 0;
    while let Some(open) = opens.from(at) {
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
        if hits.is_decisive(Class::Xss) || *steps == 0 {
            return;
        }
        super::spend(steps, at.saturating_sub(open).saturating_add(8));
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
    if subset
        || (has_at(value, name, b"!--[if") && !is_of_office(value, name))
        || has_at(value, name, b"!entity")
        || is_comment(value, open)
        || (has_at(value, name, b"!doctype") && follows_tag(value, open))
    {
        hits.add(Class::Xss, Strength::Decisive, open);
    }
}

/// `<!--[if gte mso 9]>`: a condition that is never true but in Office's own programs; `!mso` is true elsewhere.
fn is_of_office(value: &[u8], name: usize) -> bool {
    let condition = part(value, name.saturating_add(6), 24);
    let end = condition.iter().position(|&byte| byte == b']');
    let condition = end.and_then(|end| condition.get(..end)).unwrap_or(&[]);
    let condition = condition.trim_ascii();
    let condition = [&b"gte "[..], b"gt ", b"lte ", b"lt "]
        .iter()
        .find_map(|order| condition.strip_prefix(*order))
        .unwrap_or(condition);
    condition.strip_prefix(b"mso").is_some_and(|version| {
        version
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b' ')
    })
}

/// Nothing but a comment, or an open tag and a comment: no reader would see it. Block editors' own comments name a block or a
/// mark.
fn is_comment(value: &[u8], open: usize) -> bool {
    if open > COMMENT || value.len().saturating_sub(open) > COMMENT {
        return false;
    }
    let lead = value.get(..open).unwrap_or(&[]);
    if !lead.trim_ascii().is_empty() && !follows_tag(value, open) {
        return false;
    }
    let whole = rest(value, open).trim_ascii_end();
    let text = whole
        .strip_prefix(b"<!--")
        .and_then(|rest| rest.strip_suffix(b"-->"));
    text.is_some_and(|text| {
        text.first() == Some(&b' ')
            // `<!-- plain words -->` says nothing to a browser, and no probe is made of words alone.
            && !text.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b' ')
            && !contains(text, b"wp:")
            && !contains(text, b"{")
            // Tools' own: `<!-- YAML\nadded: v1 -->`, `<!-- source_link=a.js -->`, `<!-- eslint-disable x -->`.
            && !text.iter().any(|byte| matches!(byte, b':' | b'=' | b'\n'))
            && !contains(text, b"lint")
            && !contains(text, b"-->")
    })
}

/// One tag and nothing else stands before.
fn follows_tag(value: &[u8], open: usize) -> bool {
    let lead = part(value, 0, COMMENT);
    let lead = lead.get(..open).unwrap_or(&[]).trim_ascii();
    lead.first() == Some(&b'<')
        && byte(lead, 1).is_ascii_alphabetic()
        && lead.iter().position(|&byte| byte == b'>') == lead.len().checked_sub(1)
}

/// Bytes of a comment that is a whole value.
const COMMENT: usize = 128;

/// Ends of several contexts at once: no text has them, a probe for all contexts does.
fn leaves(value: &[u8]) -> Option<usize> {
    let at = super::bytes::pair(value, |a, b| a == b'-' && b == b'-')?;
    // The end of a comment that the page opened.
    let whole = value.trim_ascii();
    if whole.starts_with(b"--><")
        || whole.starts_with(b"--!><")
        || matches!(whole, b"-->" | b"--!>")
    {
        return Some(at);
    }
    if !contains(value, b"-->") || contains(value, b"<!--") && !contains(value, b"]]>") {
        return None;
    }
    let cdata = contains(value, b"]]>") && !contains(value, b"<![cdata[");
    let quoted = contains(value, b"'`-->") || contains(value, b"\"-->") || contains(value, b"'-->");
    (quoted && (cdata || contains(value, b"--><"))).then_some(at)
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
            found.odd |= one.odd;
            found.links |= one.links;
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
        let leads = self.closing && seen.first == open;
        found.edge = outer && (leads || at.saturating_add(1) >= seen.last);
        self.weigh(kind, at, attributes, &found, seen, hits);
        at.max(end)
    }

    /// What the name says, and where it ends.
    fn kind(self) -> (u8, usize) {
        let mut key = Key::EMPTY;
        let mut end = self.name;
        let mut length = 0_u8;
        let mut prefix = 0;
        for &letter in rest(self.value, self.name) {
            match letter {
                // A prefix (`svg:script`) does not change what a tag does.
                b':' | b'_' => {
                    if letter == b':' && TAGS.kind(key) == FOREIGN {
                        prefix = FOREIGN;
                    }
                    key = Key::EMPTY;
                    length = length.saturating_add(1);
                }
                // NUL inside a name was dropped by old browsers.
                0 => {}
                _ if is_word(letter) || letter == b'-' => {
                    if length < LONGEST {
                        key.push(letter);
                        length = length.saturating_add(1);
                    }
                }
                _ => break,
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
                TEXT | STYLE | FOREIGN | FORM | HARMFUL if found.edge && seen.first == open => {
                    seen.soft = seen.soft.or(Some(open));
                }
                TEXT | STYLE if !seen.text && !seen.styled => add(Strength::Weak),
                _ => {}
            }
            return;
        }
        // `<div><svg>`: what the page goes on with is read by other rules.
        let opens = match kind {
            FOREIGN => true,
            STYLE => attributes == 0,
            _ => kind == TEXT && has_at(value, self.name, b"plaintext"),
        };
        let empty = at.checked_sub(1).is_some_and(|at| byte(value, at) == b'/');
        if found.edge && opens && !empty && (attributes > 0 || is_markup(value)) {
            seen.soft = seen.soft.or(Some(open));
        }
        if seen.foreign && found.links {
            seen.soft = seen.soft.or(Some(open));
        }
        // A picture has a title.
        let titled = has_at(value, self.name, b"title");
        // A form that the page goes on to fill.
        let ends = at.saturating_add(1) >= value.len() && open <= COMMENT;
        if ends && attributes > 0 && has_at(value, self.name, b"form") && follows_tag(value, open) {
            add(Strength::Decisive);
        }
        if seen.foreign && !titled && matches!(kind, STYLE | BORDER | TEXT | PART | FORM) {
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
                let head = value.trim_ascii_start();
                let first = head.first() == Some(&b'<')
                    // Behind what it closes.
                    || matches!(head, [b'"' | b'\'', b'>', b'<', ..]);
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
                let prefixed = part(value, self.name, 6).contains(&b':');
                if attributes > 0 && (found.odd || prefixed) {
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
        let loads = contains_any(
            tail,
            &[
                &b"@import"[..],
                b"expression",
                b"behavior",
                b"javascript",
                b"binding",
                b"keyframes",
            ],
        );
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

/// Whether the value is tags with hardly a word between them.
fn is_markup(value: &[u8]) -> bool {
    let mut tag = false;
    let value = value.trim_ascii();
    byte(value, 0) == b'<'
        && !value.iter().any(|&byte| {
            tag = match byte {
                b'<' => true,
                b'>' => false,
                _ => tag,
            };
            !tag && is_space(byte)
        })
}
