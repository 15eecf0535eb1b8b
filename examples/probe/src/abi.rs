//! The Proxy-Wasm ABI v0.2.1 as the probe needs it: raw calls, any return value, no judgement of statuses.
//!
//! In: callbacks. Out: `Probe`'s methods, and statuses with results for its actions.
//! Invariant: the only `unsafe` of the probe. Both allocators are exported and counted, so that the one a host calls can be told.
//! Source: ABI v0.2.1. The SDK would not do: its callbacks cannot answer 2 or 4, and it panics on unknown statuses.
#![expect(
    unsafe_code,
    reason = "the wasm boundary: raw pointers in, raw pointers out"
)]

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Probe;

macro_rules! imports {
    ($($name:ident($($arg:ident: $ty:ty),*);)*) => {
        #[link(wasm_import_module = "env")]
        unsafe extern "C" {
            $(fn $name($($arg: $ty),*) -> i32;)*
        }
    };
}

imports! {
    proxy_log(level: i32, data: *const u8, size: usize);
    proxy_get_log_level(level: *mut i32);
    proxy_get_current_time_nanoseconds(time: *mut u64);
    proxy_set_tick_period_milliseconds(period: u32);
    proxy_set_effective_context(context: u32);
    proxy_done();
    proxy_get_status(code: *mut i32, data: *mut *mut u8, size: *mut usize);
    proxy_get_buffer_bytes(kind: i32, start: u32, max: u32, data: *mut *mut u8, size: *mut usize);
    proxy_get_buffer_status(kind: i32, size: *mut usize, flags: *mut u32);
    proxy_set_buffer_bytes(kind: i32, start: u32, max: u32, data: *const u8, size: usize);
    proxy_get_header_map_pairs(kind: i32, data: *mut *mut u8, size: *mut usize);
    proxy_get_header_map_size(kind: i32, size: *mut usize);
    proxy_set_header_map_pairs(kind: i32, data: *const u8, size: usize);
    proxy_get_header_map_value(kind: i32, name: *const u8, name_size: usize, data: *mut *mut u8, size: *mut usize);
    proxy_add_header_map_value(kind: i32, name: *const u8, name_size: usize, value: *const u8, value_size: usize);
    proxy_replace_header_map_value(kind: i32, name: *const u8, name_size: usize, value: *const u8, value_size: usize);
    proxy_remove_header_map_value(kind: i32, name: *const u8, name_size: usize);
    proxy_continue_stream(kind: i32);
    proxy_close_stream(kind: i32);
    proxy_send_local_response(status: i32, details: *const u8, details_size: usize, body: *const u8, body_size: usize,
        headers: *const u8, headers_size: usize, grpc_status: i32);
    proxy_get_shared_data(key: *const u8, key_size: usize, data: *mut *mut u8, size: *mut usize, cas: *mut u32);
    proxy_set_shared_data(key: *const u8, key_size: usize, value: *const u8, value_size: usize, cas: u32);
    proxy_register_shared_queue(name: *const u8, name_size: usize, queue: *mut u32);
    proxy_resolve_shared_queue(vm: *const u8, vm_size: usize, name: *const u8, name_size: usize, queue: *mut u32);
    proxy_enqueue_shared_queue(queue: u32, value: *const u8, value_size: usize);
    proxy_dequeue_shared_queue(queue: u32, data: *mut *mut u8, size: *mut usize);
    proxy_define_metric(kind: i32, name: *const u8, name_size: usize, metric: *mut u32);
    proxy_record_metric(metric: u32, value: u64);
    proxy_increment_metric(metric: u32, delta: i64);
    proxy_get_metric(metric: u32, value: *mut u64);
    proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize);
    proxy_set_property(path: *const u8, path_size: usize, value: *const u8, value_size: usize);
    proxy_http_call(upstream: *const u8, upstream_size: usize, headers: *const u8, headers_size: usize,
        body: *const u8, body_size: usize, trailers: *const u8, trailers_size: usize, timeout: u32, call: *mut u32);
    proxy_call_foreign_function(name: *const u8, name_size: usize, arguments: *const u8, arguments_size: usize,
        data: *mut *mut u8, size: *mut usize);
}

