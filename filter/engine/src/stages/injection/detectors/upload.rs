//! Names of files that a server would run.
//!
//! **In:** the name of a file that somebody sends. **Out:** where its telling extension is.
//! **Invariant:** only names of files are looked at: in a multipart part, or in the header with which uploaders send one.
//! **Source:** the extensions that Apache, nginx, IIS and Tomcat hand to an interpreter in their shipped configurations; what Windows
//! and PHP drop from the end of a name.
//! **Cost:** the last 64 bytes of the name.

use super::bytes::{byte, has_at, rest};
use super::{Place, View};

/// Whether the value names a file that somebody sends.
pub(super) fn is_file_name(view: &View<'_>) -> bool {
    view.is_file || (view.place == Place::Header && !view.is_name && is_file_header(view.name))
}

/// `X-Filename`, `X_File-Name` and their like.
fn is_file_header(name: &[u8]) -> bool {
    let letters = name.iter().filter(|byte| byte.is_ascii_alphabetic());
    letters
        .map(u8::to_ascii_lowercase)
        .eq(b"xfilename".iter().copied())
}

/// The name without its folders, and without what file systems drop at its end.
fn base(name: &[u8]) -> (usize, &[u8]) {
    let start = name
        .iter()
        .rposition(|byte| matches!(byte, b'/' | b'\\'))
        .map_or(0, |at| at.saturating_add(1));
    let text = rest(name, start);
    let text = text
        .iter()
        .position(|byte| matches!(byte, 0 | b';' | b':' | b'\r' | b'\n'))
        .and_then(|end| text.get(..end))
        .unwrap_or(text);
    let end = text
        .iter()
        .rposition(|byte| !matches!(byte, b'.' | b' ' | b'"' | b'\'' | b'\t'))
        .map_or(0, |at| at.saturating_add(1));
    (start, text.get(..end).unwrap_or(text))
}

/// Where a name says PHP, or chooses what PHP runs.
pub(super) fn php(name: &[u8]) -> Option<usize> {
    let (start, text) = base(name);
    if [&b".htaccess"[..], b".user.ini"]
        .iter()
        .any(|file| text.eq_ignore_ascii_case(file))
    {
        return Some(start);
    }
    if is_session(text) {
        return Some(start);
    }
    extension(text, false).map(|at| start.saturating_add(at))
}

/// Where a name says Java or .NET pages.
pub(super) fn pages(name: &[u8]) -> Option<usize> {
    let (start, text) = base(name);
    extension(text, true).map(|at| start.saturating_add(at))
}

/// The place of the last extension, or of the one before a picture's, when a server runs it: as a page of Java
/// or .NET, or as PHP.
fn extension(text: &[u8], pages: bool) -> Option<usize> {
    let wanted = |name: &[u8]| if pages { is_page(name) } else { is_php(name) };
    let from = text.len().saturating_sub(64);
    let tail = rest(text, from);
    let last = tail.iter().rposition(|&byte| byte == b'.')?;
    let name = rest(tail, last.saturating_add(1)).trim_ascii();
    if wanted(name) {
        return Some(from.saturating_add(last));
    }
    let picture = [
        &b"jpg"[..],
        b"jpeg",
        b"png",
        b"gif",
        b"webp",
        b"bmp",
        b"svg",
        b"ico",
    ]
    .iter()
    .any(|picture| name.eq_ignore_ascii_case(picture));
    let before = tail.get(..last)?;
    let inner = before.iter().rposition(|&byte| byte == b'.')?;
    let name = rest(before, inner.saturating_add(1)).trim_ascii();
    (picture && wanted(name)).then_some(from.saturating_add(inner))
}

fn is_php(name: &[u8]) -> bool {
    if [
        &b"phtml"[..],
        b"phtm",
        b"phar",
        b"phps",
        b"pht",
        b"phpt",
        b"pgif",
        b"inc.php",
    ]
    .iter()
    .any(|extension| name.eq_ignore_ascii_case(extension))
    {
        return true;
    }
    has_at(name, 0, b"php") && rest(name, 3).iter().all(u8::is_ascii_digit)
}

fn is_page(name: &[u8]) -> bool {
    [
        &b"jsp"[..],
        b"jspx",
        b"jspf",
        b"jspa",
        b"jsw",
        b"jsv",
        b"jtml",
        b"asp",
        b"aspx",
        b"asa",
        b"asax",
        b"ascx",
        b"ashx",
        b"asmx",
        b"cshtml",
        b"vbhtml",
        b"soap",
        b"cfm",
        b"cfml",
        b"cfc",
    ]
    .iter()
    .any(|extension| name.eq_ignore_ascii_case(extension))
}

/// A file of PHP's sessions: its name is the session's.
fn is_session(text: &[u8]) -> bool {
    has_at(text, 0, b"sess_")
        && text.len() >= 25
        && rest(text, 5)
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b',' | b'-'))
        && byte(text, 5) != 0
}

#[cfg(test)]
mod tests {
    use super::{pages, php};

    #[test]
    fn what_a_server_runs_is_told_from_what_it_serves() {
        for name in [
            "a.php",
            "A.PHP5",
            "a.phtml",
            "a.php....",
            "a.php ",
            "a. php",
            "dir/a.phar",
            "C:\\x\\a.pht",
            "a.php.jpg",
            "a.php\0.jpg",
            "a.php;.jpg",
            "a.php::$DATA",
            ".htaccess",
            ".user.ini",
            "/tmp/sess_0123456789abcdefghij",
        ] {
            assert!(php(name.as_bytes()).is_some(), "{name}");
        }
        for name in [
            "a.txt",
            "php.txt",
            "a.phpinfo",
            "photo.jpg",
            "sess_short",
            "session_report.txt",
            "index.php.bak.txt",
            "",
            ".",
            "...",
        ] {
            assert!(php(name.as_bytes()).is_none(), "{name}");
            assert!(pages(name.as_bytes()).is_none(), "{name}");
        }
        for name in [
            "a.jsp",
            "B.JSPX.",
            "x. jspx",
            "shell.aspx",
            "a.asp;.jpg",
            "a.jsp.png",
        ] {
            assert!(pages(name.as_bytes()).is_some(), "{name}");
        }
    }
}
