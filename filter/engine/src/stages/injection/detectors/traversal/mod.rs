//! Path traversal: climbing segments, sensitive files, stream wrappers, UNC names, NUL.
//!
//! **In:** a decoded value and whether it is the request's own path. **Out:** hits of class `traversal`.
//! **Invariant:** the value is read as segments between `/` and `\`; runs of separators and `.` segments vanish.
//! **Cost:** one pass, only when there is a separator, a NUL or a wrapper's colon.

mod drive;
mod names;
#[cfg(test)]
mod tests;

use super::bytes::{
    self, BACKSLASH, BLANK, CONTROL, DOLLAR, LINE, SLASH, WIDE, byte, contains, has_at, is_space,
    rest, skip_space, tally,
};
use super::triggers::{DOTS, PATH, WRAPPER};
use super::upload;
use super::words::Key;
use super::{Class, Hits, Place, SET_UP, Strength, View};
use drive::{drive, ends_with, machine};
use names::{
    ACCOUNTS, DOT_DIR, ETC, FILE, PROC, PROCESS, SEGMENTS, SERVED, SETTINGS, SYSTEM, SYSTEM32,
    TOOL, WINDOWS, may_be_named,
};

/// Stream wrappers whose name ends in `last`.
const fn wrappers_of(last: u8) -> &'static [&'static [u8]] {
    match last {
        b'p' => &[b"php://", b"zip://", b"php:"],
        b'e' => &[b"file://", b"file:/"],
        b'r' => &[b"phar://", b"rar://", b"jar:"],
        b't' => &[b"expect://"],
        b'a' => &[b"data://"],
        b'b' => &[b"glob://", b"compress.zlib://"],
        b'2' => &[b"compress.bzip2://"],
        b'g' => &[b"ogg://"],
        b'c' => &[b"netdoc:"],
        _ => &[],
    }
}

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let View {
        bytes: value,
        classes,
        words,
        ..
    } = *view;
    let own_path = view.place == Place::Path;
    if view.place == Place::Header {
        sent(view, hits);
    }
    if classes & (SLASH | BACKSLASH | CONTROL) == 0 {
        asked(view, hits);
        odd_climb(view, hits);
        return;
    }
    let start = skip_space(value, 0);
    let rooted = usize::from(matches!(byte(value, start), b'/' | b'\\'));
    let folder = drive(rest(value, start.saturating_add(rooted)));
    let named = (folder.is_some() && !own_path)
        || words & (PATH | WRAPPER) != 0
        || classes & (BACKSLASH | CONTROL | WIDE) != 0;
    if !named && view.marks & DOTS == 0 {
        return;
    }
    super::spend(steps, value.len().saturating_add(SET_UP));
    // Nobody's folder is above the one that a file is put into.
    if upload::is_file_name(view)
        && let Some(at) = leaves(value)
    {
        hits.add(Class::Traversal, Strength::Decisive, at);
        return;
    }
    if classes & CONTROL != 0
        && value.contains(&0)
        && classes & (BLANK | LINE) == 0
        && (classes & (SLASH | BACKSLASH) != 0 || cuts_extension(value))
        && is_text(value)
        && !is_range(value)
    {
        hits.add(
            Class::Traversal,
            Strength::Decisive,
            value.iter().position(|&byte| byte == 0).unwrap_or(0),
        );
        return;
    }
    // One token, no sentence: what a file parameter holds. A drive may hold names with blanks.
    let short = value.len() < 128 && classes & LINE == 0;
    let bare = classes & LINE == 0 && (classes & BLANK == 0 || (folder.is_some() && short));
    if bare && !own_path && folder.is_some_and(|folder| machine(folder, value)) {
        hits.add(Class::Traversal, Strength::Decisive, start);
        return;
    }
    odd_climb(view, hits);
    if hits.is_decisive(Class::Traversal) {
        return;
    }
    if words & WRAPPER != 0 {
        wrappers(value, bare, steps, hits);
    }
    if classes & BACKSLASH != 0 {
        unc(value, bare, hits);
    }
    segments(value, bare && !own_path, own_path, hits);
    if !bare && classes & LINE == 0 && !own_path && is_blanked(value) {
        hits.add(Class::Traversal, Strength::Decisive, 0);
    }
}