/// A status, and what the call gave besides.
pub(crate) type Answer<T> = (i32, T);

static BY_ABI_NAME: AtomicU32 = AtomicU32::new(0);
static BY_MALLOC: AtomicU32 = AtomicU32::new(0);

fn allocate(size: usize) -> *mut u8 {
    Box::leak(vec![0u8; size].into_boxed_slice()).as_mut_ptr()
}

/// How often each allocator has been called.
pub(crate) fn allocations() -> (u32, u32) {
    (
        BY_ABI_NAME.load(Ordering::Relaxed),
        BY_MALLOC.load(Ordering::Relaxed),
    )
}

/// Bytes the host wrote into memory it had from an allocator.
fn returned(call: impl FnOnce(*mut *mut u8, *mut usize) -> i32) -> Answer<Vec<u8>> {
    let (mut data, mut size) = (std::ptr::null_mut::<u8>(), 0usize);
    let status = call(&raw mut data, &raw mut size);
    if status != 0 || data.is_null() || size == 0 {
        return (status, Vec::new());
    }
    // SAFETY: the host allocated exactly `size` bytes by one of the exports below, which leak a boxed slice.
    let bytes = unsafe { Vec::from_raw_parts(data, size, size) };
    (status, bytes)
}

macro_rules! call {
    ($call:expr) => {
        // SAFETY: pointers are of slices or locals that live over the call; the host writes to out-pointers only.
        unsafe { $call }
    };
}

pub(crate) fn log(level: i32, text: &str) -> i32 {
    call!(proxy_log(level, text.as_ptr(), text.len()))
}

pub(crate) fn log_level() -> Answer<i32> {
    let mut level = -1;
    (call!(proxy_get_log_level(&raw mut level)), level)
}

pub(crate) fn time() -> Answer<u64> {
    let mut time = 0;
    (
        call!(proxy_get_current_time_nanoseconds(&raw mut time)),
        time,
    )
}

pub(crate) fn set_period(milliseconds: u32) -> i32 {
    call!(proxy_set_tick_period_milliseconds(milliseconds))
}

pub(crate) fn set_context(context: u32) -> i32 {
    call!(proxy_set_effective_context(context))
}

pub(crate) fn done() -> i32 {
    call!(proxy_done())
}

pub(crate) fn status() -> (i32, i32, Vec<u8>) {
    let mut code = -1;
    let (status, text) = returned(|data, size| call!(proxy_get_status(&raw mut code, data, size)));
    (status, code, text)
}

pub(crate) fn buffer(kind: i32, start: u32, max: u32) -> Answer<Vec<u8>> {
    returned(|data, size| call!(proxy_get_buffer_bytes(kind, start, max, data, size)))
}

pub(crate) fn buffer_status(kind: i32) -> Answer<usize> {
    let (mut size, mut flags) = (0, 0);
    (
        call!(proxy_get_buffer_status(kind, &raw mut size, &raw mut flags)),
        size,
    )
}

pub(crate) fn set_buffer(kind: i32, start: u32, max: u32, bytes: &[u8]) -> i32 {
    call!(proxy_set_buffer_bytes(
        kind,
        start,
        max,
        bytes.as_ptr(),
        bytes.len()
    ))
}

pub(crate) fn map(kind: i32) -> Answer<Vec<u8>> {
    returned(|data, size| call!(proxy_get_header_map_pairs(kind, data, size)))
}

pub(crate) fn map_size(kind: i32) -> Answer<usize> {
    let mut size = 0;
    (call!(proxy_get_header_map_size(kind, &raw mut size)), size)
}

pub(crate) fn set_map(kind: i32, bytes: &[u8]) -> i32 {
    call!(proxy_set_header_map_pairs(
        kind,
        bytes.as_ptr(),
        bytes.len()
    ))
}

