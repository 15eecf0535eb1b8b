//! XML as its readers see it: texts and attributes with entities undone, under the path of their element.
//!
//! **In:** bytes that say or look as if they were XML. **Out:** calls of [`Inspection::value`] for every text (comments and sections cut
//! out of it, as a parser joins it), attribute, comment and instruction; what a DTD does is judged by the detector `xxe`.
//! **Invariant:** nothing is expanded: an entity of the document's own stays as it stands. Broken markup is read as leniently as
//! the most lenient parser; [`Walk::whole`] tells whether it was whole.
//! **Source:** XML 1.0 (fifth edition) §2; SOAP 1.2 for what bodies look like.
//! **Cost:** one pass, each byte once; the text of one element is copied once.

use alloc::vec::Vec;

use super::bytes::{is_space, rest, skip_space};
use super::decode;
use super::fields::find;
use super::inspection::{Encoding, Inspection, Place};

/// Elements below which names are no longer told apart; deeper is no document of a service.
pub(super) const MAX_DEPTH: usize = 256;
/// Bytes of an element's path.
const MAX_PATH: usize = 128;

/// One piece of a document.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    /// `<name`: attributes follow.
    Open(&'a [u8]),
    /// An attribute of the element that was opened last.
    Attribute(&'a [u8], &'a [u8]),
    /// `/>`, or a closing tag.
    Close,
    /// Characters, entities as written.
    Text(&'a [u8]),
    /// What a `CDATA` section holds.
    Data(&'a [u8]),
    /// What a comment or an instruction holds.
    Aside(&'a [u8]),
    /// A declaration: `<!DOCTYPE …>` with its subset.
    Declaration,
}

/// Reads pieces; the reader of broken markup, too.
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    /// Between `<name` and `>`.
    in_tag: bool,
    /// Nothing was cut off so far.
    whole: bool,
}

impl<'a> Reader<'a> {
    const fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            in_tag: false,
            whole: true,
        }
    }

    fn next(&mut self) -> Option<Piece<'a>> {
        if self.in_tag
            && let Some(piece) = self.in_tag()
        {
            return Some(piece);
        }
        let left = rest(self.text, self.at);
        let (&head, _) = left.split_first()?;
        if head != b'<' {
            let end = left.iter().position(|&byte| byte == b'<');
            return Some(Piece::Text(self.take(end.unwrap_or(left.len()))));
        }
        for (start, end, data) in [
            (&b"<!--"[..], &b"-->"[..], false),
            (b"<![CDATA[", b"]]>", true),
            (b"<?", b"?>", false),
        ] {
            if left.starts_with(start) {
                self.take(start.len());
                let inside = self.until(end);
                return Some(if data {
                    Piece::Data(inside)
                } else {
                    Piece::Aside(inside)
                });
            }
        }
        match left.get(1) {
            Some(b'!') => {
                self.declaration();
                Some(Piece::Declaration)
            }
            Some(b'/') => {
                self.until(b">");
                Some(Piece::Close)
            }
            Some(&byte) if begins_name(byte) => {
                self.take(1);
                self.in_tag = true;
                let end = rest(self.text, self.at)
                    .iter()
                    .position(|&byte| is_space(byte) || matches!(byte, b'>' | b'/' | b'<'));
                let name = self.take(end.unwrap_or(usize::MAX));
                Some(Piece::Open(name))
            }
            _ => {
                self.whole = false;
                let end = rest(left, 1).iter().position(|&byte| byte == b'<');
                let length = end.map_or(left.len(), |end| end.saturating_add(1));
                Some(Piece::Text(self.take(length)))
            }
        }
    }

    /// The next attribute, or the end of an empty element; `None` where content begins.
    fn in_tag(&mut self) -> Option<Piece<'a>> {
        loop {
            self.at = skip_space(self.text, self.at);
            let left = rest(self.text, self.at);
            match left {
                [] => {
                    self.whole = false;
                    self.in_tag = false;
                    return None;
                }
                [b'/', b'>', ..] => {
                    self.take(2);
                    self.in_tag = false;
                    return Some(Piece::Close);
                }
                [b'>', ..] => {
                    self.take(1);
                    self.in_tag = false;
                    return None;
                }
                [b'<', ..] => {
                    self.whole = false;
                    self.in_tag = false;
                    return None;
                }
                [b'/' | b'=' | b'"' | b'\'', ..] => {
                    self.whole = false;
                    self.take(1);
                }
                _ => break,
            }
        }
        let stops = |byte: &u8| is_space(*byte) || matches!(byte, b'=' | b'>' | b'/' | b'<');
        let end = rest(self.text, self.at).iter().position(stops);
        let name = self.take(end.unwrap_or(usize::MAX));
        self.at = skip_space(self.text, self.at);
        if rest(self.text, self.at).first() != Some(&b'=') {
            self.whole = false;
            return Some(Piece::Attribute(name, &[]));
        }
        self.at = skip_space(self.text, self.at.saturating_add(1));
        let value = match rest(self.text, self.at).first() {
            Some(b'"') => {
                self.take(1);
                self.until(b"\"")
            }
            Some(b'\'') => {
                self.take(1);
                self.until(b"'")
            }
            _ => {
                self.whole = false;
                let ends = |byte: &u8| is_space(*byte) || *byte == b'>';
                let end = rest(self.text, self.at).iter().position(ends);
                self.take(end.unwrap_or(usize::MAX))
            }
        };
        Some(Piece::Attribute(name, value))
    }

    /// Over `<!DOCTYPE … [ … ] >`: to the `>` outside of quotes, brackets and inner declarations.
    fn declaration(&mut self) {
        let (mut quote, mut brackets, mut inner) = (0_u8, 0_u32, 0_u32);
        let end = rest(self.text, self.at).iter().position(|&byte| {
            match byte {
                _ if quote != 0 => quote = if byte == quote { 0 } else { quote },
                b'"' | b'\'' => quote = byte,
                b'[' => brackets = brackets.saturating_add(1),
                b']' => brackets = brackets.saturating_sub(1),
                b'<' => inner = inner.saturating_add(1),
                b'>' => {
                    inner = inner.saturating_sub(1);
                    return brackets == 0 && inner == 0;
                }
                _ => {}
            }
            false
        });
        self.whole &= end.is_some();
        self.take(end.map_or(usize::MAX, |end| end.saturating_add(1)));
    }

    /// What stands before `end`; the read position is behind it then.
    fn until(&mut self, end: &[u8]) -> &'a [u8] {
        let Some(at) = find(rest(self.text, self.at), end) else {
            self.whole = false;
            return self.take(usize::MAX);
        };
        let inside = self.take(at);
        self.take(end.len());
        inside
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let left = rest(self.text, self.at);
        let taken = left.get(..length).unwrap_or(left);
        self.at = self.at.saturating_add(taken.len());
        taken
    }
}

