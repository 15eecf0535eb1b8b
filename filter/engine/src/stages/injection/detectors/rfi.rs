//! Remote inclusion: URLs of code where a file is meant.
//!
//! **In:** a decoded value and the name of its field. **Out:** hits of class `rfi`.
//! **Invariant:** a URL to share, to return to or to show passes; one is an inclusion by its host (an address that serves a script),
//! by its end (a `?` or NUL that cuts off what the including code appends), or by its field (a name of a file to include).
//! **Source:** PHP manual (`allow_url_include`), CWE-98.
//! **Cost:** one URL at the start of the value.

use super::super::bytes::{BLANK, LINE, byte, contains, skip_space};
use super::address::Reach;
use super::triggers::RFI;
use super::{Class, Hits, Place, Strength, View, url};

/// Words no pattern of this file can do without.
pub(super) const WORDS: &[&[u8]] = &[b"http", b"https", b"ftp", b"ftps"];

/// Endings of files that hold code, or that hold it under a false name.
const CODE: [&[u8]; 18] = [
    b".php", b".php3", b".php5", b".phtml", b".inc", b".txt", b".asp", b".aspx", b".jsp", b".jspx",
    b".pl", b".py", b".cgi", b".sh", b".ps1", b".vbs", b".hta", b".war",
];

/// Names of files that only attackers serve.
const SHELLS: [&[u8]; 8] = [
    b"shell",
    b"c99",
    b"r57",
    b"backdoor",
    b"cmd.",
    b"evil",
    b"exploit",
    b"webshell",
];

/// Names of settings that old programs took from the request.
const SETTINGS: [&[u8]; 10] = [
    b"mosconfig",
    b"absolute_path",
    b"_conf[",
    b"globals[",
    b"_server[",
    b"document_root",
    b"root_path",
    b"include_path",
    b"basepath",
    b"base_path",
];

/// Names of a file to include.
const FILES: [&[u8]; 16] = [
    b"include",
    b"inc",
    b"require",
    b"file",
    b"filename",
    b"template",
    b"tpl",
    b"module",
    b"lib",
    b"library",
    b"load",
    b"path",
    b"class",
    b"plugin",
    b"theme",
    b"layout",
];

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let value = view.bytes;
    if view.words & RFI == 0
        || view.classes & (BLANK | LINE) != 0
        || matches!(view.place, Place::Header | Place::Path)
    {
        return;
    }
    super::spend(steps, value.len());
    let at = skip_space(value, 0);
    let Some(url) = url::read(value, at).filter(|url| !url.scheme.is_empty()) else {
        return;
    };
    let ftp = url.scheme.len() >= 3
        && url
            .scheme
            .first()
            .is_some_and(|byte| byte.eq_ignore_ascii_case(&b'f'));
    if !ftp
        && !url
            .scheme
            .first()
            .is_some_and(|byte| byte.eq_ignore_ascii_case(&b'h'))
    {
        return;
    }
    let end = url
        .path
        .iter()
        .position(|byte| matches!(byte, b'?' | b'#' | 0))
        .unwrap_or(url.path.len());
    let file = url.path.get(..end).unwrap_or(url.path);
    let code = CODE.iter().any(|ending| ends_with(file, ending));
    // `…/shell.txt?`, `…/shell.txt%00`: what the program appends is cut off.
    let tail = url.path.get(end..).unwrap_or(&[]);
    let cut = matches!(
        tail,
        [b'?' | b'#'] | [b'?', b'?' | b'&' | b'#', ..] | [0, ..]
    ) || is_appended(tail);
    let command = matches!(tail, [b'?', ..])
        && [&b"?cmd="[..], b"?c=", b"?exec=", b"&cmd="]
            .iter()
            .any(|name| contains(tail.get(..128).unwrap_or(tail), name));
    let shown = file.get(file.len().saturating_sub(32)..).unwrap_or(file);
    let shell = SHELLS.iter().any(|name| contains(shown, name));
    let field = field(view.name);
    let address = url.host.address && url.host.reach == Reach::Public;
    let strength = if field == Field::Setting
        || is_appended(tail)
        || (code && (address || cut || command || (shell && field == Field::File)))
        || (field == Field::File && (cut || ftp || (code && !ends_with(file, b".txt"))))
        || (ftp && address)
    {
        Strength::Decisive
    } else if address || ftp || (code && (cut || field == Field::File)) {
        Strength::Suspicious
    } else {
        return;
    };
    hits.add(Class::Rfi, strength, at);
}

