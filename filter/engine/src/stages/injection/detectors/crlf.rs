//! Header splitting: line breaks that end a header, a status line, a mail header or a command of a line protocol.
//!
//! **In:** a decoded value. **Out:** hits of class `crlf`.
//! **Invariant:** a line break alone is no attack in text: what follows it, what stands before it and the place decide together.
//! **Source:** RFC 9112 §2.2 and §5 (fields and bare CR), RFC 5321 §4.1.1 (SMTP), RFC 9051 §6 (IMAP), RFC 5322 §2.2 (mail headers).
//! **Cost:** one pass over a value that has line breaks; a line is read to its 48th byte.

use super::super::places::{Places, Set};
use super::bytes::{LINE, byte, has_at, is_space, part, rest, tally};
use super::triggers::CRLF;
use super::words::{Key, Words};
use super::{Class, Hits, Place, SET_UP, Strength, View};

/// Words of headers that follow an escaped break (`\r\nSet-Cookie`), or one that a narrowing to bytes makes (U+560A, U+560D).
pub(super) const WORDS: &[&[u8]] = &[
    b"cookie",
    b"length",
    b"encoding",
    b"protection",
    b"nlocation",
    b"rlocation",
    "嘊location".as_bytes(),
    "嘍location".as_bytes(),
    "嘊嘍location".as_bytes(),
    "嘍嘊location".as_bytes(),
    "嘊嘍content".as_bytes(),
    "嘍嘊content".as_bytes(),
    "嘊嘍http".as_bytes(),
    "嘍嘊http".as_bytes(),
];

/// A header that only a message has.
const FIELD: u8 = 1;
/// A header whose name is a word of prose: what follows decides.
const LINKING: u8 = 2;
/// A header of mail.
const MAIL: u8 = 3;

static FIELDS: Words<128> = Words::new(&[
    (b"set-cookie", FIELD),
    (b"set-cookie2", FIELD),
    (b"cookie", FIELD),
    (b"content-length", FIELD),
    (b"content-type", FIELD),
    (b"content-encoding", FIELD),
    (b"content-disposition", FIELD),
    (b"content-location", FIELD),
    (b"content-security-policy", FIELD),
    (b"transfer-encoding", FIELD),
    (b"www-authenticate", FIELD),
    (b"proxy-authenticate", FIELD),
    (b"proxy-connection", FIELD),
    (b"strict-transport-security", FIELD),
    (b"cache-control", FIELD),
    (b"clear-site-data", FIELD),
    (b"last-modified", FIELD),
    (b"remote-addr", FIELD),
    (b"user-agent", FIELD),
    (b"keep-alive", FIELD),
    (b"etag", FIELD),
    (b"referrer-policy", FIELD),
    (b"authorization", FIELD),
    (b"access-control-allow-origin", FIELD),
    (b"access-control-allow-credentials", FIELD),
    (b"access-control-allow-headers", FIELD),
    (b"access-control-allow-methods", FIELD),
    (b"x-xss-protection", FIELD),
    (b"x-frame-options", FIELD),
    (b"x-content-type-options", FIELD),
    (b"x-forwarded-for", FIELD),
    (b"x-forwarded-host", FIELD),
    (b"x-forwarded-proto", FIELD),
    (b"x-original-url", FIELD),
    (b"x-rewrite-url", FIELD),
    (b"x-accel-redirect", FIELD),
    (b"x-sendfile", FIELD),
    (b"x-real-ip", FIELD),
    (b"x-powered-by", FIELD),
    (b"mime-version", FIELD),
    (b"location", LINKING),
    (b"refresh", LINKING),
    (b"link", LINKING),
    (b"host", LINKING),
    (b"referer", LINKING),
    (b"origin", LINKING),
    (b"connection", LINKING),
    (b"bcc", MAIL),
    (b"cc", MAIL),
    (b"to", MAIL),
    (b"from", MAIL),
    (b"subject", MAIL),
    (b"sender", MAIL),
    (b"reply-to", MAIL),
    (b"return-path", MAIL),
    (b"content-transfer-encoding", MAIL),
    (b"x-mailer", MAIL),
]);

/// Followed by an argument.
const COMMAND: u8 = 1;
/// Alone on its line.
const BARE: u8 = 2;
/// After a tag.
const TAGGED: u8 = 3;