const fn begins_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':') || byte >= 0x80
}

/// Whether `text` begins as an XML document does; a fragment of HTML that somebody wrote into a field does not.
pub(super) fn is_document(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let [b'<', second, ..] = text else {
        return false;
    };
    if *second == b'?' {
        return super::bytes::has_at(text, 2, b"xml");
    }
    if *second == b'!' {
        return super::bytes::has_at(text, 2, b"doctype")
            && !super::bytes::has_at(text, skip_space(text, 9), b"html")
            || super::bytes::has_at(text, 2, b"entity");
    }
    if !begins_name(*second) {
        return false;
    }
    // `<soap:Envelope`, `<feed xmlns=`: a name space within the first tag.
    let tag = text.get(..MAX_FIRST_TAG).unwrap_or(text);
    let end = tag.iter().position(|&byte| byte == b'>');
    let tag = tag.get(..end.unwrap_or(tag.len())).unwrap_or(tag);
    let name = tag.split(|&byte| is_space(byte)).next().unwrap_or_default();
    name.contains(&b':') || find(tag, b"xmlns").is_some()
}

/// Bytes of a first tag in which a name space is looked for.
const MAX_FIRST_TAG: usize = 512;

/// What became of a document.
pub(super) struct Walk {
    /// There was an element, every tag was closed, every quote ended.
    pub(super) whole: bool,
    /// No deeper than [`MAX_DEPTH`].
    pub(super) shallow: bool,
}

/// Bytes that a piece of a document is worth besides its own.
const PIECE: usize = 16;

/// Looks at everything in a document. `outer` is the name of the field it stands in, empty for a body.
pub(super) fn walk(
    text: &[u8],
    place: Place,
    outer: &[u8],
    inspection: &mut Inspection<'_>,
) -> Walk {
    let mut reader = Reader::new(text);
    let mut path: Vec<u8> = Vec::new();
    path.extend_from_slice(outer);
    let mut starts: Vec<usize> = Vec::new();
    let mut open = 0_usize;
    let mut shallow = true;
    let mut elements = false;
    let mut characters: Vec<u8> = Vec::new();
    let mut undone: Vec<u8> = Vec::new();
    while let Some(piece) = reader.next() {
        if inspection.is_spent() {
            break;
        }
        inspection.pay(PIECE);
        let ends_text = matches!(piece, Piece::Open(_) | Piece::Close | Piece::Declaration);
        if ends_text && !characters.is_empty() {
            inspection.value(place, &path, characters.trim_ascii(), Encoding::Plain);
            characters.clear();
        }
        match piece {
            Piece::Open(name) => {
                open = open.saturating_add(1);
                elements = true;
                shallow &= open <= MAX_DEPTH;
                if open <= MAX_DEPTH {
                    starts.push(path.len());
                    step(&mut path, b".", local(name));
                }
                inspection.name(place, &path, name, Encoding::Plain);
            }
            Piece::Attribute(name, value) => {
                let outside = path.len();
                step(&mut path, b"@", local(name));
                inspection.name(place, &path, name, Encoding::Plain);
                if decode::xml(value, &mut undone) {
                    inspection.value(place, &path, &undone, Encoding::Plain);
                } else {
                    inspection.value(place, &path, value, Encoding::Plain);
                }
                path.truncate(outside);
            }
            Piece::Close => {
                reader.whole &= open > 0;
                if open <= MAX_DEPTH {
                    path.truncate(starts.pop().unwrap_or(outer.len()));
                }
                open = open.saturating_sub(1);
            }
            Piece::Text(raw) => {
                if decode::xml(raw, &mut undone) {
                    characters.extend_from_slice(&undone);
                } else {
                    characters.extend_from_slice(raw);
                }
            }
            Piece::Data(raw) => characters.extend_from_slice(raw),
            Piece::Aside(raw) => inspection.value(place, &path, raw.trim_ascii(), Encoding::Plain),
            Piece::Declaration => {}
        }
    }
    inspection.value(place, &path, characters.trim_ascii(), Encoding::Plain);
    Walk {
        whole: reader.whole && elements && open == 0,
        shallow,
    }
}

