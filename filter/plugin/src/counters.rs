//! The engine's counter store over the host's shared data.
//!
//! **Invariant:** version 0 never reaches the host (it means "unconditional" there, DESIGN §3.4); any status that is
//! neither success, absence nor a lost race is `Failed`, and the stage's policy decides.

use palisade_engine::env::{Cas, CounterStore, StoreError};

use crate::abi::{Host, HostError};

/// Shared data of the VM's `vm_id`.
pub(crate) struct SharedCounters<'h>(pub(crate) &'h Host);

impl CounterStore for SharedCounters<'_> {
    fn load(&mut self, key: &[u8], out: &mut Vec<u8>) -> Result<Cas, StoreError> {
        match self.0.shared_data(key, out) {
            Ok(0) => Err(StoreError::Failed),
            Ok(cas) => Ok(Cas(cas)),
            Err(HostError::NotFound) => Ok(Cas::ABSENT),
            Err(_) => Err(StoreError::Failed),
        }
    }

    fn compare_and_swap(&mut self, key: &[u8], value: &[u8], cas: Cas) -> Result<(), StoreError> {
        if cas == Cas(0) {
            return Err(StoreError::Failed);
        }
        match self.0.set_shared_data(key, value, cas.0) {
            Ok(()) => Ok(()),
            Err(HostError::CasMismatch) => Err(StoreError::CasMismatch),
            Err(_) => Err(StoreError::Failed),
        }
    }
}