static VERBS: Words<128> = Words::new(&[
    (b"ehlo", COMMAND),
    (b"helo", COMMAND),
    (b"vrfy", COMMAND),
    (b"expn", COMMAND),
    (b"slaveof", COMMAND),
    (b"replicaof", COMMAND),
    (b"quit", BARE),
    (b"data", BARE),
    (b"rset", BARE),
    (b"noop", BARE),
    (b"starttls", BARE),
    (b"flushall", BARE),
    (b"flush_all", BARE),
    (b"capability", TAGGED),
    (b"login", TAGGED),
    (b"logout", TAGGED),
    (b"authenticate", TAGGED),
    (b"select", TAGGED),
    (b"examine", TAGGED),
    (b"create", TAGGED),
    (b"delete", TAGGED),
    (b"rename", TAGGED),
    (b"subscribe", TAGGED),
    (b"unsubscribe", TAGGED),
    (b"list", TAGGED),
    (b"lsub", TAGGED),
    (b"status", TAGGED),
    (b"append", TAGGED),
    (b"check", TAGGED),
    (b"close", TAGGED),
    (b"expunge", TAGGED),
    (b"search", TAGGED),
    (b"fetch", TAGGED),
    (b"store", TAGGED),
    (b"copy", TAGGED),
    (b"uid", TAGGED),
]);

/// Longest name of a header that is read.
const NAME: usize = 40;

/// What the start of a line is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// A header of a message.
    Field,
    /// `Location:` and its like, with a URL.
    Linking,
    /// A header of mail.
    Mail,
    /// `Name:` that is not known.
    Named,
    /// `HTTP/1.1 200`.
    Status,
    /// A command with its argument.
    Command,
    /// A command alone.
    Bare,
    /// A command of POP3 or IMAP however it is written, and nothing else on the line.
    Post,
    /// `name=value`.
    Pair,
    /// Something else.
    Text,
}

/// What stands around a break.
#[derive(Clone, Copy)]
struct Around {
    place: Place,
    /// Nothing before the first break.
    opens: bool,
    /// No blank before the first break: a token, not a text.
    tight: bool,
    /// A mail address before the first break.
    address: bool,
    /// `\r` without `\n` behind it: no form makes it.
    odd: bool,
    /// An empty line came before.
    empty: bool,
    /// Written as an escape, not as a break.
    escaped: bool,
}

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let value = view.bytes;
    if view.classes & LINE == 0 && view.words & CRLF == 0 {
        return;
    }
    super::spend(steps, value.len().saturating_add(SET_UP));
    let mut breaks = Places::of(value, &BREAKS);
    let Some(first) = line_break(value, &mut breaks, 0) else {
        return;
    };
    let lead = value.get(..first).unwrap_or(&[]);
    // A referrer is a URL of another request.
    let place = if view.place == Place::Header && view.name.eq_ignore_ascii_case(b"referer") {
        Place::Query
    } else {
        view.place
    };
    let mut around = Around {
        place,
        opens: lead.is_empty() || lead == b"/",
        tight: !lead.iter().any(|&byte| is_space(byte)),
        address: lead.contains(&b'@'),
        odd: false,
        empty: false,
        escaped: false,
    };
    // `Request:`, `Hi,`: what was said before somebody's log or mail is quoted.
    let spoken = place == Place::Body && matches!(lead.last(), Some(b':' | b',' | b'.' | b'!'));
    // No parameter and no cookie has a line break in its name.
    if view.is_name
        && matches!(place, Place::Query | Place::Cookie)
        && matches!(byte(value, first), b'\r' | b'\n')
    {
        hits.add(Class::Crlf, Strength::Decisive, first);
        return;
    }
    // The rest of a request line: what stood before the value is a path.
    let line = lead.trim_ascii_end();
    let ends = [&b" HTTP/1.1"[..], b" HTTP/1.0"]
        .iter()
        .any(|end| line.ends_with(end));
    if ends && place != Place::Body && byte(value, first) != b'\\' {
        hits.add(Class::Crlf, Strength::Decisive, first);
        return;
    }
    let mut at = first;
    while let Some(start) = line_break(value, &mut breaks, at) {
        at = start;
        let mut ends = 0_u8;
        around.escaped = byte(value, at) == b'\\';
        around.odd = false;
        loop {
            let length = width(value, at);
            if length == 0 {
                break;
            }
            let here = byte(value, at);
            let next = byte(value, at.saturating_add(1));
            around.odd |= here == b'\r' && next != b'\n';
            if here != b'\r' || next != b'\n' {
                ends = ends.saturating_add(1);
            }
            at = at.saturating_add(length);
        }
        around.empty = ends >= 2;
        let line = rest(value, at);
        if let Some(strength) = weigh(around, read(line, spoken), line) {
            hits.add(Class::Crlf, strength, start);
            if strength == Strength::Decisive {
                return;
            }
        }
    }
}

