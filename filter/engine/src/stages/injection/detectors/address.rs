//! Hosts of URLs: what an address or a name leads to, however it is spelled.
//!
//! **In:** the host part of a URL. **Out:** where it leads, whether it is an address, whether its spelling hides something.
//! **Invariant:** reads at most [`LONGEST`] bytes of a host; what the C library's `inet_aton` accepts is read as it reads it.
//! **Source:** WHATWG URL §3.5, RFC 3986 §3.2.2, RFC 6890, RFC 4291; the metadata services' own manuals.
//! **Cost:** one pass over the host, one probe of each name's ending.

use super::super::bytes::{byte, rest, tally};

/// Bytes of a host that are looked at: a DNS name is no longer than 253.
const LONGEST: usize = 253;

/// Where a host leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// Out, as far as its spelling tells.
    Public,
    /// The machine itself, or the network behind it.
    Inside,
    /// The neighbour that hands out credentials: link-local and the clouds' own addresses.
    Metadata,
}

/// What a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) reach: Reach,
    /// An address, no name.
    pub(super) address: bool,
    /// Spelled as nobody writes it who has nothing to hide.
    pub(super) odd: bool,
    /// A service that tells its owner who asked: testers and attackers use them.
    pub(super) echo: bool,
    /// A name that only containers know.
    pub(super) container: bool,
}

const NAME: Host = Host {
    reach: Reach::Public,
    address: false,
    odd: false,
    echo: false,
    container: false,
};

/// Names of the machine itself.
const SELF: [&[u8]; 12] = [
    b"localhost",
    b"localhost.localdomain",
    b"localhost4",
    b"localhost4.localdomain4",
    b"localhost6",
    b"localhost6.localdomain6",
    b"ip6-localhost",
    b"ip6-loopback",
    b"ipv6-localhost",
    b"ipv6-loopback",
    b"loopback",
    b"0",
];

/// Public names that resolve to the machine itself, with all names below them.
const MIRRORS: [&[u8]; 6] = [
    b"localhost",
    b"localtest.me",
    b"lvh.me",
    b"vcap.me",
    b"lacolhost.com",
    b"localh.st",
];

/// Names that containers have for their host and their cluster.
const CONTAINERS: [&[u8]; 6] = [
    b"docker.internal",
    b"containers.internal",
    b"kubernetes.default",
    b"kubernetes.default.svc",
    b"svc.cluster.local",
    b"lima.internal",
];

/// Names of metadata services.
const METADATA: [&[u8]; 8] = [
    b"metadata.google.internal",
    b"metadata.goog",
    b"metadata.packet.net",
    b"metadata.platformequinix.com",
    b"metadata.tencentyun.com",
    b"instance-data.ec2.internal",
    b"instance-data",
    b"metadata",
];

/// Names that resolve to the address they spell.
const SPELLED: [&[u8]; 4] = [b"nip.io", b"sslip.io", b"xip.io", b"traefik.me"];

/// Names that resolve now to one address and now to another.
const REBINDING: [&[u8]; 2] = [b"1u.ms", b"rbndr.us"];

/// Services that record who asks.
const ECHOES: [&[u8]; 16] = [
    b"burpcollaborator.net",
    b"oastify.com",
    b"interact.sh",
    b"oast.pro",
    b"oast.live",
    b"oast.site",
    b"oast.online",
    b"oast.fun",
    b"oast.me",
    b"dnslog.cn",
    b"ceye.io",
    b"requestrepo.com",
    b"bxss.me",
    b"xss.ht",
    b"r3dir.me",
    b"dnsbin.zhack.ca",
];

/// A part of each name above, and of whatever stands below it; those that `ssrf` lists are not repeated.
pub(super) const WORDS: &[&[u8]] = &[
    b"vcap",
    b"lacolhost",
    b"localh",
    b"kubernetes",
    b"metadata",
    b"instance",
    b"xip",
    b"traefik",
    b"ms",
    b"rbndr",
    b"burpcollaborator",
    b"oastify",
    b"interact",
    b"oast",
    b"dnslog",
    b"ceye",
    b"requestrepo",
    b"bxss",
    b"xss",
    b"r3dir",
    b"dnsbin",
];

/// `name` is `end` or ends in `.end`.
fn is_below(name: &[u8], end: &[u8]) -> bool {
    let Some(split) = name.len().checked_sub(end.len()) else {
        return false;
    };
    // Most names differ in the last letter.
    name.last() == end.last()
        && rest(name, split) == end
        && split.checked_sub(1).is_none_or(|at| byte(name, at) == b'.')
}