pub(crate) fn header(kind: i32, name: &[u8]) -> Answer<Vec<u8>> {
    returned(|data, size| {
        call!(proxy_get_header_map_value(
            kind,
            name.as_ptr(),
            name.len(),
            data,
            size
        ))
    })
}

pub(crate) fn add_header(kind: i32, name: &[u8], value: &[u8]) -> i32 {
    call!(proxy_add_header_map_value(
        kind,
        name.as_ptr(),
        name.len(),
        value.as_ptr(),
        value.len()
    ))
}

pub(crate) fn replace_header(kind: i32, name: &[u8], value: &[u8]) -> i32 {
    call!(proxy_replace_header_map_value(
        kind,
        name.as_ptr(),
        name.len(),
        value.as_ptr(),
        value.len()
    ))
}

pub(crate) fn remove_header(kind: i32, name: &[u8]) -> i32 {
    call!(proxy_remove_header_map_value(
        kind,
        name.as_ptr(),
        name.len()
    ))
}

pub(crate) fn resume(kind: i32) -> i32 {
    call!(proxy_continue_stream(kind))
}

pub(crate) fn close(kind: i32) -> i32 {
    call!(proxy_close_stream(kind))
}

pub(crate) fn reply(
    status: i32,
    details: &[u8],
    body: &[u8],
    headers: &[u8],
    grpc_status: i32,
) -> i32 {
    call!(proxy_send_local_response(
        status,
        details.as_ptr(),
        details.len(),
        body.as_ptr(),
        body.len(),
        headers.as_ptr(),
        headers.len(),
        grpc_status
    ))
}

pub(crate) fn shared(key: &[u8]) -> (i32, Vec<u8>, u32) {
    let mut cas = 0;
    let (status, value) = returned(|data, size| {
        call!(proxy_get_shared_data(
            key.as_ptr(),
            key.len(),
            data,
            size,
            &raw mut cas
        ))
    });
    (status, value, cas)
}

pub(crate) fn set_shared(key: &[u8], value: &[u8], cas: u32) -> i32 {
    call!(proxy_set_shared_data(
        key.as_ptr(),
        key.len(),
        value.as_ptr(),
        value.len(),
        cas
    ))
}

pub(crate) fn register_queue(name: &[u8]) -> Answer<u32> {
    let mut queue = 0;
    (
        call!(proxy_register_shared_queue(
            name.as_ptr(),
            name.len(),
            &raw mut queue
        )),
        queue,
    )
}

pub(crate) fn resolve_queue(vm: &[u8], name: &[u8]) -> Answer<u32> {
    let mut queue = 0;
    let status = call!(proxy_resolve_shared_queue(
        vm.as_ptr(),
        vm.len(),
        name.as_ptr(),
        name.len(),
        &raw mut queue
    ));
    (status, queue)
}

pub(crate) fn enqueue(queue: u32, value: &[u8]) -> i32 {
    call!(proxy_enqueue_shared_queue(
        queue,
        value.as_ptr(),
        value.len()
    ))
}

pub(crate) fn dequeue(queue: u32) -> Answer<Vec<u8>> {
    returned(|data, size| call!(proxy_dequeue_shared_queue(queue, data, size)))
}

pub(crate) fn define_metric(kind: i32, name: &[u8]) -> Answer<u32> {
    let mut metric = 0;
    (
        call!(proxy_define_metric(
            kind,
            name.as_ptr(),
            name.len(),
            &raw mut metric
        )),
        metric,
    )
}

pub(crate) fn record_metric(metric: u32, value: u64) -> i32 {
    call!(proxy_record_metric(metric, value))
}

pub(crate) fn increment_metric(metric: u32, delta: i64) -> i32 {
    call!(proxy_increment_metric(metric, delta))
}

pub(crate) fn metric(metric: u32) -> Answer<u64> {
    let mut value = 0;
    (call!(proxy_get_metric(metric, &raw mut value)), value)
}

