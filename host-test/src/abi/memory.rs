//! Access to a guest's memory during a hostcall: the one place where guest pointers are looked at.
//!
//! In: pointers and sizes as the guest gave them (unsigned 32-bit). Out: copies, or `Fail::Memory`.
//! Invariant: nothing outside the guest's memory is read or written, whatever the numbers; result pointers are checked before
//! the guest's allocator is called.

use wasmtime::{Caller, Memory, TypedFunc};

use crate::{
    abi::{pairs, types::Status},
    module::ALLOCATORS,
    state::{HostState, headers::Headers, shared},
};

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

/// What was wrong with a hostcall's pointers; for the warning.
#[derive(Clone, Copy)]
pub(crate) enum Trouble {
    /// Not in the guest's memory.
    Outside { at: u32, size: u32 },
    /// The guest's allocator gave nothing, or a place outside.
    Allocator { size: u32, answer: u32 },
    /// A map that is malformed.
    Map { at: u32 },
    /// The host keeps no more of this for its guests.
    Full { what: &'static str, most: usize },
}

/// Allocations within allocations; a guest whose allocator makes hostcalls that need the allocator ends here.
const MAX_NESTED: u32 = 8;

/// What a hostcall works with: the guest's memory and the host's state.
pub(crate) struct Cx<'a, 'b> {
    pub(crate) caller: &'a mut Caller<'b, HostState>,
    pub(crate) bytes: Bytes,
    /// The last thing that was wrong.
    pub(crate) trouble: Option<Trouble>,
}

impl Cx<'_, '_> {
    /// The answer to a guest that makes the host keep too much.
    pub(crate) fn full(&mut self, what: &'static str, most: usize) -> Fail {
        self.trouble = Some(Trouble::Full { what, most });
        Status::InternalFailure.into()
    }

    /// The answer of shared data, queues and metrics to what they do not take.
    pub(crate) fn store(&mut self, status: Status) -> Fail {
        match status {
            Status::InternalFailure => {
                self.full("bytes of shared data, queues and metrics", shared::MOST)
            }
            status => status.into(),
        }
    }

    pub(crate) fn state(&mut self) -> &mut HostState {
        self.caller.data_mut()
    }

    /// The size of the guest's memory.
    pub(crate) fn memory_bytes(&mut self) -> usize {
        let memory = self.memory();
        memory.map_or(0, |memory| memory.data_size(&*self.caller))
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
        self.trouble = Some(outside(at, size));
        let memory = self.memory()?;
        let (at, size) = (offset(at)?, offset(size)?);
        let end = at.checked_add(size).ok_or(Fail::Memory)?;
        let bytes = memory.data(&*self.caller).get(at..end);
        let bytes = bytes.ok_or(Fail::Memory)?;
        self.trouble = None;
        Ok(bytes)
    }

    /// Copies bytes into the guest.
    pub(crate) fn write(&mut self, at: i32, bytes: &[u8]) -> Answer {
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.check(at, size.cast_signed())?;
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
            at = self.allocate(size)?;
            if at == 0 || self.write(at, bytes).is_err() {
                let answer = at.cast_unsigned();
                self.trouble = Some(Trouble::Allocator { size, answer });
                return Err(Fail::Memory);
            }
        }
        self.write_u32(at_out, at.cast_unsigned())?;
        self.write_u32(size_out, size)
    }

    /// Runs the guest's allocator, which may make hostcalls that need it again: so often and no more.
    fn allocate(&mut self, size: u32) -> Result<i32, Fail> {
        let state = self.caller.data_mut();
        if state.allocating >= MAX_NESTED {
            let hostcall = state.last_hostcall.unwrap_or_default();
            return Err(Fail::Trap(wasmtime::Error::msg(format!(
                "{hostcall} from within the guest's allocator needs the allocator, {MAX_NESTED} times over"
            ))));
        }
        // A hostcall from the start function comes before the host has looked at the exports.
        let known = state.allocator.clone();
        let allocator = known.or_else(|| self.exported_allocator());
        let allocator = allocator.ok_or(Fail::Memory)?;
        self.caller.data_mut().allocating += 1;
        let at = allocator.call(&mut *self.caller, size.cast_signed());
        self.caller.data_mut().allocating -= 1;
        at.map_err(Fail::Trap)
    }

    fn exported_allocator(&mut self) -> Option<TypedFunc<i32, i32>> {
        ALLOCATORS.iter().find_map(|name| {
            let function = self.caller.get_export(name)?.into_func()?;
            function.typed(&*self.caller).ok()
        })
    }

    /// A guest's map of fields.
    pub(crate) fn map(&mut self, at: i32, size: i32) -> Result<Headers, Fail> {
        let bytes = self.read(at, size)?;
        pairs::decode(&bytes).ok_or_else(|| {
            let at = at.cast_unsigned();
            self.trouble = Some(Trouble::Map { at });
            Status::BadArgument.into()
        })
    }
}

fn outside(at: i32, size: i32) -> Trouble {
    Trouble::Outside {
        at: at.cast_unsigned(),
        size: size.cast_unsigned(),
    }
}

/// A guest number as an offset; wasm32 numbers are unsigned.
fn offset(number: i32) -> Result<usize, Fail> {
    usize::try_from(number.cast_unsigned()).map_err(|_| Fail::Memory)
}
