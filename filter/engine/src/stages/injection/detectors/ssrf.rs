//! Request forgery: URLs that lead inside, in every spelling, and schemes that only forgers use.
//!
//! **In:** a decoded value and the name of its field. **Out:** hits of class `ssrf`.
//! **Invariant:** a URL that a browser follows (a redirect, a page an analytics script reports) may lead to a developer's own machine;
//! a metadata service, a hidden address or a scheme of old protocols may not.
//! **Source:** RFC 6890 (addresses), the clouds' metadata manuals, the schemes of libcurl, Java and Python.
//! **Cost:** looks at the start of the value and at no more than [`LINKS`] URLs in it.

use super::super::bytes::{
    BLANK, LINE, QUOTE, SLASH, byte, contains, has_at, is_space, is_word, next, rest, skip_space,
    upto,
};
use super::super::fields::find;
use super::address::{self, Reach};
use super::triggers::{AT, HOST, LINK, SSRF, WEB};
use super::url::{self, Url};
use super::{Class, Hits, Place, Strength, View};

/// Words no pattern of this file can do without.
pub(super) const WORDS: &[&[u8]] = &[
    b"ftp",
    b"ftps",
    b"gopher",
    b"gophers",
    b"rmi",
    b"iiop",
    b"dict",
    b"tftp",
    b"ldap",
    b"ldaps",
    b"sftp",
    b"ssh",
    b"smb",
    b"telnet",
    b"imap",
    b"imaps",
    b"pop3",
    b"pop3s",
    b"smtp",
    b"smtps",
    b"rsync",
    b"rtmp",
    b"rtsp",
    b"irc",
    b"xri",
    b"acap",
    b"local_file",
    b"localhost",
    b"localhost4",
    b"localhost6",
    b"localdomain",
    b"loopback",
    b"internal",
    b"localtest",
    b"lvh",
    b"nip",
    b"sslip",
    b"cluster",
    b"data",
    b"ws",
    b"wss",
];

/// The same, where honest values have them, too.
pub(super) const WEB_WORDS: &[&[u8]] = &[b"http", b"https", b"url"];

/// URLs in one value that are looked at.
const LINKS: usize = 16;

/// Schemes that no honest form sends.
const FORGED: [&[u8]; 10] = [
    b"rmi",
    b"iiop",
    b"gopher",
    b"gophers",
    b"dict",
    b"tftp",
    b"netdoc",
    b"local_file",
    b"acap",
    b"xri",
];

/// Schemes of other protocols: to an inner host, they forge.
const PROTOCOLS: [&[u8]; 16] = [
    b"ftp", b"ftps", b"ldap", b"ldaps", b"sftp", b"smb", b"telnet", b"imap", b"imaps", b"pop3",
    b"pop3s", b"smtp", b"smtps", b"rsync", b"rtmp", b"irc",
];

/// Schemes whose honest URLs name machines of the own network: clones, cameras.
const LOCAL: [&[u8]; 4] = [b"ssh", b"svn", b"scp", b"rtsp"];

const SITES: [&[u8]; 5] = [b"http", b"https", b"ws", b"wss", b"url"];

/// Ports of services that speak no HTTP to browsers, or that command machines.
const SERVICES: [u32; 22] = [
    21, 22, 23, 25, 53, 110, 111, 135, 139, 143, 389, 445, 1433, 2375, 2379, 3306, 3389, 5432,
    6379, 10250, 11211, 27017,
];

/// Scans one value.
pub(super) fn scan(view: &View<'_>, steps: &mut u64, hits: &mut Hits) {
    let value = view.bytes;
    let relative = view.classes & SLASH != 0 && value.starts_with(b"//");
    if view.words & (SSRF | WEB) == 0 && !relative {
        return;
    }
    super::spend(steps, value.len());
    let bare = view.classes & (BLANK | LINE) == 0;
    let mut at = skip_space(value, 0);
    if view.classes & QUOTE != 0 && matches!(byte(value, at), b'"' | b'\'') {
        at = at.saturating_add(1);
    }
    for prefix in [&b"url:"[..], b"url="] {
        if has_at(value, at, prefix) {
            at = at.saturating_add(prefix.len());
        }
    }
    if view.place != Place::Path || relative {
        let found = match url::read(value, at) {
            _ if is_data(view, at, bare) => Some(Strength::Decisive),
            Some(url) => first(view, &url, bare),
            None if bare => nameless(view, rest(value, at)),
            None => None,
        };
        if let Some(strength) = found {
            hits.add(Class::Ssrf, strength, at);
        }
    }
    links(view, at, bare, hits);
}