/// Whether the value begins with a folder of a drive.
pub(super) fn is_on_drive(value: &[u8]) -> bool {
    let rooted = usize::from(matches!(byte(value, 0), b'/' | b'\\'));
    drive(rest(value, rooted)).is_some()
}

/// Whether the value ends with the name of a file that climbs end at.
pub(super) fn is_end_of_climb(value: &[u8]) -> bool {
    let files = [
        &b"boot.ini"[..],
        b"win.ini",
        b"/passwd",
        b"0x2fpasswd",
        b"etc/shadow",
    ];
    matches!(value.last(), Some(b'i' | b'I' | b'd' | b'D' | b'w' | b'W'))
        && files.iter().any(|file| ends_with(value, file))
}

/// `\..%c0%qfboot.ini`, `..%uEFC8boot.ini`, `0x2e0x2e0x2f`: whatever stands for the separator, it climbs, or climbs to a file that is
/// nobody's topic.
pub(super) fn odd_climb(view: &View<'_>, hits: &mut Hits) {
    let value = view.bytes;
    if view.classes & (LINE | BLANK) != 0 {
        return;
    }
    let has = |texts: &[&[u8]]| texts.iter().any(|text| contains(value, text));
    let wanted = is_end_of_climb(value);
    let dots = view.marks & DOTS != 0;
    let climbs = (dots && wanted && contains(value, b".."))
        || (dots && has(&[b"..0x2f", b"..0x5c"]))
        || (wanted && contains(value, b"0x2e0x2e"))
        // A file's contents by the name of its first stream (NTFS): what a server does not run, it sends.
        || (view.classes & DOLLAR != 0 && ends_with(value, b"::$data"));
    if climbs {
        hits.add(Class::Traversal, Strength::Decisive, 0);
    }
}

/// `/usr/local/apache/logs/access. log`: an absolute path to a file that is nobody's topic, with a blank in its name that a
/// lenient reader drops.
fn is_blanked(value: &[u8]) -> bool {
    let value = value.trim_ascii();
    let value = value.strip_suffix(b"\0").unwrap_or(value);
    let Some(cut) = value.iter().rposition(|&byte| byte == b'/') else {
        return false;
    };
    let (folders, name) = value.split_at_checked(cut).unwrap_or((value, &[]));
    let name = rest(name, 1);
    let mut bare = Key::EMPTY;
    for &letter in name.iter().take(24).filter(|&&byte| !is_space(byte)) {
        bare.push(letter);
    }
    let depth = tally(folders.iter().filter(|&&byte| byte == b'/'));
    name.len() <= 20
        && depth >= 2
        && folders.len() <= 96
        && value.first() == Some(&b'/')
        && !folders.iter().any(|&byte| is_space(byte))
        && name.iter().any(|&byte| is_space(byte))
        && SEGMENTS.kind(bare) == FILE
}

/// The name of an uploaded file in a header: `X-Filename`, `X-File-Name`.
pub(super) fn sent(view: &View<'_>, hits: &mut Hits) {
    if !has_at(view.name, 0, b"x-file") {
        return;
    }
    let value = view.bytes;
    let name = value
        .rsplit(|byte| matches!(byte, b'/' | b'\\'))
        .next()
        .unwrap_or(value);
    if matches!(
        SEGMENTS.kind(key(name.trim_ascii())),
        FILE | SETTINGS | SERVED
    ) {
        hits.add(Class::Traversal, Strength::Decisive, 0);
    }
}

/// `file=wp-config.php`, `page=.env`: a file of secrets, by its name alone, where a field says that it takes a file.
pub(super) fn asked(view: &View<'_>, hits: &mut Hits) {
    const FIELDS: [&[u8]; 22] = [
        b"file",
        b"filename",
        b"filepath",
        b"path",
        b"page",
        b"include",
        b"inc",
        b"doc",
        b"document",
        b"template",
        b"tpl",
        b"view",
        b"load",
        b"read",
        b"src",
        b"source",
        b"download",
        b"dl",
        b"folder",
        b"dir",
        b"root",
        b"attachment",
    ];
    let value = view.bytes.trim_ascii();
    if view.words & PATH == 0
        || view.is_name
        || view.is_file
        || !matches!(view.place, Place::Query | Place::Cookie | Place::Body)
        || value.len() > 24
        || !may_be_named(value)
        || SEGMENTS.kind(key(value)) != FILE
    {
        return;
    }
    let name = view.name.strip_suffix(b"]").unwrap_or(view.name);
    let own = name
        .rsplit(|byte| matches!(byte, b'.' | b'[' | b'/'))
        .next()
        .unwrap_or(name);
    let named = FIELDS.iter().any(|field| field.eq_ignore_ascii_case(own));
    let hidden = value.first() == Some(&b'.');
    if named || hidden {
        let strength = if named {
            Strength::Decisive
        } else {
            Strength::Suspicious
        };
        hits.add(Class::Traversal, strength, 0);
    }
}

