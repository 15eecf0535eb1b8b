//! Bindings: what a session holds for beside its cookie: the client's network, its user agent, its certificate.
//!
//! ```text
//! cli = hex(MAC(key, "palisade client binding" NUL octets [bits])[..16])    bits only where the prefix is not whole
//! ua  = hex(MAC(key, "palisade user agent binding" NUL value)[..16])
//! tls = hex(MAC(key, "palisade certificate binding" NUL sha256-in-hex)[..16])
//! ```
//! **In:** the session's key and payload, and what a verifier may look at. **Out:** which binding does not hold.
//! **Invariant:** compared in constant time; what is not in the token, or not to be known of the request (no
//! certificate, several `user-agent` fields), is not bound. The token tells nothing of address, agent or certificate.
//! **Cost:** a MAC each.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::Key;
use super::claims::{Claims, string};
use super::session::{hex_into, unhex};
use super::{Ask, Failure};
use crate::verdict::Reason;

const CLIENT: &[u8] = b"palisade client binding\0";
const USER_AGENT: &[u8] = b"palisade user agent binding\0";
const CERTIFICATE: &[u8] = b"palisade certificate binding\0";
const BYTES: usize = 16;

/// Leading bits of an address that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// Of an IPv4 address, at most 32.
    pub v4: u8,
    /// Of an IPv6 address, at most 128.
    pub v6: u8,
}

impl Default for Prefix {
    fn default() -> Self {
        Self { v4: 32, v6: 64 }
    }
}

/// What sessions of a provider are bound to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bindings {
    /// The client's network.
    pub client: Option<Prefix>,
    /// The `user-agent` field.
    pub user_agent: bool,
    /// The client's certificate.
    pub certificate: bool,
}

impl Bindings {
    /// Whether there are any.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.client.is_some() || self.user_agent || self.certificate
    }

    /// Whether all hold for this request.
    pub(super) fn judge(&self, key: &Key, claims: &Claims, ask: &Ask<'_>) -> Result<(), Failure> {
        let holds = |name: &[u8], parts: &[&[u8]]| {
            let mut room = [0; BYTES];
            let given = claims.get(name).and_then(string);
            given
                .and_then(|text| unhex(text.raw, &mut room))
                .is_some_and(|given| key.verify_start(parts, BYTES, given))
        };
        let failed = |what| Err(Failure::new(Reason::TokenNotBound, what));
        if let Some(prefix) = self.client
            && !with_network(ask.client, prefix, |network| {
                holds(b"cli", &[CLIENT, network])
            })
        {
            return failed("client");
        }
        if self.user_agent
            && !user_agent(ask).is_some_and(|agent| holds(b"ua", &[USER_AGENT, agent]))
        {
            return failed("user_agent");
        }
        if self.certificate
            && !certificate(ask).is_some_and(|digest| holds(b"tls", &[CERTIFICATE, digest]))
        {
            return failed("tls");
        }
        Ok(())
    }

    /// Appends the members of a payload that bind it to this request, each with a comma before it; what cannot be
    /// known of it binds to nothing, and will not hold.
    pub(super) fn write(&self, key: &Key, ask: &Ask<'_>, out: &mut Vec<u8>) {
        if let Some(prefix) = self.client {
            write_client(key, ask.client, prefix, out);
        }
        if self.user_agent
            && let Some(agent) = user_agent(ask)
        {
            write_user_agent(key, agent, out);
        }
        if self.certificate
            && let Some(digest) = certificate(ask)
        {
            write_certificate(key, digest, out);
        }
    }
}

pub(super) fn write_client(key: &Key, client: IpAddr, prefix: Prefix, out: &mut Vec<u8>) {
    with_network(client, prefix, |network| {
        write(key, b",\"cli\":\"", &[CLIENT, network], out);
    });
}

pub(super) fn write_user_agent(key: &Key, agent: &[u8], out: &mut Vec<u8>) {
    write(key, b",\"ua\":\"", &[USER_AGENT, agent], out);
}

pub(super) fn write_certificate(key: &Key, digest: &[u8], out: &mut Vec<u8>) {
    write(key, b",\"tls\":\"", &[CERTIFICATE, digest], out);
}

fn write(key: &Key, start: &[u8], parts: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(start);
    key.with_mac(parts, |mac| {
        hex_into(mac.get(..BYTES).unwrap_or_default(), out);
    });
    out.push(b'"');
}

/// The one value; an absent field is the empty one.
fn user_agent<'a>(ask: &Ask<'a>) -> Option<&'a [u8]> {
    let head = ask.head;
    let mut values = head.all(b"user-agent");
    match (values.next(), values.next()) {
        (value, None) => Some(value.unwrap_or_default()),
        _ => None,
    }
}

fn certificate<'a>(ask: &Ask<'a>) -> Option<&'a [u8]> {
    let digest = ask.connection.certificate?.sha256;
    (!digest.is_empty()).then_some(digest)
}

/// Calls `look` with the octets of the network, the bits behind the prefix zero, and the length of the prefix when
/// it is not the whole address.
fn with_network<T>(address: IpAddr, prefix: Prefix, look: impl FnOnce(&[u8]) -> T) -> T {
    let mut room = [0_u8; 17];
    let (length, bits) = match address.to_canonical() {
        IpAddr::V4(address) => (fill(&mut room, &address.octets()), prefix.v4),
        IpAddr::V6(address) => (fill(&mut room, &address.octets()), prefix.v6),
    };
    let mut left = bits;
    for octet in room.iter_mut().take(length) {
        let here = left.min(8);
        left = left.wrapping_sub(here);
        *octet &= !0xff_u8.checked_shr(u32::from(here)).unwrap_or(0);
    }
    let mut length = length;
    if usize::from(bits) < length.wrapping_mul(8) {
        if let Some(last) = room.get_mut(length) {
            *last = bits;
        }
        length = length.wrapping_add(1);
    }
    look(room.get(..length).unwrap_or_default())
}

fn fill(room: &mut [u8], octets: &[u8]) -> usize {
    for (to, from) in room.iter_mut().zip(octets) {
        *to = *from;
    }
    octets.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let network = |address: &str, v4, v6| {
            let prefix = Prefix { v4, v6 };
            with_network(address.parse().unwrap(), prefix, <[u8]>::to_vec)
        };
        assert_eq!(network("192.0.2.7", 32, 0), [192, 0, 2, 7]);
        assert_eq!(network("::ffff:192.0.2.7", 32, 0), [192, 0, 2, 7]);
        assert_eq!(network("192.0.2.7", 24, 0), [192, 0, 2, 0, 24]);
        assert_eq!(network("192.0.2.255", 31, 0), [192, 0, 2, 254, 31]);
        assert_eq!(network("192.0.2.7", 0, 0), [0, 0, 0, 0, 0]);
        let long = network("2001:db8:1:2:3:4:5:6", 32, 128);
        assert_eq!(long.len(), 16);
        let short = network("2001:db8:1:2:3:4:5:6", 32, 64);
        assert_eq!(
            short,
            [0x20, 1, 0xd, 0xb8, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 64]
        );
        assert_eq!(network("2001:db8:1:2::9", 32, 64), short);
        assert_ne!(network("2001:db8:1:3::9", 32, 64), short);
    }
}