/// What a line break may begin with.
static BREAKS: Set = Set::of(b"\r\n\\\xE5\xC4");

/// The first line break at or after `from`.
fn line_break(value: &[u8], breaks: &mut Places<'_>, from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(here) = breaks.from(at) {
        if width(value, here) != 0 {
            return Some(here);
        }
        at = here.saturating_add(1);
    }
    None
}

/// Length of the line break at `at`; 0: there is none.
fn width(value: &[u8], at: usize) -> usize {
    match byte(value, at) {
        b'\r' | b'\n' => 1,
        b'\\' if matches!(byte(value, at.saturating_add(1)), b'r' | b'n') => 2,
        // Lower bytes of U+560A and U+560D: what is left when characters are cut to bytes.
        0xE5 if byte(value, at.saturating_add(1)) == 0x98
            && matches!(byte(value, at.saturating_add(2)), 0x8A | 0x8D) =>
        {
            3
        }
        // The same of U+010D and U+010A, and what stays between them unseen.
        0xC4 if byte(value, at.saturating_add(1)) == 0x8D => {
            let next = at.saturating_add(2);
            let hyphen = if rest(value, next).starts_with(b"\xC2\xAD") {
                2
            } else {
                0
            };
            let last = next.saturating_add(hyphen);
            if rest(value, last).starts_with(b"\xC4\x8A") {
                last.saturating_add(2).saturating_sub(at)
            } else {
                0
            }
        }
        _ => 0,
    }
}

/// Reads the start of a line; `spoken`: what stands before it in a body may be a sentence of one word.
fn read(line: &[u8], spoken: bool) -> Line {
    if !spoken && requests(line) {
        return Line::Status;
    }
    if has_at(line, 0, b"http/") && byte(line, 5).is_ascii_digit() {
        return Line::Status;
    }
    let mut key = Key::EMPTY;
    let mut end = 0_usize;
    let mut digits = false;
    for &letter in line.iter().take(NAME) {
        if !letter.is_ascii_alphanumeric() && !matches!(letter, b'-' | b'_') {
            break;
        }
        digits |= letter.is_ascii_digit();
        key.push(letter);
        end = end.saturating_add(1);
    }
    // Lenient readers skip blanks before the colon.
    let mut next = end;
    while is_space(byte(line, next)) && next < end.saturating_add(4) {
        next = next.saturating_add(1);
    }
    let open = byte(line, next) == b':';
    let verb = VERBS.kind(key);
    if end < 2 {
        return Line::Text;
    }
    if open {
        let mut start = next.saturating_add(1);
        while matches!(byte(line, start), b' ' | b'\t') && start < next.saturating_add(6) {
            start = start.saturating_add(1);
        }
        let content = rest(line, start);
        if matches!(byte(content, 0), b'\r' | b'\n' | 0) {
            return Line::Text;
        }
        return match FIELDS.kind(key) {
            FIELD => Line::Field,
            // Who gets a copy: an address, and no list of lines has it.
            MAIL if !spoken && is_copied(line, content) => Line::Field,
            MAIL => Line::Mail,
            LINKING if links(content) => Line::Linking,
            _ if end < 3 || has_at(content, 0, b"//") => Line::Text,
            _ => Line::Named,
        };
    }
    let blank = byte(line, end) == b' ';
    let over = end == line.len() || matches!(byte(line, end), b'\r' | b'\n');
    if blank && (has_at(line, 0, b"rcpt to:") || has_at(line, 0, b"mail from:")) {
        return Line::Command;
    }
    match verb {
        COMMAND if blank && upper(line, end) => return Line::Command,
        BARE if over && upper(line, end) => return Line::Bare,
        _ => {}
    }
    if blank && digits && end <= 8 {
        let word = rest(line, end.saturating_add(1));
        let mut key = Key::EMPTY;
        let length = tally(
            word.iter()
                .take(NAME)
                .take_while(|letter| letter.is_ascii_alphabetic())
                .inspect(|letter| key.push(**letter)),
        );
        let ended = matches!(byte(word, length), b' ' | b'\r' | b'\n' | 0);
        if VERBS.kind(key) == TAGGED && ended && upper(word, length) {
            return Line::Command;
        }
        let tag = line.get(1..end).unwrap_or(&[]);
        let tagged = line.first().is_some_and(u8::is_ascii_alphabetic)
            && tag.len() >= 2
            && tag.iter().all(u8::is_ascii_digit);
        if VERBS.kind(key) == TAGGED && ended && tagged {
            return Line::Post;
        }
    }
    if blank && posts(line, end) {
        return Line::Post;
    }
    if byte(line, end) == b'=' && end < line.len() {
        return Line::Pair;
    }
    Line::Text
}