/// Where a segment is two dots, with more behind it.
fn leaves(value: &[u8]) -> Option<usize> {
    let mut from = 0_usize;
    for segment in value.split(|byte| matches!(byte, b'/' | b'\\')) {
        let end = from.saturating_add(segment.len());
        if segment.trim_ascii() == b".." && end < value.len() {
            return Some(from);
        }
        from = end.saturating_add(1);
    }
    None
}

/// `view.php` and a NUL: what is appended behind it is cut off; a NUL and `.jpg`: so is what a check asked for.
fn cuts_extension(value: &[u8]) -> bool {
    let mut parts = value.splitn(2, |&byte| byte == 0);
    let name = parts.next().unwrap_or(&[]);
    let tail = parts.next().unwrap_or(&[]);
    let ends = |name: &[u8]| {
        let dot = name.iter().rposition(|&byte| byte == b'.');
        dot.is_some_and(|dot| is_extension(rest(name, dot.saturating_add(1))))
    };
    let named = name.iter().any(|&byte| bytes::is_word(byte));
    named
        && (ends(name) && name.first() != Some(&b'.')
            || tail.strip_prefix(b".").is_some_and(is_extension))
}

fn is_extension(text: &[u8]) -> bool {
    (1..=5).contains(&text.len())
        && text.iter().all(u8::is_ascii_alphanumeric)
        && text.iter().any(u8::is_ascii_alphabetic)
}

/// Each NUL opens a class of a pattern: `[^\0-\x7F]`. Nobody's file ends with the bracket before it.
fn is_range(value: &[u8]) -> bool {
    let mut parts = value.split(|&byte| byte == 0);
    let mut lead = parts.next().unwrap_or(&[]);
    parts.all(|tail| {
        let opens = lead.ends_with(b"[") || lead.ends_with(b"[^");
        lead = tail;
        opens && tail.first() == Some(&b'-')
    })
}

/// Mostly printable: a NUL in binary data means nothing.
fn is_text(value: &[u8]) -> bool {
    let odd = tally(
        value
            .iter()
            .filter(|&&byte| byte < 0x20 && !is_space(byte) || byte >= 0x80),
    );
    odd.saturating_mul(4) <= value.len()
}

fn wrappers(value: &[u8], bare: bool, steps: &mut u64, hits: &mut Hits) {
    let mut next = 0_usize;
    while let Some(step) = rest(value, next).iter().position(|&byte| byte == b':') {
        let at = next.saturating_add(step);
        next = at.saturating_add(1);
        let last = at.checked_sub(1).map_or(0, |at| byte(value, at) | 0x20);
        for &wrapper in wrappers_of(last) {
            let Some(split) = wrapper.iter().position(|&byte| byte == b':') else {
                continue;
            };
            let Some(start) = at.checked_sub(split) else {
                continue;
            };
            if !has_at(value, start, wrapper) {
                continue;
            }
            let before = start.checked_sub(1).map_or(0, |at| byte(value, at));
            if bytes::is_word(before) {
                continue;
            }
            let leads =
                start == 0 || matches!(before, b'=' | b'"' | b'\'' | b'(' | b':' | b'/' | b'|');
            let plain_file =
                wrapper.starts_with(b"file") || wrapper == b"jar:" || wrapper == b"php:";
            let harmless = leads && wrapper == b"data://" && {
                super::spend(steps, MAX_DATA);
                is_plain_data(rest(value, next))
            };
            let strength = match (leads, bare, plain_file) {
                _ if harmless => Strength::Suspicious,
                (true, true, _) => Strength::Decisive,
                (true, false, false) if wrapper.ends_with(b"//") => Strength::Decisive,
                _ => Strength::Suspicious,
            };
            hits.add(Class::Traversal, strength, start);
        }
        if hits.is_decisive(Class::Traversal) {
            return;
        }
    }
}

