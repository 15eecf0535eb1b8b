//! Access to a guest's memory during a hostcall: the one place where guest pointers are looked at.
//!
//! In: pointers and sizes as the guest gave them (unsigned 32-bit). Out: copies, or `Fail::Memory`.
//! Invariant: nothing outside the guest's memory is read or written, whatever the numbers; result pointers are checked before
//! the guest's allocator is called.

use wasmtime::{Caller, Memory};

use crate::{abi::types::Status, state::HostState};

/// Why a hostcall did not end in `Ok`.
pub(crate) enum Fail {
    /// A guest pointer was wrong; the status depends on whose call it is (Proxy-Wasm or WASI).
    Memory,
    /// The guest gets this number.
    Number(i32),
    /// The guest ends here: its allocator trapped, or it called `proc_exit`.
    Trap(wasmtime::Error),
}

impl From<Status> for Fail {
    fn from(status: Status) -> Self {
        Self::Number(status.number())
    }
}

/// The outcome of a hostcall.
pub(crate) type Answer = Result<(), Fail>;

/// Bytes a hostcall moved.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bytes {
    /// Out of the guest's memory.
    pub(crate) read: u64,
    /// Into the guest's memory.
    pub(crate) written: u64,
}

/// What a hostcall works with: the guest's memory and the host's state.
pub(crate) struct Cx<'a, 'b> {
    pub(crate) caller: &'a mut Caller<'b, HostState>,
    pub(crate) bytes: Bytes,
}

impl Cx<'_, '_> {
    pub(crate) fn state(&mut self) -> &mut HostState {
        self.caller.data_mut()
    }

    fn memory(&mut self) -> Result<Memory, Fail> {
        if let Some(memory) = self.caller.data().memory {
            return Ok(memory);
        }
        // A hostcall from the start function, before the host has looked at the exports.
        self.caller
            .get_export("memory")
            .and_then(wasmtime::Extern::into_memory)
            .ok_or(Fail::Memory)
    }

    /// Copies bytes out of the guest.
    pub(crate) fn read(&mut self, at: i32, size: i32) -> Result<Vec<u8>, Fail> {
        let bytes = self.slice(at, size)?.to_vec();
        self.bytes.read += u64::from(size.cast_unsigned());
        Ok(bytes)
    }

    /// The guest's bytes where they are.
    fn slice(&mut self, at: i32, size: i32) -> Result<&[u8], Fail> {
        let memory = self.memory()?;
        let (at, size) = (offset(at)?, offset(size)?);
        let end = at.checked_add(size).ok_or(Fail::Memory)?;
        memory.data(&*self.caller).get(at..end).ok_or(Fail::Memory)
    }

    /// Copies bytes into the guest.
    pub(crate) fn write(&mut self, at: i32, bytes: &[u8]) -> Answer {
        let memory = self.memory()?;
        memory
            .write(&mut *self.caller, offset(at)?, bytes)
            .map_err(|_| Fail::Memory)?;
        self.bytes.written += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Whether that many bytes can be written there.
    pub(crate) fn check(&mut self, at: i32, size: i32) -> Answer {
        self.slice(at, size).map(|_| ())
    }

    pub(crate) fn write_u32(&mut self, at: i32, value: u32) -> Answer {
        self.write(at, &value.to_le_bytes())
    }

    pub(crate) fn write_u64(&mut self, at: i32, value: u64) -> Answer {
        self.write(at, &value.to_le_bytes())
    }

    /// Whether a 32-bit result can be written there.
    pub(crate) fn check_u32(&mut self, at: i32) -> Answer {
        self.check(at, 4)
    }

    /// Hands bytes to the guest in memory of its own allocator; no bytes are a null pointer and no allocation, as in Envoy.
    pub(crate) fn give(&mut self, bytes: &[u8], at_out: i32, size_out: i32) -> Answer {
        self.check_u32(at_out)?;
        self.check_u32(size_out)?;
        let size = u32::try_from(bytes.len()).map_err(|_| Status::InternalFailure)?;
        let mut at = 0;
        if size > 0 {
            let allocator = self.caller.data().allocator.clone().ok_or(Fail::Memory)?;
            at = allocator
                .call(&mut *self.caller, size.cast_signed())
                .map_err(Fail::Trap)?;
            if at == 0 {
                return Err(Fail::Memory);
            }
            self.write(at, bytes)?;
        }
        self.write_u32(at_out, at.cast_unsigned())?;
        self.write_u32(size_out, size)
    }
}

/// A guest number as an offset; wasm32 numbers are unsigned.
fn offset(number: i32) -> Result<usize, Fail> {
    usize::try_from(number.cast_unsigned()).map_err(|_| Fail::Memory)
}