/// Reads the host `text` (no port, no user).
pub(super) fn read(text: &[u8]) -> Host {
    let mut plain = [0_u8; LONGEST];
    let mut length = 0_usize;
    let mut odd = false;
    let mut at = 0_usize;
    while at < text.len() {
        let (letter, taken) = letter(text, at);
        at = at.saturating_add(taken);
        odd |= taken > 1 || letter == b'\\';
        if letter == b'\\' {
            continue;
        }
        let Some(slot) = plain.get_mut(length) else {
            return NAME;
        };
        *slot = letter;
        length = length.saturating_add(1);
    }
    let plain = plain.get(..length).unwrap_or(&[]);
    let plain = plain.strip_suffix(b".").unwrap_or(plain);
    let mut host = if let Some(inner) = plain.strip_prefix(b"[") {
        v6(inner.strip_suffix(b"]").unwrap_or(inner))
    } else if let Some(host) = v4(plain) {
        host
    } else {
        named(plain)
    };
    host.odd |= odd;
    host
}

/// One letter in lower case, and its length: enclosed letters and digits and other dots stand for what they show.
fn letter(text: &[u8], at: usize) -> (u8, usize) {
    let head = byte(text, at);
    let next = byte(text, at.saturating_add(1));
    let last = byte(text, at.saturating_add(2));
    match (head, next, last) {
        (0xE2, 0x91, 0xA0..=0xA8) => (last.wrapping_sub(0xA0).wrapping_add(b'1'), 3),
        (0xE2, 0x93, 0xAA) => (b'0', 3),
        (0xE2, 0x92, 0xB6..=0xBF) => (last.wrapping_sub(0xB6).wrapping_add(b'a'), 3),
        (0xE2, 0x93, 0x80..=0x8F) => (last.wrapping_sub(0x80).wrapping_add(b'k'), 3),
        (0xE2, 0x93, 0x90..=0xA9) => (last.wrapping_sub(0x90).wrapping_add(b'a'), 3),
        (0xE3, 0x80, 0x82) | (0xEF, 0xBD, 0xA1) | (0xEF, 0xBC, 0x8E) => (b'.', 3),
        _ => (head.to_ascii_lowercase(), 1),
    }
}

#[expect(clippy::as_conversions, reason = "widening in a const fn")]
const fn widen(value: u8) -> u32 {
    value as u32
}

/// A hex digit's value.
const fn digit(letter: u8) -> Option<u32> {
    let value = match letter {
        b'0'..=b'9' => letter.wrapping_sub(b'0'),
        b'a'..=b'f' => letter.wrapping_sub(b'a').wrapping_add(10),
        b'A'..=b'F' => letter.wrapping_sub(b'A').wrapping_add(10),
        _ => return None,
    };
    Some(widen(value))
}

/// A number as `inet_aton` reads it: hex, octal, decimal; whether it is plain decimal. Overflow wraps.
fn number(text: &[u8]) -> Option<(u32, bool)> {
    let (digits, base) = match text {
        [b'0', b'x', digits @ ..] => (digits, 16_u32),
        [b'0', digits @ ..] if !digits.is_empty() => (digits, 8),
        _ => (text, 10),
    };
    if text.is_empty() || text.len() > 40 {
        return None;
    }
    let mut value = 0_u32;
    let mut fits = true;
    for &digit in digits {
        let digit = self::digit(digit).filter(|&digit| digit < base)?;
        fits &= value.checked_mul(base).is_some();
        value = value.wrapping_mul(base).wrapping_add(digit);
    }
    Some((value, base == 10 && fits))
}

/// An address of one to four numbers.
fn v4(text: &[u8]) -> Option<Host> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    let parts = tally(text.split(|&byte| byte == b'.'));
    if parts > 4 {
        return None;
    }
    let mut address = 0_u32;
    let mut odd = parts != 4;
    let mut left = parts;
    for part in text.split(|&byte| byte == b'.') {
        let (value, plain) = number(part)?;
        left = left.saturating_sub(1);
        odd |= !plain;
        if left > 0 {
            odd |= value > 255;
            address = (address << 8) | (value & 0xFF);
        } else {
            // The last number fills what is left.
            let bits = u32::try_from(parts.saturating_sub(1))
                .unwrap_or(0)
                .saturating_mul(8);
            odd |= parts == 4 && value > 255;
            let mask = u32::MAX.wrapping_shr(bits);
            address = address
                .checked_shl(32_u32.saturating_sub(bits))
                .unwrap_or(0)
                | (value & mask);
        }
    }
    Some(Host {
        reach: reach(address),
        address: true,
        odd,
        ..NAME
    })
}