/// Bytes of a `data:` URL that are read.
const MAX_DATA: usize = 512;

/// `text/plain;base64,…` of words alone: no program is made of them.
fn is_plain_data(content: &[u8]) -> bool {
    let content = content.get(..MAX_DATA).unwrap_or(content);
    let Some(comma) = content.iter().position(|&byte| byte == b',') else {
        return false;
    };
    let (kind, packed) = content.split_at_checked(comma).unwrap_or((content, &[]));
    let mut text = Vec::new();
    kind.ends_with(b";base64")
        && super::super::decode::base64(rest(packed, 1), &mut text)
        && text.iter().all(|&byte| {
            byte.is_ascii_alphanumeric()
                || is_space(byte)
                || matches!(byte, b'.' | b',' | b'!' | b'-')
        })
}

fn unc(value: &[u8], bare: bool, hits: &mut Hits) {
    if !bare || !value.starts_with(b"\\\\") {
        return;
    }
    let host = tally(rest(value, 2).iter().take_while(|&&byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'@' | b'%')
    }));
    if host > 0 && byte(value, host.saturating_add(2)) == b'\\' {
        hits.add(Class::Traversal, Strength::Decisive, 0);
    }
}

/// Bytes of two dots and what parsers drop around them.
const FILLED: usize = 24;

/// Whether the climb at `at` is the target of a link in Markdown: `[x](../../x.md)`, `[x]: ../../x.md`.
fn is_link(value: &[u8], at: usize) -> bool {
    let lead = value.get(..at).unwrap_or(&[]);
    lead.ends_with(b"](") || lead.ends_with(b"]: ")
}

/// What one segment is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Segment {
    Empty,
    Here,
    Up,
    Name(u8),
}

fn segments(value: &[u8], bare: bool, own_path: bool, hits: &mut Hits) {
    let mut start = 0;
    let mut ups = 0_u8;
    // Those in a row: no path leads two folders up without.
    let mut row = 0_u8;
    let mut before = 0_u8;
    let mut first_up = 0;
    let mut named = 0_u8;
    let mut climbed = false;
    // The climb is a link's, which a reader follows.
    let mut linked = false;
    let drive = value.first().is_some_and(u8::is_ascii_alphabetic)
        && byte(value, 1) == b':'
        && matches!(byte(value, 2), b'/' | b'\\');
    let absolute = matches!(value.first(), Some(b'/' | b'\\')) || drive;
    loop {
        let length = rest(value, start).iter().position(|&byte| is_end(byte));
        let end = length.map_or(value.len(), |length| start.saturating_add(length));
        let text = value.get(start..end).unwrap_or(&[]);
        let delimiter = byte(value, end);
        let separated = matches!(delimiter, b'/' | b'\\');
        match segment(text) {
            Segment::Empty | Segment::Here => {}
            Segment::Up if separated && (linked && climbed || is_link(value, start)) => {
                linked = true;
                before = 0;
                climbed = true;
            }
            Segment::Up if separated || (ups > 0 && end == value.len()) => {
                if ups == 0 {
                    first_up = start;
                }
                ups = ups.saturating_add(1);
                row = row.saturating_add(1);
                before = 0;
                climbed = true;
            }
            Segment::Up => {}
            Segment::Name(kind) => {
                row = 0;
                let decisive = match (before, kind) {
                    (_, FILE) => {
                        ups > 0
                            || climbed
                            || (bare && (named > 0 || absolute || value.starts_with(b"./")))
                            || own_path
                            || is_ini(text)
                    }
                    (ETC, ACCOUNTS) => bare || ups > 0 || is_account(text),
                    (PROC, PROCESS) => {
                        bare || ups > 0 || (own_path && named == 1 && text == b"self")
                    }
                    (PROC | ETC, _) => bare && absolute && named == 1,
                    (WINDOWS, SYSTEM32) => bare || ups > 0,
                    (WINDOWS, _) => bare && drive && named == 1,
                    (DOT_DIR, _) => true,
                    (TOOL, _) => own_path && named <= 2,
                    (_, SERVED) => ups > 0 || climbed || (own_path && named <= 2),
                    (_, SETTINGS) => {
                        ups > 0 || climbed || (bare && absolute && ends_with(text, b".php"))
                    }
                    (SYSTEM, _) => bare && absolute && named == 1 && is_wanted(value),
                    _ => climbed && matches!(kind, ETC | PROC | WINDOWS | FILE),
                };
                if decisive {
                    hits.add(Class::Traversal, Strength::Decisive, start);
                }
                before = kind;
                (climbed, linked) = (false, false);
                if !(drive && start == 0) {
                    named = named.saturating_add(1);
                }
            }
        }
        if !separated {
            before = 0;
        }
        if row >= 2 {
            hits.add(Class::Traversal, Strength::Decisive, first_up);
        }
        if end >= value.len() || hits.is_decisive(Class::Traversal) {
            break;
        }
        start = end.saturating_add(1);
    }
    if ups > 0 {
        // `..;/`: a parameter of a path that one server drops and the next climbs by.
        let split = has_at(value, first_up, b"..;/") || has_at(value, first_up, b"/..;/");
        let strength = if split {
            Strength::Decisive
        } else {
            Strength::Suspicious
        };
        hits.add(Class::Traversal, strength, first_up);
    }
}

