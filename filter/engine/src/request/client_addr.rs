//! Client address over trusted hops (RFC 7239 in spirit; `x-forwarded-for` in practice) and CIDR networks.

use core::net::IpAddr;

use super::RequestHead;

/// An address range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// Any address of the range.
    pub address: IpAddr,
    /// Leading bits that must agree.
    pub prefix: u8,
}

/// Parses Envoy's `source.address` (`10.0.0.1:4711`, `[::1]:4711`, or without a port).
#[must_use]
pub fn parse_peer(_text: &[u8]) -> Option<IpAddr> {
    None
}

/// The client: `peer` when `trusted_hops` is 0, else the address `trusted_hops` places from the right of
/// all `x-forwarded-for` values together; `peer` when the chain is shorter or the entry is no address.
#[must_use]
pub fn client(_head: &RequestHead<'_>, peer: IpAddr, _trusted_hops: u32) -> IpAddr {
    peer
}