/// `GET /admin HTTP/1.1`: a request of its own.
fn requests(line: &[u8]) -> bool {
    const VERBS: [&[u8]; 9] = [
        b"GET ",
        b"POST ",
        b"PUT ",
        b"DELETE ",
        b"HEAD ",
        b"OPTIONS ",
        b"PATCH ",
        b"CONNECT ",
        b"TRACE ",
    ];
    let verb = VERBS.iter().find(|verb| line.starts_with(verb));
    let Some(verb) = verb else { return false };
    let line = part(line, verb.len(), 256);
    let target = line.iter().position(|&byte| is_space(byte));
    target.is_some_and(|end| end > 0 && rest(line, end).starts_with(b" HTTP/"))
}

/// `Bcc: x@y.example`; of the other names, only where nothing but the address is on the line.
fn is_copied(line: &[u8], content: &[u8]) -> bool {
    let content = part(content, 0, 128);
    let end = content
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n'));
    let content = content
        .get(..end.unwrap_or(content.len()))
        .unwrap_or(content);
    let copies = has_at(line, 0, b"bcc") || has_at(line, 0, b"cc");
    copies && content.contains(&b'@')
}

/// `set a 0 60 5`: memcached's storage, a name and three numbers.
fn stores(verb: &[u8], line: &[u8]) -> bool {
    let known = [&b"set"[..], b"add", b"replace", b"append", b"prepend"];
    let numbers = line
        .split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty())
        .skip(2)
        .take(3)
        .filter(|word| word.iter().all(u8::is_ascii_digit));
    known.contains(&verb) && tally(numbers) == 3
}

/// `RETR 3`, `TOP 1 2`, `APOP name digest`, `AUTH way answer`: the whole line.
fn posts(line: &[u8], end: usize) -> bool {
    let line = part(line, 0, 160);
    let length = line.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let line = line.get(..length.unwrap_or(line.len())).unwrap_or(line);
    let verb = line.get(..end).unwrap_or(line);
    if stores(verb, line) {
        return true;
    }
    let mut words = rest(line, end)
        .split(|&byte| byte == b' ')
        .filter(|word| !word.is_empty());
    let (first, second, third) = (words.next(), words.next(), words.next());
    let number = |word: Option<&[u8]>| word.is_some_and(|word| word.iter().all(u8::is_ascii_digit));
    let is = |word: &[u8]| verb.eq_ignore_ascii_case(word);
    if third.is_some() {
        return false;
    }
    let one = [&b"retr"[..], b"dele", b"list", b"uidl"]
        .into_iter()
        .any(is);
    one && number(first) && second.is_none()
        || is(b"top") && number(first) && number(second)
        || is(b"apop")
            && second.is_some_and(|word| word.len() == 32 && word.iter().all(u8::is_ascii_hexdigit))
        || is(b"auth")
            && second.is_some_and(|word| {
                word.len() >= 8
                    && word.iter().all(|byte| {
                        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
                    })
            })
}

/// Whether commands are written as their standards write them.
fn upper(line: &[u8], length: usize) -> bool {
    line.iter()
        .take(length)
        .all(|letter| !letter.is_ascii_lowercase())
}

