//! Client address over trusted hops, and CIDR networks.
//!
//! **In:** the peer as the host names it, `x-forwarded-for` of the head. **Out:** [`IpAddr`], IPv4-mapped
//! IPv6 always as IPv4, so that one client has one address.
//! **Invariant:** only the entry that the outermost trusted hop wrote is believed; what a client puts to the
//! left of it changes nothing. Parsers are ours: those of `core` carry panic paths.
//! **Source:** RFC 7239 in spirit; RFC 4291 §2.2; RFC 4632.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::RequestHead;
use super::cookie::trim;
use super::target::hex;

/// An address range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address of the range.
    pub address: IpAddr,
    /// Leading bits that must agree.
    pub prefix: u8,
}

impl Network {
    /// Parses `address` or `address/prefix`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address = parse_address(address.as_bytes())
            .ok_or("write an IPv4 or IPv6 address, such as `203.0.113.0/24` or `2001:db8::/32`")?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) => decimal(digits.as_bytes())
                .filter(|prefix| *prefix <= bits)
                .ok_or("the prefix is a number up to 32 (IPv4) or 128 (IPv6)")?,
        };
        // A mapped network is an IPv4 network; wider than the mapped range it is an IPv6 one.
        if let (canonical @ IpAddr::V4(_), IpAddr::V6(_)) = (address.to_canonical(), address)
            && let Some(prefix) = prefix.checked_sub(96)
        {
            let address = canonical;
            return Ok(Self { address, prefix });
        }
        Ok(Self { address, prefix })
    }

    /// Whether the range has `address` (IPv4-mapped IPv6 taken as IPv4).
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let free = 32_u32.saturating_sub(self.prefix.into());
                (ours.to_bits() ^ theirs.to_bits())
                    .checked_shr(free)
                    .unwrap_or_default()
                    == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let free = 128_u32.saturating_sub(self.prefix.into());
                (ours.to_bits() ^ theirs.to_bits())
                    .checked_shr(free)
                    .unwrap_or_default()
                    == 0
            }
            _ => false,
        }
    }
}

/// Parses Envoy's `source.address` (`10.0.0.1:4711`, `[::1]:4711`, or without a port).
#[must_use]
pub fn parse_peer(text: &[u8]) -> Option<IpAddr> {
    let text = trim(text);
    let (address, port) = match text.strip_prefix(b"[") {
        Some(inside) => {
            let end = inside.iter().position(|byte| *byte == b']')?;
            let (address, rest) = inside.split_at_checked(end)?;
            let address = parse_ipv6(address)?;
            (IpAddr::V6(address), rest.strip_prefix(b"]")?)
        }
        None => {
            if let Some(address) = parse_address(text) {
                return Some(address.to_canonical());
            }
            let colon = text.iter().position(|byte| *byte == b':')?;
            let (address, port) = text.split_at_checked(colon)?;
            (IpAddr::V4(parse_ipv4(address)?), port)
        }
    };
    let port_is_good = match port.split_first() {
        None => true,
        Some((b':', digits)) => {
            (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
        }
        Some(_) => false,
    };
    port_is_good.then(|| address.to_canonical())
}

/// The client: `peer` when `trusted_hops` is 0, else the address `trusted_hops` places from the right of
/// all `x-forwarded-for` values together; `peer` when the chain is shorter or the entry is no address.
#[must_use]
pub fn client(head: &RequestHead<'_>, peer: IpAddr, trusted_hops: u32) -> IpAddr {
    let peer = peer.to_canonical();
    if trusted_hops == 0 {
        return peer;
    }
    let mut length = 0_u32;
    for _ in forwarded(head) {
        length = length.saturating_add(1);
    }
    let Some(mut before) = length.checked_sub(trusted_hops) else {
        return peer;
    };
    for entry in forwarded(head) {
        match before.checked_sub(1) {
            Some(less) => before = less,
            None => return parse_peer(entry).unwrap_or(peer),
        }
    }
    peer
}

/// All entries of all `x-forwarded-for` fields, from the left, empty ones too.
fn forwarded<'a>(head: &RequestHead<'a>) -> impl Iterator<Item = &'a [u8]> {
    head.all(b"x-forwarded-for")
        .flat_map(|value| value.split(|byte| *byte == b','))
}

fn parse_address(text: &[u8]) -> Option<IpAddr> {
    match parse_ipv4(text) {
        Some(address) => Some(IpAddr::V4(address)),
        None => parse_ipv6(text).map(IpAddr::V6),
    }
}