/// `?.jpg`: the ending that a check asks for, where no file name is.
fn is_appended(tail: &[u8]) -> bool {
    tail.strip_prefix(b"?.")
        .is_some_and(|end| matches!(end.len(), 2..=5) && end.iter().all(u8::is_ascii_alphanumeric))
}

/// What a field is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    /// A setting of the program's own.
    Setting,
    /// A file to include.
    File,
    Other,
}

fn field(name: &[u8]) -> Field {
    let name = name.get(..96).unwrap_or(name);
    if SETTINGS.iter().any(|part| contains(name, part)) {
        return Field::Setting;
    }
    let last = name
        .rsplit(|byte| matches!(byte, b'.' | b'[' | b'_' | b'-'))
        .next()
        .unwrap_or(name);
    let last = last.strip_suffix(b"]").unwrap_or(last);
    if FILES.iter().any(|file| last.eq_ignore_ascii_case(file)) {
        Field::File
    } else {
        Field::Other
    }
}

fn ends_with(file: &[u8], ending: &[u8]) -> bool {
    file.len().checked_sub(ending.len()).is_some_and(|split| {
        super::super::bytes::has_at(file, split, ending) && byte(file, split) == b'.'
    })
}

#[cfg(test)]
mod tests {
    use super::super::hits_of_named;
    use super::super::{Class, Place, Strength};

    fn strength(name: &str, value: &str) -> Option<Strength> {
        hits_of_named(Place::Query, name.as_bytes(), value.as_bytes())
            .into_iter()
            .find_map(|(class, strength)| (class == Class::Rfi).then_some(strength))
    }

    #[test]
    fn a_url_of_code_where_a_file_is_meant_is_an_inclusion() {
        for (name, value) in [
            ("src", "http://203.0.113.9/crash.php"),
            ("x", "https://[2001:db8::1]/gecko.php"),
            ("page", "http://a.example/x.txt?"),
            ("p", "http://a.example/c.txt?cmd=id"),
            ("file", "http://a.example/shell.txt"),
            ("mosConfig_absolute_path", "https://a.example"),
            ("_CONF[path]", "http://a.example/"),
            ("include", "ftp://a.example/pub/x"),
            ("x", "ftp://203.0.113.9"),
            ("tpl", "HTTP://a.example/y.PHP"),
            ("page", "http://a.example/x.txt\0"),
            ("page", "http://a.example/x?.jpg"),
            ("opts.template", "http://a.example/x.inc"),
        ] {
            assert_eq!(
                strength(name, value),
                Some(Strength::Decisive),
                "{name} {value}"
            );
        }
    }

    #[test]
    fn urls_to_share_and_to_return_to_pass() {
        for (name, value) in [
            ("u", "https://example.com/index.php?id=4"),
            ("url", "https://example.com/readme.txt"),
            ("return", "https://example.com/cart.aspx"),
            ("avatar", "https://cdn.example.com/a/b.png"),
            ("file", "https://cdn.example.com/report.pdf"),
            ("ref", "https://example.com/?"),
            ("ref", "https://example.com/?.x.y"),
            ("share", "https://example.com/a?utm_source=x"),
            ("profile", "https://example.com/users/7"),
            ("q", "ftp://ftp.example.org/ has it"),
            ("callback", "https://hooks.example.com/t/1"),
            ("camera", "http://203.0.113.7:8080/cam.jpg"),
        ] {
            assert!(
                strength(name, value).is_none_or(|found| found < Strength::Decisive),
                "{name} {value}"
            );
        }
    }
}