/// A URL, a path, a number of seconds, a host.
fn links(content: &[u8]) -> bool {
    let scheme = part(content, 0, 12).iter().position(|&byte| byte == b':');
    let url = scheme.is_some_and(|colon| {
        has_at(content, colon, b"://")
            || has_at(content, 0, b"javascript")
            || has_at(content, 0, b"data")
    });
    let close = has_at(content, 0, b"close") || has_at(content, 0, b"keep-alive");
    url || close
        || matches!(byte(content, 0), b'/')
        || (byte(content, 0).is_ascii_digit() && content.iter().take(8).any(|&byte| byte == b';'))
        || has_at(content, 0, b"www.")
}

fn weigh(around: Around, line: Line, text: &[u8]) -> Option<Strength> {
    use Strength::{Decisive, Suspicious, Weak};
    let Around {
        place,
        opens,
        tight,
        address,
        odd,
        empty,
        escaped,
    } = around;
    if escaped {
        // Code and paths have `\n`: only a message's own header says that a break is meant.
        return match line {
            Line::Field if tight && place != Place::Body => Some(Decisive),
            Line::Field => Some(Weak),
            Line::Linking | Line::Status if tight && place != Place::Body => Some(Suspicious),
            _ => None,
        };
    }
    let strict = place != Place::Body;
    // Where nobody writes text.
    let bare = matches!(place, Place::Path | Place::Header | Place::Cookie);
    match line {
        Line::Field | Line::Status if strict || tight => Some(Decisive),
        Line::Linking if bare || (tight && strict) => Some(Decisive),
        Line::Mail if address && tight => Some(Decisive),
        Line::Command if strict || tight => Some(Decisive),
        Line::Bare | Line::Post if opens => Some(Decisive),
        Line::Post if strict && tight => Some(Suspicious),
        Line::Named | Line::Mail if bare && tight => Some(Decisive),
        Line::Named | Line::Mail if strict && opens => Some(Decisive),
        _ if bare && tight && empty && byte(text, 0) == b'<' => Some(Decisive),
        _ if strict && tight && odd && !opens && byte(text, 0).is_ascii_alphanumeric() => {
            Some(Decisive)
        }
        Line::Linking if strict || tight => Some(Suspicious),
        Line::Named | Line::Mail | Line::Bare if strict && tight => Some(Suspicious),
        Line::Pair if strict && tight => Some(Suspicious),
        Line::Text if place == Place::Path && byte(text, 0).is_ascii_alphanumeric() => {
            Some(Suspicious)
        }
        Line::Field | Line::Status | Line::Command => Some(Weak),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Class, Hits, Place, Strength, View, bytes};

    fn seen(place: Place, value: &str) -> Option<Strength> {
        let view = View::new(
            place,
            b"q",
            value.as_bytes(),
            bytes::classes(value.as_bytes()),
        );
        let mut hits = Hits::default();
        super::scan(&view, &mut crate::budget::MAX_STEPS.clone(), &mut hits);
        hits.get(Class::Crlf).map(|(strength, _)| strength)
    }

    const PLACES: [Place; 5] = [
        Place::Path,
        Place::Query,
        Place::Header,
        Place::Cookie,
        Place::Body,
    ];

    #[test]
    fn a_header_behind_a_token_splits_in_every_place() {
        for value in [
            "en\r\nSet-Cookie: sid=1",
            "en\nSet-Cookie: sid=1",
            "\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK",
            "en\r\n\tTransfer-Encoding : chunked\r\nContent-Length\t: 4",
            "x\r\nHTTP/1.1 200 OK\r\n",
            "me@example.com\r\nBcc: you@example.com",
            "me@example.com\nSubject: cheap",
            "\r\nRCPT TO:<a@example.com>",
            "x\r\nA7 FETCH 1 BODY[]",
            "\r\nQUIT\r\n",
            "\r\nRETR 3",
            "\nlist 4\r\n",
            "\r\nTOP 1 2",
            "\r\nAPOP bob 0123456789abcdef0123456789abcdef",
            "\r\nAUTH PLAIN AGJvYgBwdw==",
            "\r\na001 uid store 2:4",
            "x\r\nGET /a HTTP/1.1",
            "x\nBcc: a@b.example",
            "x\r\nAccess-Control-Allow-Origin: *",
            "\r\nset a 0 60 5",
        ] {
            for place in PLACES {
                assert_eq!(
                    seen(place, value),
                    Some(Strength::Decisive),
                    "{value:?} {place:?}"
                );
            }
        }
    }

    #[test]
    fn where_nobody_writes_text_any_header_splits() {
        for value in [
            "x\r\nX-Injected: 1",
            "x\r\nLocation: //example.org/",
            "x嘊嘍Set-Cookie: a=b",
            "x\\r\\nSet-Cookie: a=b",
        ] {
            for place in [Place::Path, Place::Header, Place::Cookie] {
                assert_eq!(
                    seen(place, value),
                    Some(Strength::Decisive),
                    "{value:?} {place:?}"
                );
            }
        }
        assert_eq!(
            seen(Place::Cookie, "x\r\n\r\n<html>"),
            Some(Strength::Decisive)
        );
        assert_eq!(seen(Place::Query, "x\rnext=more"), Some(Strength::Decisive));
        assert_eq!(
            seen(Place::Query, "x HTTP/1.1\r\nA: b\r\n\r\nGET /c"),
            Some(Strength::Decisive)
        );
        assert_eq!(
            seen(Place::Cookie, "first line\nsecond line\n\n<b>third</b>"),
            None
        );
        assert_eq!(
            seen(Place::Query, "\r\nX-Injected: 1"),
            Some(Strength::Decisive)
        );
        assert_eq!(
            seen(Place::Query, "x\nLocation: https://example.org/"),
            Some(Strength::Decisive)
        );
    }

    #[test]
    fn a_log_or_a_mail_that_is_quoted_is_text() {
        for (value, other) in [
            ("Hi,\ncc: anna@example.org", "x\ncc: anna@example.org"),
            ("Request:\nPOST /login HTTP/1.1", "x\nPOST /login HTTP/1.1"),
        ] {
            assert!(seen(Place::Body, value) < Some(Strength::Suspicious));
            assert_eq!(seen(Place::Body, other), Some(Strength::Decisive));
            assert_eq!(seen(Place::Query, value), Some(Strength::Decisive));
        }
    }

    #[test]
    fn text_of_many_lines_is_text() {
        for value in [
            "Anna Schmidt\r\nHauptstr. 5\r\n10115 Berlin\r\nNote: ring twice",
            "Dear all,\n\nLocation: https://meet.example.com/abc\nTime: 10:00\n\nBest\nAnna",
            "On Monday she wrote:\n> From: Bob\n> Subject: Re: lunch\n> To: Anna\n\nfine with me",
            "The server answers like this\nHTTP/1.1 200 OK\nContent-Type: text/html\n\nwhy?",
            "1. Eggs\n2. Milk\n3. Bread: two",
            "name: web\nimage: nginx\nports:\n  - 80:80",
            "first line\nsecond line\n\n<b>third</b>",
            "a\tb\tc\n1\t2\t3",
            "C:\\new\\reports: 2024",
            "Hello\nNote: I am late",
            "{\n  \"a\": 1\n}",
            "QUIT smoking\nDATA is nice",
            "\nList 3 things that you like",
            "songs\nTop 10 of the year",
            "hello there\nGET well soon",
            "hello all\ncc: the team",
            "\nset the table for 5",
            "\n2nd list of names",
        ] {
            let strength = seen(Place::Body, value);
            assert!(
                strength < Some(Strength::Suspicious),
                "{value:?} {strength:?}"
            );
            assert_ne!(
                seen(Place::Query, value),
                Some(Strength::Decisive).filter(|_| !value.contains("HTTP/1.1")),
                "{value:?}"
            );
        }
    }

    #[test]
    fn a_name_has_no_lines() {
        let value = b"x\r\n";
        let mut view = View::new(Place::Query, b"x", value, bytes::classes(value));
        view.is_name = true;
        let mut hits = Hits::default();
        super::scan(&view, &mut crate::budget::MAX_STEPS.clone(), &mut hits);
        assert!(hits.is_decisive(Class::Crlf));
        view.place = Place::Body;
        let mut hits = Hits::default();
        super::scan(&view, &mut crate::budget::MAX_STEPS.clone(), &mut hits);
        assert!(!hits.is_decisive(Class::Crlf));
    }
}