/// Where an IPv4 address leads.
const fn reach(address: u32) -> Reach {
    let [a, b, c, d] = address.to_be_bytes();
    match (a, b, c, d) {
        (169, 254, ..) | (100, 100, 100, 200) | (192, 0, 0, 192) | (168, 63, 129, 16) => {
            Reach::Metadata
        }
        (0 | 10 | 127, ..) | (192, 168, ..) | (172, 16..=31, ..) | (100, 64..=127, ..) => {
            Reach::Inside
        }
        _ => Reach::Public,
    }
}

/// An IPv6 address without its brackets.
fn v6(text: &[u8]) -> Host {
    let end = text.iter().position(|&byte| byte == b'%');
    let text = end.map_or(text, |end| text.get(..end).unwrap_or(text));
    let mut groups = [0_u16; 8];
    let mut filled = 0_usize;
    let mut gap = None;
    let mut mapped = None;
    for part in text.split(|&byte| byte == b':') {
        if part.is_empty() {
            gap = gap.or(Some(filled));
            continue;
        }
        if part.contains(&b'.') {
            mapped = v4(part);
            break;
        }
        let value = hex(part.get(..5).unwrap_or(part));
        let Some(slot) = groups.get_mut(filled) else {
            break;
        };
        *slot = value
            .and_then(|value| u16::try_from(value).ok())
            .unwrap_or(0);
        filled = filled.saturating_add(1);
    }
    let address = Host {
        address: true,
        ..NAME
    };
    if let Some(inner) = mapped {
        return Host { odd: true, ..inner };
    }
    // What stands behind the gap moves to the end.
    let mut all = [0_u16; 8];
    let gap = gap.unwrap_or(filled);
    let moved = 8_usize.saturating_sub(filled);
    for (group, slot) in groups.iter().take(gap).zip(all.iter_mut()) {
        *slot = *group;
    }
    let tail = groups.get(gap..filled).unwrap_or(&[]);
    for (group, slot) in tail
        .iter()
        .zip(all.iter_mut().skip(gap.saturating_add(moved)))
    {
        *slot = *group;
    }
    let [a, b, c, d, e, f, g, h] = all;
    let low = (u32::from(g) << 16) | u32::from(h);
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0) if low <= 1 => Host {
            reach: Reach::Inside,
            ..address
        },
        (0, 0, 0, 0, 0, 0 | 0xFFFF) | (0x64, 0xFF9B, 0, 0, 0, 0) => Host {
            reach: reach(low).max(Reach::Inside),
            odd: true,
            ..address
        },
        (0xFD00, 0xEC2, ..) => Host {
            reach: Reach::Metadata,
            ..address
        },
        (0x2000..=0x3FFF, ..) => address,
        _ => Host {
            reach: Reach::Inside,
            ..address
        },
    }
}

fn named(name: &[u8]) -> Host {
    let below = |list: &[&[u8]]| list.iter().any(|end| is_below(name, end));
    if METADATA.contains(&name) {
        return Host {
            reach: Reach::Metadata,
            ..NAME
        };
    }
    if SELF.contains(&name) || below(&MIRRORS) {
        return Host {
            reach: Reach::Inside,
            ..NAME
        };
    }
    if below(&CONTAINERS) {
        return Host {
            reach: Reach::Inside,
            container: true,
            ..NAME
        };
    }
    if below(&REBINDING) {
        return Host {
            reach: Reach::Inside,
            odd: true,
            ..NAME
        };
    }
    if below(&ECHOES) {
        return Host { echo: true, ..NAME };
    }
    if below(&SPELLED) {
        let reach = spelled(name);
        return Host {
            reach,
            odd: reach == Reach::Metadata,
            ..NAME
        };
    }
    NAME
}