fn step(path: &mut Vec<u8>, mark: &[u8], name: &[u8]) {
    if path.len() >= MAX_PATH {
        return;
    }
    if !path.is_empty() {
        path.extend_from_slice(mark);
    }
    path.extend_from_slice(name.get(..MAX_PATH).unwrap_or(name));
}

/// `Body` of `soap:Body`.
fn local(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::{Piece, Reader, is_document};

    fn pieces(text: &str) -> (String, bool) {
        let mut reader = Reader::new(text.as_bytes());
        let mut told = Vec::new();
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        while let Some(piece) = reader.next() {
            told.push(match piece {
                Piece::Open(name) => format!("<{}", show(name)),
                Piece::Attribute(name, value) => format!("{}={}", show(name), show(value)),
                Piece::Close => "/".into(),
                Piece::Text(text) => show(text),
                Piece::Data(text) => format!("[{}]", show(text)),
                Piece::Aside(text) => format!("({})", show(text)),
                Piece::Declaration => "!".into(),
            });
        }
        (told.join(" "), reader.whole)
    }

    #[test]
    fn documents_are_read_in_pieces() {
        const CASES: &[(&str, &str, bool)] = &[
            ("<a>b</a>", "<a b /", true),
            ("<a b='1' c=\"x>y\"/>", "<a b=1 c=x>y /", true),
            (
                "<?xml version=\"1.0\"?><s:E xmlns:s=\"u\"><s:B>t</s:B></s:E>",
                "(xml version=\"1.0\") <s:E xmlns:s=u <s:B t / /",
                true,
            ),
            ("<a><![CDATA[<b>]]></a>", "<a [<b>] /", true),
            ("<a><!-- c -->d</a>", "<a ( c ) d /", true),
            ("<!DOCTYPE a [<!ENTITY b \">\"> ]><a/>", "! <a /", true),
            ("<!DOCTYPE a [<!ENTITY b", "!", false),
            ("<a b=c d>e", "<a b=c d= e", false),
            ("<a", "<a", false),
            ("<a b=\"c", "<a b=c", false),
            ("1 < 2 <a/>", "1  < 2  <a /", false),
            ("<a <b/>", "<a <b /", false),
            ("<![CDATA[x", "[x]", false),
            ("<>", "<>", false),
            ("", "", true),
        ];
        for (text, expected, whole) in CASES {
            assert_eq!(pieces(text), ((*expected).into(), *whole), "{text}");
        }
    }

    #[test]
    fn every_cut_is_read_to_its_end() {
        let text = "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b SYSTEM \"c\">]><a x='1' y=2><b/><![CDATA[d]]>&b;<!-- e --></a>";
        for end in 0..=text.len() {
            let mut reader = Reader::new(&text.as_bytes()[..end]);
            let mut pieces = 0;
            while reader.next().is_some() {
                pieces += 1;
                assert!(pieces <= 30, "{end}");
            }
            assert_eq!(reader.at, end);
        }
    }

    #[test]
    fn documents_are_told_from_fragments_of_html() {
        for text in [
            "<?xml version='1.0'?><a/>",
            " \n<?xml?>",
            "\u{FEFF}<?xml version='1.0'?>",
            "<!DOCTYPE foo [<!ENTITY a \"b\">]>",
            "<soap:Envelope>",
            "<feed xmlns=\"http://www.w3.org/2005/Atom\">",
        ] {
            assert!(is_document(text.as_bytes()), "{text}");
        }
        for text in [
            "<p>Hello</p>",
            "<!DOCTYPE html><html>",
            "a <?xml?>",
            "<3 you",
            "<",
            "",
            "<div class=\"a\">a:b</div>",
        ] {
            assert!(!is_document(text.as_bytes()), "{text}");
        }
    }
}