/// `/usr/local/bin` and lists of such folders name programs; logs, settings and histories are what attackers want.
fn is_wanted(value: &[u8]) -> bool {
    !contains(value, b":/usr")
        && !contains(value, b":/bin")
        && [
            &b"log"[..],
            b"conf",
            b"history",
            b".",
            b"adm",
            b"mail",
            b"shadow",
            b"root",
            b"utmp",
            b"wtmp",
            b"spool",
            b"/www/",
            b"sess",
            b"apache",
            b"nginx",
            b"httpd",
            b"ftpd",
            b"/sys/class",
            b"/sys/kernel",
            b"/sys/devices",
            b"/sys/module",
            b"/sys/firmware",
            b"/sys/fs/",
        ]
        .iter()
        .any(|word| contains(value, word))
}

/// `/etc/passwd` and its like are no topic of prose; `/etc/hosts` is.
fn is_account(name: &[u8]) -> bool {
    [&b"passwd"[..], b"shadow", b"master.passwd", b"gshadow"]
        .iter()
        .any(|file| name.eq_ignore_ascii_case(file))
}

fn is_ini(name: &[u8]) -> bool {
    [&b"win.ini"[..], b"boot.ini"]
        .iter()
        .any(|file| name.eq_ignore_ascii_case(file))
}

const fn is_end(byte: u8) -> bool {
    matches!(
        byte,
        b'/' | b'\\'
            | b' '
            | b'\t'
            | b'\n'
            | b'\r'
            | b'"'
            | b'\''
            | b'='
            | b'<'
            | b'>'
            | b'('
            | b')'
            | b'|'
            | b','
            | b'&'
            | b'`'
            | b'\0'
            | b'{'
            | b'}'
    )
}

/// `..` with what parsers drop around it (`..;`, `.?.`, `.%00.`), `...` and longer.
fn segment(text: &[u8]) -> Segment {
    let Some(&head) = text.first() else {
        return Segment::Empty;
    };
    if head == b'.' || head == b'?' || head == b';' || head >= 0x80 {
        let dots = tally(text.iter().filter(|&&byte| byte == b'.'));
        let filler = text
            .iter()
            .all(|&byte| matches!(byte, b'.' | b';' | b'?' | b':' | b'*' | b'%') || byte >= 0x80);
        // A sentence without blanks has dots, too.
        if filler && dots >= 2 && (text.len() <= FILLED || text.is_ascii()) {
            return Segment::Up;
        }
        if filler && dots == 1 {
            return Segment::Here;
        }
    }
    Segment::Name(if may_be_named(text) {
        SEGMENTS.kind(key(text))
    } else {
        0
    })
}

/// The name of a segment, without parameters and streams.
fn key(text: &[u8]) -> Key {
    let mut key = Key::EMPTY;
    for &letter in text.iter().take(24) {
        if matches!(letter, b';' | b'?' | b'#' | b'%' | b':') {
            break;
        }
        key.push(letter);
    }
    key
}
