//! The Proxy-Wasm ABI v0.2.1, all of it that is used: imports, exports, `malloc`. The only `unsafe` and the only file
//! that names a hostcall.
//!
//! **In:** statuses and pointers from the host. **Out:** typed errors and slices that live as long as the callback.
//! **Invariant:** every status is data (an unknown one is [`HostError::Unknown`]); a result is believed only if it
//! lies inside memory that `malloc` handed out last; a callback that meets a busy plugin refuses, it never panics.
//! The host re-enters `malloc` inside a hostcall: the arena is a static of its own, borrowed for no longer than one
//! bump.
//! **Cost:** results are bump-allocated from 64 KiB and reset at each callback; what does not fit is allocated.
#![expect(
    unsafe_code,
    reason = "the wasm boundary: raw pointers in, raw pointers out"
)]

use core::cell::{Cell, UnsafeCell};
use core::ptr;

use crate::enforce::Reply;
use crate::root::Plugin;

/// Which header map.
#[derive(Clone, Copy)]
pub(crate) enum Map {
    Request = 0,
    RequestTrailers = 1,
    Response = 2,
    /// Of the call-out whose callback runs.
    Callout = 6,
}

/// Which buffer.
#[derive(Clone, Copy)]
pub(crate) enum Buffer {
    RequestBody = 0,
    /// Of the call-out whose callback runs.
    CalloutBody = 4,
    /// The message of the gRPC call whose callback runs.
    GrpcMessage = 5,
    PluginConfiguration = 7,
}

/// Log levels used.
#[derive(Clone, Copy)]
pub(crate) enum Level {
    Info = 2,
    Warn = 3,
    Error = 4,
}

/// What a headers or body callback answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Continue = 0,
    /// Body callbacks come, if the host's flag is set.
    Pause = 1,
    /// Nothing comes before the stream is continued; the client is slowed down. From headers only.
    Stop = 4,
}

/// A hostcall that did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostError {
    NotFound,
    CasMismatch,
    /// A status of the specification that says the call failed.
    Failed(u32),
    /// A status the specification does not know.
    Unknown(u32),
    /// `OK`, but the result lies outside the memory handed out for it.
    BadResult,
}

fn status(code: u32) -> Result<(), HostError> {
    match code {
        0 => Ok(()),
        1 => Err(HostError::NotFound),
        8 => Err(HostError::CasMismatch),
        2..=7 | 9..=12 => Err(HostError::Failed(code)),
        _ => Err(HostError::Unknown(code)),
    }
}

/// The host, for the length of one callback. Only the exports below make one.
pub(crate) struct Host(());

impl Host {
    fn begin() -> Self {
        ARENA.reset();
        Self(())
    }

    /// All pairs of a map, encoded.
    pub(crate) fn header_pairs(&self, map: Map) -> Result<&[u8], HostError> {
        // SAFETY: the out-pointers are valid for the call.
        self.result(|data, size| unsafe { proxy_get_header_map_pairs(map as u32, data, size) })
    }