/// Four decimal numbers without leading zeros (`010` is 8 to some readers).
fn parse_ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = text.split(|byte| *byte == b'.');
    let mut bits = 0_u32;
    for _ in 0..4 {
        bits = bits.wrapping_shl(8) | u32::from(decimal(octets.next()?)?);
    }
    octets.next().is_none().then(|| Ipv4Addr::from_bits(bits))
}

/// A number up to 255 without leading zeros.
fn decimal(digits: &[u8]) -> Option<u8> {
    match digits {
        [] => None,
        [b'0', _, ..] => None,
        _ => digits.iter().try_fold(0_u8, |sum, digit| {
            let digit = hex(*digit).filter(|digit| *digit < 10)?;
            sum.checked_mul(10)?.checked_add(digit)
        }),
    }
}

fn parse_ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    let mut gap = None;
    let mut rest = text;
    while let Some((_, tail)) = rest.split_first() {
        if rest.starts_with(b"::") {
            gap = Some(text.len().saturating_sub(rest.len()));
            break;
        }
        rest = tail;
    }
    let bits = match gap.and_then(|gap| text.split_at_checked(gap)) {
        None => match parse_groups(text)? {
            (bits, 8) => bits,
            _ => return None,
        },
        Some((left, right)) => {
            if left.contains(&b'.') {
                return None;
            }
            let (left, left_count) = parse_groups_or_none(left)?;
            let (right, right_count) = parse_groups_or_none(right.get(2..)?)?;
            if left_count.saturating_add(right_count) > 7 {
                return None;
            }
            let shift = 8_u32.saturating_sub(left_count).wrapping_mul(16);
            left.checked_shl(shift).unwrap_or_default() | right
        }
    };
    Some(Ipv6Addr::from_bits(bits))
}

fn parse_groups_or_none(text: &[u8]) -> Option<(u128, u32)> {
    if text.is_empty() {
        Some((0, 0))
    } else {
        parse_groups(text)
    }
}