/// Whether [`scan`] can find nothing, because every URL in the value is of the web and leads to a plain name that is none of `address`'s.
pub(super) fn leads_out(view: &View<'_>) -> bool {
    let value = view.bytes;
    if view.words & (SSRF | HOST) != 0 || view.marks & (AT | LINK) != 0 || has_at(value, 0, b"url")
    {
        return false;
    }
    let mut from = 0_usize;
    while let Some(colon) = next(value, from, |byte| byte == b':') {
        from = colon.saturating_add(1);
        let after = rest(value, from);
        if after.starts_with(b"//") {
            let lead = value.get(..colon).unwrap_or(&[]);
            let whole = [&b"https"[..], b"http"].iter().any(|scheme| {
                let start = lead.len().checked_sub(scheme.len());
                start.is_some_and(|start| {
                    has_at(lead, start, scheme)
                        && (start == 0 || !is_word(byte(lead, start.saturating_sub(1))))
                })
            });
            if !whole || !is_plain_host(rest(after, 2)) {
                return false;
            }
        } else if colon < url::SCHEME {
            return false;
        }
    }
    true
}

/// Whether `text` begins with a name of letters, digits, hyphens and dots that begins with a letter, and with nothing else of a host.
fn is_plain_host(text: &[u8]) -> bool {
    let end = text
        .iter()
        .position(|&byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')));
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && end.is_none_or(|end| {
            matches!(
                byte(text, end),
                b'/' | b'?' | b'#' | b' ' | b'(' | b')' | b',' | b';' | b'!'
            )
        })
}

/// The URL that a value is, or starts with.
fn first(view: &View<'_>, url: &Url<'_>, bare: bool) -> Option<Strength> {
    let host = url.host;
    let among = |list: &[&[u8]]| {
        list.iter()
            .any(|scheme| url.scheme.eq_ignore_ascii_case(scheme))
    };
    let inside = host.reach > Reach::Public;
    if among(&FORGED) {
        let command = byte(url.path, 0) == b'/' && byte(url.path, 1) == b'_';
        return Some(decisive_if(bare || inside || command));
    }
    let protocol = among(&PROTOCOLS);
    let local = among(&LOCAL);
    if !(protocol || local || among(&SITES) || url.scheme.is_empty()) {
        return None;
    }
    if local && !host.odd && host.reach < Reach::Metadata {
        return None;
    }
    if !bare {
        // A sentence that begins with an address; but a host that hides behind a blank is no sentence.
        let hidden =
            url.split || (host.odd && inside) || (protocol && inside && smuggles(url.path));
        let shown = inside && (protocol || host.reach == Reach::Metadata);
        return (hidden || shown).then(|| decisive_if(hidden && view.place != Place::Header));
    }
    if url.split || host.odd {
        return Some(Strength::Decisive);
    }
    // The host alone says little where names are: `http://metadata.google.internal`.
    // A name that only a cloud's own machines know says it all, but where a header names its peer.
    let own = view.place != Place::Header
        && contains(view.bytes, b"://metadata.")
        && !url.path.is_empty();
    let place = url.path.len() > 1 || host.address || own;
    match host.reach {
        Reach::Metadata => Some(decisive_if(place)),
        Reach::Inside if protocol => Some(Strength::Decisive),
        Reach::Inside if host.container => Some(Strength::Decisive),
        Reach::Inside => Some(plain(view.place, view.name, url)),
        Reach::Public if contains(url.path.get(..256).unwrap_or(url.path), b"169.254.169.254") => {
            Some(decisive_if(view.place != Place::Header))
        }
        Reach::Public if host.echo && view.place != Place::Header => Some(Strength::Decisive),
        Reach::Public => None,
    }
}

/// A line of another protocol follows the URL at once.
fn smuggles(path: &[u8]) -> bool {
    let end = upto(path, 256).iter().position(|&byte| is_space(byte));
    end.is_some_and(|end| matches!(byte(path, end), b'\r' | b'\n'))
}

/// An inner URL without any trick: an attack where the server fetches, daily work where a browser goes.
fn plain(place: Place, name: &[u8], url: &Url<'_>) -> Strength {
    if place == Place::Header {
        return Strength::Weak;
    }
    if SERVICES.contains(&url.port)
        || contains(
            url.path.get(..128).unwrap_or(url.path),
            b"/runtime/invocation",
        )
    {
        return Strength::Decisive;
    }
    if is_followed(name) || is_landing(url.path) {
        return Strength::Weak;
    }
    Strength::Decisive
}

/// Where a sign-in comes back to: `/callback`, `/oauth2/cb`.
fn is_landing(path: &[u8]) -> bool {
    let end = upto(path, 128)
        .iter()
        .position(|byte| matches!(byte, b'?' | b'#'));
    let path = end.map_or(path, |end| path.get(..end).unwrap_or(path));
    let path = path.strip_suffix(b"/").unwrap_or(path);
    path.len() < 128
        && [
            &b"callback"[..],
            b"/cb",
            b"/signin-oidc",
            b"/signout-callback-oidc",
            b"/auth/complete",
        ]
        .iter()
        .any(|end| {
            path.len()
                .checked_sub(end.len())
                .is_some_and(|split| has_at(path, split, end))
        })
}

/// `data:text/…` as a whole parameter of a URL: a server that fetches it reads what the sender wrote. Bodies carry such uploads.
fn is_data(view: &View<'_>, at: usize, bare: bool) -> bool {
    bare && view.place == Place::Query && !view.is_name && has_at(view.bytes, at, b"data:text/")
}

/// Names of fields whose URL is the browser's way, not the server's errand.
fn is_followed(name: &[u8]) -> bool {
    const PARTS: [&[u8]; 17] = [
        b"redir",
        b"return",
        b"next",
        b"continue",
        b"refer",
        b"origin",
        b"location",
        b"goto",
        b"success",
        b"cancel",
        b"logout",
        b"page",
        b"href",
        b"document",
        b"blocked",
        b"request",
        b"homepage",
    ];
    const NAMES: [&[u8]; 7] = [
        b"dl", b"dr", b"ref", b"from", b"back", b"service", b"website",
    ];
    let name = name.get(..96).unwrap_or(name);
    let last = name
        .rsplit(|byte| matches!(byte, b'.' | b'['))
        .next()
        .map_or(name, |last| last.strip_suffix(b"]").unwrap_or(last));
    PARTS.iter().any(|part| contains(name, part))
        || NAMES.iter().any(|other| last.eq_ignore_ascii_case(other))
}

/// `localhost/`, `host.docker.internal:8080/x`: a host and a path without a scheme.
fn nameless(view: &View<'_>, text: &[u8]) -> Option<Strength> {
    let end = upto(text, 256)
        .iter()
        .position(|byte| matches!(byte, b'/' | b':'))?;
    let host = address::read(text.get(..end)?);
    let mut slash = end;
    if byte(text, end) == b':' {
        let port = upto(rest(text, end.saturating_add(1)), 6)
            .iter()
            .position(|byte| !byte.is_ascii_digit())?;
        slash = end.saturating_add(port).saturating_add(1);
    }
    if host.address || byte(text, slash) != b'/' {
        return None;
    }
    let path = rest(text, slash);
    match host.reach {
        Reach::Public => None,
        // `metadata/…`, `0/…` are paths like any other.
        Reach::Metadata => text
            .get(..end)?
            .contains(&b'.')
            .then_some(Strength::Decisive),
        Reach::Inside if host.container => Some(Strength::Decisive),
        Reach::Inside => {
            let url = Url {
                scheme: b"",
                host,
                port: 0,
                path,
                split: false,
            };
            Some(if text.get(..end)? == b"0" {
                Strength::Weak
            } else {
                plain(view.place, view.name, &url)
            })
        }
    }
}

/// URLs behind the first: in another URL's query, in a text.
fn links(view: &View<'_>, from: usize, bare: bool, hits: &mut Hits) {
    let value = view.bytes;
    let mut at = from.saturating_add(8);
    for _ in 0..LINKS {
        let Some(step) = find(rest(value, at), b"://") else {
            return;
        };
        let colon = at.saturating_add(step);
        at = colon.saturating_add(3);
        let start = url::start(value, colon);
        let Some(url) = url::read(value, start) else {
            continue;
        };
        let before = start.checked_sub(1).map_or(0, |at| byte(value, at));
        let forged = FORGED
            .iter()
            .any(|scheme| url.scheme.eq_ignore_ascii_case(scheme));
        let odd = url.host.odd && url.host.reach > Reach::Public;
        let strength = if forged || odd || url.host.reach == Reach::Metadata {
            // A text may speak of it; a URL that carries it asks for it.
            decisive_if(bare && view.place != Place::Header)
        } else if url.host.reach == Reach::Inside && bare && before == b'=' {
            plain(view.place, nested_name(value, start), &url)
        } else {
            continue;
        };
        hits.add(Class::Ssrf, strength, start);
    }
}

/// The name of the query parameter whose value starts at `start`.
fn nested_name(value: &[u8], start: usize) -> &[u8] {
    let before = value
        .get(start.saturating_sub(40)..start.saturating_sub(1))
        .unwrap_or(&[]);
    before
        .rsplit(|byte| matches!(byte, b'?' | b'&' | b';' | b'#'))
        .next()
        .unwrap_or(before)
}

const fn decisive_if(sure: bool) -> Strength {
    if sure {
        Strength::Decisive
    } else {
        Strength::Suspicious
    }
}

#[cfg(test)]
mod tests {
    use super::super::hits_of_named;
    use super::super::{Class, Place, Strength};

    fn strength(name: &str, value: &str) -> Option<Strength> {
        hits_of_named(Place::Query, name.as_bytes(), value.as_bytes())
            .into_iter()
            .find_map(|(class, strength)| (class == Class::Ssrf).then_some(strength))
    }

    #[test]
    fn a_url_that_leads_inside_is_an_attack_where_the_server_fetches() {
        for value in [
            "http://127.0.0.1/admin",
            "rmi://a.example:1099/x",
            "http://a.example/:x@b.example/",
            "http://localhost:22",
            "https://192.168.0.1",
            "http://127.1",
            "http://2130706433/",
            "http://0x7f.0.0.1",
            "http://[::1]:80/",
            "http://[::ffff:10.0.0.1]",
            "//169.254.169.254/latest/meta-data/",
            "http://metadata.google.internal/computeMetadata/v1/",
            "http://100.100.100.200/latest/meta-data/",
            "http://good.example@127.0.0.1/",
            "http://good.example:80 &@127.0.0.1:22/",
            "http://127.0.0.1:80\\@good.example/",
            "gopher://127.0.0.1:6379/_SET x",
            "dict://attacker:11111/",
            "tftp://a.example:69/x",
            "ldap://localhost:389/x",
            "sftp://10.0.0.7/",
            "local_file://something",
            "http://①②⑦.⓪.⓪.①/",
            "http://a.localtest.me/x",
            "localhost/admin",
            "host.docker.internal:2375/v1.24/info",
            "http://app.10.0.0.1.nip.io/",
            "url:http://127.0.0.1/",
            "http://x.oastify.com/",
            "https://a.example/go?url=http://localhost/",
            "http:2852039166",
        ] {
            assert_eq!(strength("url", value), Some(Strength::Decisive), "{value}");
        }
    }

    #[test]
    fn a_browsers_way_may_lead_to_the_own_machine_and_no_further() {
        for (name, value) in [
            ("redirect_uri", "http://localhost:3000/cb"),
            ("returnUrl", "http://127.0.0.1:8080/login"),
            ("dl", "http://localhost:4200/home?x=1"),
            ("context.page.url", "http://192.168.1.20:5173/"),
            ("csp-report.document-uri", "http://localhost:8000/"),
            ("next", "http://10.0.0.5/x"),
            ("q", "http://localhost:3000/callback"),
            ("uri", "http://127.0.0.1:8080/oauth2/cb?x=1"),
        ] {
            assert!(
                strength(name, value).is_none_or(|found| found < Strength::Suspicious),
                "{name} {value}"
            );
        }
        for value in [
            "http://169.254.169.254/latest/meta-data/",
            "http://0x7f000001/",
            "http://localhost:6379/",
            "gopher://localhost:25/_x",
        ] {
            assert_eq!(
                strength("redirect_uri", value),
                Some(Strength::Decisive),
                "{value}"
            );
        }
    }

    #[test]
    fn honest_urls_and_texts_about_urls_pass() {
        for value in [
            "https://example.com/?utm_source=x&ref=joe@example.org",
            "http://203.0.113.7:8080/cam.jpg",
            "example.com/",
            "ftp://ftp.example.org/pub/",
            "http://localhost:3000/callback doesn't work on my machine",
            "Our wiki is at http://192.168.1.10/wiki (VPN)",
            "10.0.0.0/8",
            "127.0.0.1/8",
            "localhost",
            "mylocalhost/",
            "internal/review",
            "root@localhost",
            "http: see below",
            "irc://irc.example.net/rust",
            "redis://localhost:6379/0",
            "https://cdn.example.net/a/b@2x.png",
            "ssh://git@git.example.com/a.git",
            "metadata/list",
            "0/1",
        ] {
            assert!(
                strength("q", value).is_none_or(|found| found < Strength::Suspicious),
                "{value}"
            );
        }
        let told = strength(
            "comment",
            "curl http://169.254.169.254/latest/meta-data/ hangs on my box",
        );
        assert!(
            told.is_none_or(|found| found < Strength::Decisive),
            "{told:?}"
        );
    }
}