    /// The first value of a header.
    pub(crate) fn header(&self, map: Map, name: &[u8]) -> Result<&[u8], HostError> {
        // SAFETY: `name` and the out-pointers are valid for the call.
        self.result(|data, size| unsafe {
            proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), data, size)
        })
    }

    pub(crate) fn replace_header(
        &self,
        map: Map,
        name: &[u8],
        value: &[u8],
    ) -> Result<(), HostError> {
        // SAFETY: both slices are valid for the call.
        status(unsafe {
            proxy_replace_header_map_value(
                map as u32,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        })
    }

    /// Adds a field, beside any of the same name.
    pub(crate) fn add_header(&self, map: Map, name: &[u8], value: &[u8]) -> Result<(), HostError> {
        // SAFETY: both slices are valid for the call.
        status(unsafe {
            proxy_add_header_map_value(
                map as u32,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        })
    }

    pub(crate) fn remove_header(&self, map: Map, name: &[u8]) -> Result<(), HostError> {
        // SAFETY: the slice is valid for the call.
        status(unsafe { proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
    }

    /// A property; its path's parts are joined by NUL.
    pub(crate) fn property(&self, path: &[u8]) -> Result<&[u8], HostError> {
        // SAFETY: `path` and the out-pointers are valid for the call.
        self.result(|data, size| unsafe {
            proxy_get_property(path.as_ptr(), path.len(), data, size)
        })
    }

    pub(crate) fn set_property(&self, path: &[u8], value: &[u8]) -> Result<(), HostError> {
        // SAFETY: both slices are valid for the call.
        status(unsafe {
            proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len())
        })
    }

    /// The first `size` bytes of a buffer.
    pub(crate) fn buffer(&self, buffer: Buffer, size: usize) -> Result<&[u8], HostError> {
        // SAFETY: the out-pointers are valid for the call.
        self.result(|data, length| unsafe {
            proxy_get_buffer_bytes(buffer as u32, 0, size, data, length)
        })
    }

    /// Copies the value of a shared key into `out` and gives its version. The copy in the arena is given back.
    pub(crate) fn shared_data(&self, key: &[u8], out: &mut Vec<u8>) -> Result<u32, HostError> {
        out.clear();
        let mark = ARENA.used.get();
        let mut cas = 0_u32;
        // SAFETY: `key` and the out-pointers are valid for the call.
        let value = self.result(|data, size| unsafe {
            proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &raw mut cas)
        });
        let outcome = value.map(|value| out.extend_from_slice(value));
        ARENA.used.set(mark);
        outcome.map(|()| cas)
    }

    pub(crate) fn set_shared_data(
        &self,
        key: &[u8],
        value: &[u8],
        cas: u32,
    ) -> Result<(), HostError> {
        // SAFETY: both slices are valid for the call.
        status(unsafe {
            proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
        })
    }

    /// Calls a function that the host has beyond the ABI. The copy of the result in the arena is given back.
    pub(crate) fn call_foreign(
        &self,
        name: &[u8],
        arguments: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), HostError> {
        out.clear();
        let mark = ARENA.used.get();
        // SAFETY: `name`, `arguments` and the out-pointers are valid for the call.
        let result = self.result(|data, size| unsafe {
            proxy_call_foreign_function(
                name.as_ptr(),
                name.len(),
                arguments.as_ptr(),
                arguments.len(),
                data,
                size,
            )
        });
        let outcome = result.map(|result| out.extend_from_slice(result));
        ARENA.used.set(mark);
        outcome
    }

    pub(crate) fn send_reply(&self, reply: &Reply) -> Result<(), HostError> {
        let grpc = reply.grpc.map_or(u32::MAX, u32::from);
        // SAFETY: all slices are valid for the call.
        status(unsafe {
            proxy_send_local_response(
                u32::from(reply.status),
                reply.details.as_ptr(),
                reply.details.len(),
                reply.body.as_ptr(),
                reply.body.len(),
                reply.headers.as_ptr(),
                reply.headers.len(),
                grpc,
            )
        })
    }

    /// Lets a held request go on.
    pub(crate) fn continue_request(&self) -> Result<(), HostError> {
        // 0 is the request side. SAFETY: no pointers.
        status(unsafe { proxy_continue_stream(0) })
    }

    /// Sends a request to a cluster; its token comes back with the answer. `headers` is an encoded map.
    pub(crate) fn http_call(
        &self,
        cluster: &[u8],
        headers: &[u8],
        body: &[u8],
        timeout_ms: u32,
    ) -> Result<u32, HostError> {
        // An encoded map without pairs.
        const NO_TRAILERS: [u8; 4] = [0; 4];
        let mut token = 0_u32;
        // SAFETY: all slices and the out-pointer are valid for the call.
        status(unsafe {
            proxy_http_call(
                cluster.as_ptr(),
                cluster.len(),
                headers.as_ptr(),
                headers.len(),
                body.as_ptr(),
                body.len(),
                NO_TRAILERS.as_ptr(),
                NO_TRAILERS.len(),
                timeout_ms,
                &raw mut token,
            )
        })?;
        Ok(token)
    }

    /// Sends a message to a gRPC method; the token comes back with its answer. `upstream` is an encoded `GrpcService`.
    pub(crate) fn grpc_call(
        &self,
        upstream: &[u8],
        service: &str,
        method: &str,
        message: &[u8],
        timeout_ms: u32,
    ) -> Result<u32, HostError> {
        // An encoded map without pairs.
        const NO_METADATA: [u8; 4] = [0; 4];
        let mut token = 0_u32;
        // SAFETY: all slices and the out-pointer are valid for the call.
        status(unsafe {
            proxy_grpc_call(
                upstream.as_ptr(),
                upstream.len(),
                service.as_ptr(),
                service.len(),
                method.as_ptr(),
                method.len(),
                NO_METADATA.as_ptr(),
                NO_METADATA.len(),
                message.as_ptr(),
                message.len(),
                timeout_ms,
                &raw mut token,
            )
        })?;
        Ok(token)
    }

    /// Ends the request's stream without an answer.
    pub(crate) fn close_stream(&self) -> Result<(), HostError> {
        // 0 is the request side. SAFETY: no pointers.
        status(unsafe { proxy_close_stream(0) })
    }

    /// Makes the calls that follow act on another context (from the tick).
    pub(crate) fn act_on(&self, context: u32) -> Result<(), HostError> {
        // SAFETY: no pointers.
        status(unsafe { proxy_set_effective_context(context) })
    }

    pub(crate) fn set_tick_period(&self, milliseconds: u32) -> Result<(), HostError> {
        // SAFETY: no pointers.
        status(unsafe { proxy_set_tick_period_milliseconds(milliseconds) })
    }

    /// Defines a counter and gives its id.
    pub(crate) fn define_counter(&self, name: &[u8]) -> Result<u32, HostError> {
        let mut id = 0_u32;
        // SAFETY: `name` and the out-pointer are valid for the call.
        status(unsafe { proxy_define_metric(0, name.as_ptr(), name.len(), &raw mut id) })?;
        Ok(id)
    }

    /// Defines a gauge and gives its id.
    pub(crate) fn define_gauge(&self, name: &[u8]) -> Result<u32, HostError> {
        let mut id = 0_u32;
        // SAFETY: `name` and the out-pointer are valid for the call.
        status(unsafe { proxy_define_metric(1, name.as_ptr(), name.len(), &raw mut id) })?;
        Ok(id)
    }

    pub(crate) fn record(&self, metric: u32, value: u64) -> Result<(), HostError> {
        // SAFETY: no pointers.
        status(unsafe { proxy_record_metric(metric, value) })
    }

    pub(crate) fn increment(&self, metric: u32, by: u64) -> Result<(), HostError> {
        // SAFETY: no pointers.
        status(unsafe { proxy_increment_metric(metric, i64::try_from(by).unwrap_or(i64::MAX)) })
    }

    /// Logs a line. A log that fails has nowhere to complain.
    pub(crate) fn log(&self, level: Level, line: &[u8]) {
        // SAFETY: the slice is valid for the call.
        let _ = unsafe { proxy_log(level as u32, line.as_ptr(), line.len()) };
    }

    /// Nanoseconds since 1970.
    pub(crate) fn wall_ns(&self) -> Result<u64, HostError> {
        self.clock(0)
    }

    /// Nanoseconds on a clock that never goes back.
    pub(crate) fn monotonic_ns(&self) -> Result<u64, HostError> {
        self.clock(1)
    }

    fn clock(&self, id: u32) -> Result<u64, HostError> {
        let mut time = 0_u64;
        // SAFETY: the out-pointer is valid for the call.
        wasi(unsafe { clock_time_get(id, 0, &raw mut time) })?;
        Ok(time)
    }

    pub(crate) fn random(&self, out: &mut [u8]) -> Result<(), HostError> {
        // SAFETY: `out` is valid for writes of its length.
        wasi(unsafe { random_get(out.as_mut_ptr(), out.len()) })
    }

    /// The environment as the host wrote it: `NAME=value\0` one after the other. Configure time only.
    pub(crate) fn environment(&self) -> Result<Vec<u8>, HostError> {
        let (mut count, mut size) = (0_usize, 0_usize);
        // SAFETY: the out-pointers are valid for the call.
        wasi(unsafe { environ_sizes_get(&raw mut count, &raw mut size) })?;
        if count > MAX_ENVIRONMENT || size > MAX_ENVIRONMENT {
            return Err(HostError::BadResult);
        }
        let mut pointers: Vec<*mut u8> = vec![ptr::null_mut(); count];
        let mut bytes = vec![0_u8; size];
        // SAFETY: the host said it writes `count` pointers and `size` bytes; both vectors are that long.
        wasi(unsafe { environ_get(pointers.as_mut_ptr(), bytes.as_mut_ptr()) })?;
        Ok(bytes)
    }

    /// Runs a call that returns memory, and believes it only inside what `malloc` gave out last.
    fn result(
        &self,
        call: impl FnOnce(*mut *mut u8, *mut usize) -> u32,
    ) -> Result<&[u8], HostError> {
        let (mut data, mut size) = (ptr::null_mut::<u8>(), 0_usize);
        ARENA.last.set((ptr::null_mut(), 0));
        status(call(&raw mut data, &raw mut size))?;
        if size == 0 {
            return Ok(&[]);
        }
        let (given, length) = ARENA.last.get();
        if given.is_null() || data != given || size > length {
            return Err(HostError::BadResult);
        }
        // SAFETY: `given` points to `length >= size` initialised bytes that stay in place until the next callback's
        // `begin`, which cannot run while `self` is borrowed; nothing writes to them meanwhile.
        Ok(unsafe { core::slice::from_raw_parts(data, size) })
    }
}

fn wasi(errno: u32) -> Result<(), HostError> {
    match errno {
        0 => Ok(()),
        other => Err(HostError::Failed(other)),
    }
}

/// Variables and bytes of an environment that is read.
const MAX_ENVIRONMENT: usize = 1024 * 1024;

// --- imports -------------------------------------------------------------------------------------------------------

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_get_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_add_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_replace_header_map_value(
        map: u32,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_size: usize) -> u32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> u32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> u32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> u32;
    fn proxy_call_foreign_function(
        name: *const u8,
        name_size: usize,
        arguments: *const u8,
        arguments_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: u32,
    ) -> u32;
    fn proxy_continue_stream(stream_type: u32) -> u32;
    fn proxy_close_stream(stream_type: u32) -> u32;
    fn proxy_http_call(
        cluster: *const u8,
        cluster_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_grpc_call(
        upstream: *const u8,
        upstream_size: usize,
        service: *const u8,
        service_size: usize,
        method: *const u8,
        method_size: usize,
        metadata: *const u8,
        metadata_size: usize,
        message: *const u8,
        message_size: usize,
        timeout: u32,
        token: *mut u32,
    ) -> u32;
    fn proxy_set_effective_context(context: u32) -> u32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_log(level: u32, line: *const u8, size: usize) -> u32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u32;
    fn random_get(buffer: *mut u8, size: usize) -> u32;
    fn environ_sizes_get(count: *mut usize, size: *mut usize) -> u32;
    fn environ_get(pointers: *mut *mut u8, bytes: *mut u8) -> u32;
}

// --- memory for results --------------------------------------------------------------------------------------------

/// What most callbacks need in all: a header map is 1–4 KiB, a table set about 1 KiB.
const BASE: usize = 64 * 1024;
/// The largest single result: a body up to its bound, or a header map of 1 MiB.
const MAX_RESULT: usize = 16 * 1024 * 1024;
const ALIGN: usize = 8;

struct Arena {
    base: UnsafeCell<[u8; BASE]>,
    used: Cell<usize>,
    last: Cell<(*mut u8, usize)>,
    /// Results that did not fit; dropped at the next callback.
    spill: UnsafeCell<Vec<Vec<u8>>>,
}

// SAFETY: a wasm module without threads has one thread.
unsafe impl Sync for Arena {}

static ARENA: Arena = Arena {
    base: UnsafeCell::new([0; BASE]),
    used: Cell::new(0),
    last: Cell::new((ptr::null_mut(), 0)),
    spill: UnsafeCell::new(Vec::new()),
};

impl Arena {
    fn reset(&self) {
        self.used.set(0);
        self.last.set((ptr::null_mut(), 0));
        // SAFETY: called at the start of a callback only: no result of an earlier one is borrowed (they live no
        // longer than its `Host`), and nothing else touches `spill` while this runs.
        let spill = unsafe { &mut *self.spill.get() };
        if !spill.is_empty() {
            spill.clear();
        }
    }

    fn allocate(&self, size: usize) -> *mut u8 {
        let used = self.used.get();
        let rounded = size.saturating_add(ALIGN - 1) & !(ALIGN - 1);
        let end = used.saturating_add(rounded);
        let place = if end <= BASE {
            self.used.set(end);
            // SAFETY: `used <= end <= BASE`, so the result points into `base` (or one past it when `size` is 0).
            unsafe { self.base.get().cast::<u8>().add(used) }
        } else {
            self.spilled(size)
        };
        self.last.set((place, size));
        place
    }

    /// A block of its own; null when it is over the bound or there is no memory: the host then reports a failure.
    #[cold]
    fn spilled(&self, size: usize) -> *mut u8 {
        let mut block = Vec::new();
        if size > MAX_RESULT || block.try_reserve_exact(size).is_err() {
            return ptr::null_mut();
        }
        block.resize(size, 0);
        let place = block.as_mut_ptr();
        // SAFETY: single thread; `reset` does not run inside a callback; a `Vec` moved keeps its heap block.
        let spill = unsafe { &mut *self.spill.get() };
        if spill.try_reserve(1).is_err() {
            return ptr::null_mut();
        }
        spill.push(block);
        place
    }
}

/// Called by the host, inside our hostcalls, for every result.
#[unsafe(no_mangle)]
extern "C" fn malloc(size: usize) -> *mut u8 {
    ARENA.allocate(size)
}

// --- the allocator -------------------------------------------------------------------------------------------------

/// Power-of-two size classes with a free list each, over `memory.grow`. Ours because the allocator of `std` for this
/// target asserts in `free` and `realloc`: panics every request could reach. Never coalesces: memory stays at the peak
/// of each class, at most twice what was asked for.
struct Classes {
    /// First free block of each class (16 bytes shifted by the index); a free block holds the address of the next.
    free: UnsafeCell<[*mut u8; CLASSES]>,
    /// Fresh memory: where it starts and how much is left.
    fresh: Cell<(*mut u8, usize)>,
}

/// Classes from 16 bytes to 512 MiB.
const CLASSES: usize = 26;
/// Alignment of every block; nothing asks for more.
const BLOCK_ALIGN: usize = 16;
const PAGE: usize = 64 * 1024;
/// Pages fetched at once for small blocks; a larger block gets pages of its own.
const CHUNK_PAGES: usize = 4;

// SAFETY: a wasm module without threads has one thread.
unsafe impl Sync for Classes {}

#[global_allocator]
static CLASSES_IN_USE: Classes = Classes {
    free: UnsafeCell::new([ptr::null_mut(); CLASSES]),
    fresh: Cell::new((ptr::null_mut(), 0)),
};

/// Class of a size and the bytes of its blocks.
fn class_of(size: usize) -> (usize, usize) {
    let class = usize::BITS
        .wrapping_sub(size.saturating_sub(1).leading_zeros())
        .saturating_sub(4);
    let class = usize::try_from(class).unwrap_or(CLASSES);
    (
        class,
        16_usize.wrapping_shl(u32::try_from(class).unwrap_or(0)),
    )
}

impl Classes {
    fn carve(&self, bytes: usize) -> *mut u8 {
        let (start, left) = self.fresh.get();
        if bytes <= left {
            // SAFETY: `start` begins `left >= bytes` bytes of fresh memory.
            self.fresh
                .set((unsafe { start.add(bytes) }, left.wrapping_sub(bytes)));
            return start;
        }
        let small = bytes <= PAGE / 2;
        let pages = if small {
            CHUNK_PAGES
        } else {
            bytes.div_ceil(PAGE)
        };
        let before = core::arch::wasm32::memory_grow(0, pages);
        if before == usize::MAX {
            return ptr::null_mut();
        }
        let start = ptr::with_exposed_provenance_mut::<u8>(before.wrapping_mul(PAGE));
        if small {
            let left = pages.wrapping_mul(PAGE).wrapping_sub(bytes);
            // SAFETY: the new pages hold more than `bytes`.
            self.fresh.set((unsafe { start.add(bytes) }, left));
        }
        start
    }
}

// SAFETY: a block of a class is at least as large as the layout that chose the class, 16-aligned, and on no free list
// while it is handed out; size and so class of a block are the same when it comes back.
unsafe impl core::alloc::GlobalAlloc for Classes {
    unsafe fn alloc(&self, layout: core::alloc::Layout) -> *mut u8 {
        let (class, bytes) = class_of(layout.size());
        if layout.align() > BLOCK_ALIGN {
            return ptr::null_mut();
        }
        // SAFETY: single thread, and nothing below calls back.
        let free = unsafe { &mut *self.free.get() };
        let Some(first) = free.get_mut(class) else {
            return ptr::null_mut();
        };
        let block = *first;
        if block.is_null() {
            return self.carve(bytes);
        }
        // SAFETY: a free block holds the address of the next one in its first bytes, and is 16-aligned.
        *first = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: core::alloc::Layout) {
        let (class, _) = class_of(layout.size());
        // SAFETY: single thread, and nothing below calls back.
        let free = unsafe { &mut *self.free.get() };
        if let Some(first) = free.get_mut(class) {
            // SAFETY: the block is ours again, 16-aligned and at least 16 bytes long.
            unsafe { block.cast::<*mut u8>().write(*first) };
            *first = block;
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: core::alloc::Layout, size: usize) -> *mut u8 {
        if class_of(layout.size()).0 == class_of(size).0 {
            return block;
        }
        // SAFETY: the caller keeps the contract of `realloc`: `size` is not zero and fits the alignment.
        unsafe {
            let moved = self.alloc(core::alloc::Layout::from_size_align_unchecked(
                size,
                layout.align(),
            ));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

// --- exports -------------------------------------------------------------------------------------------------------

struct Cellar {
    plugin: UnsafeCell<Option<Plugin>>,
    busy: Cell<bool>,
}

// SAFETY: a wasm module without threads has one thread.
unsafe impl Sync for Cellar {}

static CELLAR: Cellar = Cellar {
    plugin: UnsafeCell::new(None),
    busy: Cell::new(false),
};

/// Runs a callback on the plugin's state; `otherwise` when the host calls back into a running one.
fn enter<R>(otherwise: R, callback: impl FnOnce(&mut Plugin, &Host) -> R) -> R {
    if CELLAR.busy.replace(true) {
        return otherwise;
    }
    let host = Host::begin();
    // SAFETY: `busy` was false, so no other reference to the plugin exists until it is false again.
    let plugin = unsafe { &mut *CELLAR.plugin.get() }.get_or_insert_with(Plugin::default);
    let result = callback(plugin, &host);
    CELLAR.busy.set(false);
    result
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_vm_start(_context: u32, _configuration_size: usize) -> u32 {
    1
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(context: u32, size: usize) -> u32 {
    enter(0, |plugin, host| {
        u32::from(plugin.configure(host, context, size))
    })
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(context: u32) {
    enter((), |plugin, host| plugin.tick(host, context));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, parent: u32) {
    enter((), |plugin, _| plugin.create(context, parent));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, _headers: u32, end: u32) -> u32 {
    enter(Action::Pause, |plugin, host| {
        plugin.request_headers(host, context, end != 0)
    }) as u32
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, size: usize, end: u32) -> u32 {
    enter(Action::Pause, |plugin, host| {
        plugin.request_body(host, context, size, end != 0)
    }) as u32
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(context: u32, _trailers: u32) -> u32 {
    enter(Action::Pause, |plugin, host| {
        plugin.request_trailers(host, context)
    }) as u32
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, _headers: u32, _end: u32) -> u32 {
    enter((), |plugin, host| plugin.response_headers(host, context));
    Action::Continue as u32
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(
    _context: u32,
    token: u32,
    headers: u32,
    body_size: usize,
    _trailers: u32,
) {
    enter((), |plugin, host| {
        plugin.callout_answered(host, token, headers > 0, body_size);
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive(_context: u32, token: u32, size: usize) {
    enter((), |plugin, host| {
        plugin.service_answered(host, token, Some(size));
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_close(_context: u32, token: u32, _status: u32) {
    enter((), |plugin, host| {
        plugin.service_answered(host, token, None);
    });
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    enter((), |plugin, host| plugin.delete(host, context));
}