pub(crate) fn property(path: &[u8]) -> Answer<Vec<u8>> {
    returned(|data, size| call!(proxy_get_property(path.as_ptr(), path.len(), data, size)))
}

pub(crate) fn set_property(path: &[u8], value: &[u8]) -> i32 {
    call!(proxy_set_property(
        path.as_ptr(),
        path.len(),
        value.as_ptr(),
        value.len()
    ))
}

pub(crate) fn http_call(upstream: &[u8], headers: &[u8], body: &[u8], timeout: u32) -> Answer<u32> {
    let mut call = 0;
    let status = call!(proxy_http_call(
        upstream.as_ptr(),
        upstream.len(),
        headers.as_ptr(),
        headers.len(),
        body.as_ptr(),
        body.len(),
        headers.as_ptr(),
        0,
        timeout,
        &raw mut call
    ));
    (status, call)
}

pub(crate) fn foreign(name: &[u8], arguments: &[u8]) -> Answer<Vec<u8>> {
    returned(|data, size| {
        call!(proxy_call_foreign_function(
            name.as_ptr(),
            name.len(),
            arguments.as_ptr(),
            arguments.len(),
            data,
            size
        ))
    })
}

thread_local! {
    static PROBE: RefCell<Probe> = RefCell::default();
}

/// Runs one callback. A callback inside another's would panic, which is a trap: no host may do it.
fn with<T>(callback: impl FnOnce(&mut Probe) -> T) -> T {
    PROBE.with(|probe| callback(&mut probe.borrow_mut()))
}

macro_rules! exports {
    ($($name:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)? => $body:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            extern "C" fn $name($($arg: $ty),*) $(-> $out)? {
                $body
            }
        )*
    };
}

exports! {
    proxy_abi_version_0_2_1() => ();
    _initialize() => ();
    proxy_on_memory_allocate(size: usize) -> *mut u8 => {
        BY_ABI_NAME.fetch_add(1, Ordering::Relaxed);
        allocate(size)
    };
    malloc(size: usize) -> *mut u8 => {
        BY_MALLOC.fetch_add(1, Ordering::Relaxed);
        allocate(size)
    };
    proxy_on_context_create(context: u32, parent: u32) => with(|p| p.create(context, parent));
    proxy_on_vm_start(root: u32, size: usize) -> i32 => with(|p| p.vm_start(root, size));
    proxy_on_configure(root: u32, size: usize) -> i32 => with(|p| p.configure(root, size));
    proxy_on_tick(root: u32) => with(|p| p.tick(root));
    proxy_on_request_headers(context: u32, count: u32, end: u32) -> i32 => with(|p| p.request_headers(context, count, end));
    proxy_on_request_body(context: u32, size: u32, end: u32) -> i32 =>
        with(|p| p.run(context, "qb", &format!("size={size} end={end}"), 0));
    proxy_on_request_trailers(context: u32, count: u32) -> i32 => with(|p| p.run(context, "qt", &format!("n={count}"), 0));
    proxy_on_response_headers(context: u32, count: u32, end: u32) -> i32 =>
        with(|p| p.run(context, "sh", &format!("n={count} end={end}"), 0));
    proxy_on_response_body(context: u32, size: u32, end: u32) -> i32 =>
        with(|p| p.run(context, "sb", &format!("size={size} end={end}"), 0));
    proxy_on_response_trailers(context: u32, count: u32) -> i32 => with(|p| p.run(context, "st", &format!("n={count}"), 0));
    proxy_on_done(context: u32) -> i32 => with(|p| p.run(context, "done", "", 1));
    proxy_on_log(context: u32) => { with(|p| p.run(context, "log", "", 0)); };
    proxy_on_delete(context: u32) => with(|p| p.delete(context));
    proxy_on_queue_ready(root: u32, queue: u32) => with(|p| p.queue_ready(root, queue));
    proxy_on_http_call_response(context: u32, call: u32, headers: u32, body: u32, trailers: u32) =>
        with(|p| p.call_response(context, call, headers, body, trailers));
}