/// `app-10-0-0-1.nip.io`, `169.254.169.254.nip.io`, `7f000001.nip.io`: the address before the ending.
fn spelled(name: &[u8]) -> Reach {
    let mut address = 0_u32;
    let mut run = 0_u8;
    let mut best = Reach::Public;
    for part in name.split(|byte| matches!(byte, b'.' | b'-')) {
        if part.len() == 8 {
            best = best.max(hex(part).map_or(Reach::Public, reach));
        }
        match number(part) {
            Some((value @ 0..=255, _)) => {
                address = (address << 8) | value;
                run = run.saturating_add(1);
            }
            _ => run = 0,
        }
        if run >= 4 {
            best = best.max(reach(address));
        }
    }
    best
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, &digit| {
        let digit = self::digit(digit)?;
        Some(value.wrapping_mul(16).wrapping_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::{Host, Reach, read};

    fn reach(text: &str) -> Reach {
        read(text.as_bytes()).reach
    }

    /// `ssrf::leads_out` looks at words alone.
    #[test]
    fn every_name_that_leads_inside_has_a_word() {
        use super::super::super::bytes::classes;
        use super::super::triggers::{HOST, SSRF, look};
        let all = [
            &super::SELF[..],
            &super::MIRRORS,
            &super::CONTAINERS,
            &super::METADATA,
            &super::SPELLED,
            &super::REBINDING,
            &super::ECHOES,
        ];
        for name in all.into_iter().flatten().filter(|name| **name != b"0") {
            for host in [
                name.to_vec(),
                [b"a.", *name].concat(),
                name.to_ascii_uppercase(),
            ] {
                let seen = look(&host, classes(&host)).words;
                assert!(seen & (HOST | SSRF) != 0, "{}", host.escape_ascii());
            }
        }
    }

    #[test]
    fn an_address_leads_where_it_leads_however_it_is_spelled() {
        for text in [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "0",
            "0.0.0.0",
            "2130706433",
            "0x7f000001",
            "017700000001",
            "0177.0.0.01",
            "0x7f.1",
            "10.1.2.3",
            "172.31.0.9",
            "192.168.1.1",
            "100.64.0.1",
            "[::1]",
            "[::]",
            "[0000::1]",
            "[fe80::1%25eth0]",
            "[fd12::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::a00:1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "api.localhost",
            "ip6-loopback",
            "lvh.me",
            "a.b.lvh.me",
            "host.docker.internal",
            "redis.prod.svc.cluster.local",
            "app-10-0-0-1.nip.io",
            "7f000001.nip.io",
            "①②⑦.⓪.⓪.①",
            "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
            "ⓁⓄⒸⒶⓁⒽⓄⓈⓉ",
            "127。0。0。1",
            "l\\o\\c\\a\\l\\h\\o\\s\\t",
            "7f000001.c0a80001.rbndr.us",
        ] {
            assert_eq!(reach(text), Reach::Inside, "{text}");
        }
        for text in [
            "169.254.169.254",
            "2852039166",
            "7147006462",
            "0xA9FEA9FE",
            "0x41414141A9FEA9FE",
            "0251.0376.0251.0376",
            "0251.00376.000251.0000376",
            "169.254.43518",
            "169.16689662",
            "425.510.425.510",
            "[::ffff:a9fe:a9fe]",
            "[0:0:0:0:0:ffff:169.254.169.254]",
            "[fd00:ec2::254]",
            "100.100.100.200",
            "metadata.google.internal",
            "169.254.169.254.nip.io",
            "metadata",
        ] {
            assert_eq!(reach(text), Reach::Metadata, "{text}");
        }
        for text in [
            "example.com",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "mylocalhost",
            "localhost.example.com",
            "1.2.3.4.5",
            "10.example.com",
            "127.0.0.1.example.com",
            "[2001:db8::1]",
            "8.8.8.8.nip.io",
            "metadata.example.com",
            "",
        ] {
            assert_eq!(reach(text), Reach::Public, "{text}");
        }
    }

    #[test]
    fn a_spelling_that_hides_is_odd() {
        let odd = |text: &str| read(text.as_bytes()).odd;
        for text in [
            "127.1",
            "0x7f000001",
            "0177.0.0.1",
            "[::ffff:10.0.0.1]",
            "①.1.1.1",
            "g\\o.com",
            "425.1.1.1",
        ] {
            assert!(odd(text), "{text}");
        }
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "[::1]",
            "localhost",
            "example.com",
            "203.0.113.7",
        ] {
            assert!(!odd(text), "{text}");
        }
        let Host { address, echo, .. } = read(b"x.oastify.com");
        assert!(echo && !address);
        assert!(read(b"203.0.113.7").address);
    }

    #[test]
    fn a_host_of_any_length_is_read_in_bounds() {
        assert_eq!(read(&[b'1'; 4096]).reach, Reach::Public);
        assert_eq!(read(&[b':'; 300]).reach, Reach::Public);
        assert_eq!(
            read(b"[:::::::::::::::1:2:3:4:5:6:7:8:9:a:b]").reach,
            Reach::Inside
        );
        assert_eq!(read(b"1.2.3.").reach, Reach::Public);
    }
}