/// Hex groups with `:` between; the last may be an IPv4 address, which counts twice.
fn parse_groups(text: &[u8]) -> Option<(u128, u32)> {
    let mut bits = 0_u128;
    let mut count = 0_u32;
    let mut groups = text.split(|byte| *byte == b':');
    while let Some(group) = groups.next() {
        if count >= 8 {
            return None;
        }
        if group.contains(&b'.') {
            let low = parse_ipv4(group)?;
            let last = groups.next().is_none();
            let both = (
                bits.wrapping_shl(32) | u128::from(low.to_bits()),
                count.saturating_add(2),
            );
            return (last && both.1 <= 8).then_some(both);
        }
        if !(1..=4).contains(&group.len()) {
            return None;
        }
        let value = group.iter().try_fold(0_u128, |sum, digit| {
            Some(sum.wrapping_shl(4) | u128::from(hex(*digit)?))
        })?;
        bits = bits.wrapping_shl(16) | value;
        count = count.saturating_add(1);
    }
    Some((bits, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESSES: &[&str] = &[
        "0.0.0.0",
        "255.255.255.255",
        "1.2.3.4",
        "01.2.3.4",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "1..2.3",
        "1.2.3.",
        "",
        "a.b.c.d",
        "1.2.3.4 ",
        "+1.2.3.4",
        "::",
        "::1",
        "1::",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8",
        "1::2:3:4:5:6:7:8",
        "1::2::3",
        ":::",
        ":",
        ":1",
        "1:",
        "12345::",
        "g::",
        "2001:DB8::ff00:42:8329",
        "::ffff:1.2.3.4",
        "::1.2.3.4",
        "1:2:3:4:5:6:1.2.3.4",
        "1:2:3:4:5:6:7:1.2.3.4",
        "1.2.3.4::",
        "::1.2.3.4:5",
        "fe80::1%eth0",
        "::ffff:1.2.3",
        "1:2:3:4:5:6:7::8",
        "::0:0:0:0:0:0:0",
        "0:0:0:0:0:0:0:0",
        "::1.2.3.04",
    ];

    #[test]
    fn agrees_with_core() {
        for text in ADDRESSES {
            assert_eq!(parse_address(text.as_bytes()), text.parse().ok(), "{text}");
        }
        // One byte changed at a time.
        for text in ["192.168.10.255", "2001:db8::12:a0f9", "1::1.20.3.4"] {
            let mut bytes = text.as_bytes().to_vec();
            for at in 0..bytes.len() {
                let kept = bytes.get(at).copied().unwrap_or_default();
                for byte in 0..=255 {
                    if let Some(slot) = bytes.get_mut(at) {
                        *slot = byte;
                    }
                    let expected = core::str::from_utf8(&bytes)
                        .ok()
                        .and_then(|text| text.parse().ok());
                    assert_eq!(parse_address(&bytes), expected, "{}", bytes.escape_ascii());
                }
                if let Some(slot) = bytes.get_mut(at) {
                    *slot = kept;
                }
            }
        }
    }

    #[test]
    fn peers() {
        const CASES: &[(&[u8], Option<&str>)] = &[
            (b"10.0.0.1:4711", Some("10.0.0.1")),
            (b"10.0.0.1", Some("10.0.0.1")),
            (b" 10.0.0.1\t", Some("10.0.0.1")),
            (b"[::1]:4711", Some("::1")),
            (b"[::1]", Some("::1")),
            (b"::1", Some("::1")),
            (b"[::ffff:10.0.0.1]:1", Some("10.0.0.1")),
            (b"::ffff:10.0.0.1", Some("10.0.0.1")),
            (b"10.0.0.1:", None),
            (b"10.0.0.1:123456", None),
            (b"10.0.0.1:x", None),
            (b"[10.0.0.1]", None),
            (b"[::1]x", None),
            (b"[::1", None),
            (b"[::1]:", None),
            (b"", None),
            (b"unknown", None),
            (b"/tmp/socket", None),
            (b"\xff\x00", None),
        ];
        for (text, expected) in CASES {
            let expected = expected.and_then(|text| text.parse().ok());
            assert_eq!(parse_peer(text), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn clients_over_hops() {
        const CASES: &[(&[&[u8]], u32, &str)] = &[
            (&[b"1.1.1.1, 2.2.2.2"], 0, "9.9.9.9"),
            (&[b"1.1.1.1, 2.2.2.2"], 1, "2.2.2.2"),
            (&[b"1.1.1.1, 2.2.2.2"], 2, "1.1.1.1"),
            (&[b"1.1.1.1, 2.2.2.2"], 3, "9.9.9.9"),
            (&[b"1.1.1.1", b"2.2.2.2"], 1, "2.2.2.2"),
            (&[b"1.1.1.1", b"2.2.2.2,3.3.3.3"], 3, "1.1.1.1"),
            (&[b"spoofed, , 7.7.7.7"], 1, "7.7.7.7"),
            (&[b"7.7.7.7, garbage"], 1, "9.9.9.9"),
            (&[b"7.7.7.7,"], 1, "9.9.9.9"),
            (&[b"[2001:db8::1]:80"], 1, "2001:db8::1"),
            (&[b"::ffff:4.4.4.4"], 1, "4.4.4.4"),
            (&[b""], 1, "9.9.9.9"),
            (&[], 1, "9.9.9.9"),
            (&[b"1.1.1.1"], u32::MAX, "9.9.9.9"),
        ];
        let peer = IpAddr::V6(Ipv4Addr::new(9, 9, 9, 9).to_ipv6_mapped());
        for (values, hops, expected) in CASES {
            let pairs = values.iter().map(|value| (&b"x-forwarded-for"[..], *value));
            let head = RequestHead::decode(pairs);
            assert_eq!(
                Some(client(&head, peer, *hops)),
                expected.parse().ok(),
                "{values:?} {hops}"
            );
        }
    }

    #[test]
    fn networks() {
        const CASES: &[(&str, &[&str], &[&str])] = &[
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.255.255", "::ffff:10.1.1.1"],
                &["11.0.0.0", "9.255.255.255", "::1"],
            ),
            ("10.9.9.9/8", &["10.0.0.0"], &["11.0.0.0"]),
            ("203.0.113.7", &["203.0.113.7"], &["203.0.113.6"]),
            ("0.0.0.0/0", &["1.2.3.4"], &["::1"]),
            ("192.0.2.0/31", &["192.0.2.1"], &["192.0.2.2"]),
            ("2001:db8::/32", &["2001:db8:ffff::"], &["2001:db9::"]),
            ("::/0", &["::1"], &["1.2.3.4"]),
            ("2001:db8::1/128", &["2001:db8::1"], &["2001:db8::2"]),
            ("::ffff:10.0.0.0/104", &["10.2.3.4"], &["11.0.0.0"]),
        ];
        for (text, inside, outside) in CASES {
            let network = Network::parse(text);
            let has = |address: &&&str| {
                let address = address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::BROADCAST));
                network.is_ok_and(|network| network.contains(address))
            };
            assert_eq!(inside.iter().filter(has).count(), inside.len(), "{text}");
            assert_eq!(outside.iter().filter(has).count(), 0, "{text}");
        }
        for text in [
            "",
            "/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/08",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0/8",
            "a/8",
            "1.1.1.1/8/8",
        ] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
    }
}
