//! The functions a guest imports, and what stands around each of them: recording, injected faults, statuses.
//!
//! In: a guest's arguments. Out: a status for every call; results go to guest memory through `abi::memory` only.
//! Invariant: no hostcall panics or leaves a pointer unchecked; the body of each is in the file of its section of the ABI.
//! Source: ABI v0.2.1; the continue and clear-route calls of 0.1.0; what the spec leaves open follows proxy-wasm's C++ host.

mod buffers;
mod callouts;
mod fields;
mod foreign;
mod metrics;
mod properties;
mod shared;
mod streams;
mod vm;
mod wasi;

use std::collections::HashSet;

use wasmtime::{Caller, ExternType, Linker, Val};

use crate::{
    abi::{
        memory::{Answer, Bytes, Cx, Fail},
        types::Status,
    },
    module::Abi,
    state::HostState,
    vm::Injected,
    vm::fuel_used,
    warning::Failed,
};

/// WASI's errno for a bad pointer.
const ERRNO_FAULT: i32 = 21;
/// WASI's errno for a file descriptor nobody opened.
const ERRNO_BADF: i32 = 8;
/// WASI's errno for what is not supported.
const ERRNO_NOTSUP: i32 = 58;

/// Names under which guests import WASI preview 1.
const WASI_MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// Functions that not every version of the ABI has; Envoy links a guest with those of its own version.
const ONLY_IN: [(&str, &[Abi]); 7] = [
    ("proxy_continue_request", &[Abi::V0_1_0]),
    ("proxy_continue_response", &[Abi::V0_1_0]),
    ("proxy_clear_route_cache", &[Abi::V0_1_0]),
    ("proxy_get_configuration", &[Abi::V0_1_0]),
    ("proxy_continue_stream", &[Abi::V0_2_0, Abi::V0_2_1]),
    ("proxy_close_stream", &[Abi::V0_2_0, Abi::V0_2_1]),
    ("proxy_get_log_level", &[Abi::V0_2_1]),
];

/// What is defined, by module and name.
type Names<'a> = HashSet<(&'a str, &'a str)>;

/// Defines functions; each goes through `guarded`.
macro_rules! define {
    ($linker:expr, $names:expr, $module:expr, $memory_fault:expr; $($name:ident($($arg:ident: $ty:ty),*) => $target:path;)*) => { $(
        $linker.func_wrap(
            $module,
            stringify!($name),
            |mut caller: Caller<'_, HostState>, $($arg: $ty),*| -> wasmtime::Result<i32> {
                let arguments = [$((stringify!($arg), i64::from($arg))),*];
                guarded(&mut caller, stringify!($name), &arguments, $memory_fault, |cx| $target(cx, $($arg),*))
            },
        )?;
        $names.insert(($module, stringify!($name)));
    )* };
}

/// Defines all functions of the ABI and of WASI preview 1 that do something.
fn define_all(linker: &mut Linker<HostState>) -> wasmtime::Result<Names<'static>> {
    let mut names = Names::new();
    define! { linker, names, "env", Status::InvalidMemoryAccess.number();
        proxy_log(log_level: i32, message_data: i32, message_size: i32) => vm::log;
        proxy_get_log_level(return_log_level: i32) => vm::get_log_level;
        proxy_get_current_time_nanoseconds(return_time: i32) => vm::get_current_time;
        proxy_set_tick_period_milliseconds(tick_period: i32) => vm::set_tick_period;
        proxy_set_effective_context(context_id: i32) => vm::set_effective_context;
        proxy_done() => vm::done;
        proxy_get_status(return_status_code: i32, return_status_message_data: i32,
            return_status_message_size: i32) => callouts::get_status;

        proxy_get_buffer_bytes(buffer_id: i32, start: i32, max_size: i32, return_value_data: i32,
            return_value_size: i32) => buffers::get;
        proxy_get_buffer_status(buffer_id: i32, return_buffer_size: i32, return_unused: i32) => buffers::status;
        proxy_set_buffer_bytes(buffer_id: i32, start: i32, size: i32, value_data: i32, value_size: i32)
            => buffers::set;

        proxy_get_header_map_pairs(map_id: i32, return_serialized_pairs_data: i32,
            return_serialized_pairs_size: i32) => fields::get_pairs;
        proxy_get_header_map_size(map_id: i32, return_serialized_pairs_size: i32) => fields::get_size;
        proxy_set_header_map_pairs(map_id: i32, serialized_pairs_data: i32, serialized_pairs_size: i32)
            => fields::set_pairs;
        proxy_get_header_map_value(map_id: i32, key_data: i32, key_size: i32, return_value_data: i32,
            return_value_size: i32) => fields::get_value;
        proxy_add_header_map_value(map_id: i32, key_data: i32, key_size: i32, value_data: i32,
            value_size: i32) => fields::add_value;
        proxy_replace_header_map_value(map_id: i32, key_data: i32, key_size: i32, value_data: i32,
            value_size: i32) => fields::replace_value;
        proxy_remove_header_map_value(map_id: i32, key_data: i32, key_size: i32) => fields::remove_value;

        proxy_continue_stream(stream_type: i32) => streams::resume;
        proxy_close_stream(stream_type: i32) => streams::close;
        proxy_continue_request() => streams::resume_request;
        proxy_continue_response() => streams::resume_response;
        proxy_get_configuration(return_configuration_data: i32, return_configuration_size: i32)
            => buffers::configuration;
        proxy_clear_route_cache() => streams::clear_route_cache;
        proxy_send_local_response(status_code: i32, status_code_details_data: i32,
            status_code_details_size: i32, body_data: i32, body_size: i32, serialized_headers_data: i32,
            serialized_headers_size: i32, grpc_status: i32) => streams::send_local_response;

        proxy_get_shared_data(key_data: i32, key_size: i32, return_value_data: i32, return_value_size: i32,
            return_cas: i32) => shared::get;
        proxy_set_shared_data(key_data: i32, key_size: i32, value_data: i32, value_size: i32, cas: i32)
            => shared::set;
        proxy_register_shared_queue(name_data: i32, name_size: i32, return_queue_id: i32)
            => shared::register_queue;
        proxy_resolve_shared_queue(vm_id_data: i32, vm_id_size: i32, name_data: i32, name_size: i32,
            return_queue_id: i32) => shared::resolve_queue;
        proxy_enqueue_shared_queue(queue_id: i32, value_data: i32, value_size: i32) => shared::enqueue;
        proxy_dequeue_shared_queue(queue_id: i32, return_value_data: i32, return_value_size: i32)
            => shared::dequeue;

        proxy_define_metric(metric_type: i32, name_data: i32, name_size: i32, return_metric_id: i32)
            => metrics::define;
        proxy_record_metric(metric_id: i32, value: i64) => metrics::record;
        proxy_increment_metric(metric_id: i32, delta: i64) => metrics::increment;
        proxy_get_metric(metric_id: i32, return_value: i32) => metrics::get;

        proxy_get_property(path_data: i32, path_size: i32, return_value_data: i32, return_value_size: i32)
            => properties::get;
        proxy_set_property(path_data: i32, path_size: i32, value_data: i32, value_size: i32) => properties::set;

        proxy_http_call(upstream_name_data: i32, upstream_name_size: i32, serialized_headers_data: i32,
            serialized_headers_size: i32, body_data: i32, body_size: i32, serialized_trailers_data: i32,
            serialized_trailers_size: i32, timeout: i32, return_call_id: i32) => callouts::http_call;
        proxy_grpc_call(upstream_name_data: i32, upstream_name_size: i32, service_name_data: i32,
            service_name_size: i32, method_name_data: i32, method_name_size: i32,
            serialized_initial_metadata_data: i32, serialized_initial_metadata_size: i32, message_data: i32,
            message_size: i32, timeout: i32, return_call_id: i32) => callouts::grpc_call;
        proxy_grpc_stream(upstream_name_data: i32, upstream_name_size: i32, service_name_data: i32,
            service_name_size: i32, method_name_data: i32, method_name_size: i32,
            serialized_initial_metadata_data: i32, serialized_initial_metadata_size: i32,
            return_stream_id: i32) => callouts::grpc_stream;
        proxy_grpc_send(stream_id: i32, message_data: i32, message_size: i32, end_stream: i32)
            => callouts::grpc_send;
        proxy_grpc_cancel(call_or_stream_id: i32) => callouts::grpc_cancel;
        proxy_grpc_close(call_or_stream_id: i32) => callouts::grpc_close;
        proxy_call_foreign_function(name_data: i32, name_size: i32, arguments_data: i32, arguments_size: i32,
            return_results_data: i32, return_results_size: i32) => foreign::call;
    }
    // C++ guests built by Emscripten say when their memory grew; a host has nothing to do.
    linker.func_wrap("env", "emscripten_notify_memory_growth", |_memory: i32| {})?;
    names.insert(("env", "emscripten_notify_memory_growth"));
    linker.func_wrap("env", "pthread_equal", |left: i32, right: i32| {
        i32::from(left == right)
    })?;
    names.insert(("env", "pthread_equal"));

    for module in WASI_MODULES {
        define! { linker, names, module, ERRNO_FAULT;
            environ_sizes_get(return_num_elements: i32, return_buffer_size: i32) => wasi::environ_sizes_get;
            environ_get(return_array: i32, return_buffer: i32) => wasi::environ_get;
            args_sizes_get(return_argc: i32, return_argv_buffer_size: i32) => wasi::args_sizes_get;
            args_get(return_argv: i32, return_argv_size: i32) => wasi::args_get;
            clock_time_get(clock_id: i32, clock_precision: i64, return_time: i32) => wasi::clock_time_get;
            clock_res_get(clock: i32, resolution_out: i32) => wasi::clock_res_get;
            random_get(buffer: i32, buffer_size: i32) => wasi::random_get;
            fd_write(fd_id: i32, iovec: i32, iovec_size: i32, return_written_bytes: i32) => wasi::fd_write;
            fd_read(fd: i32, iovec: i32, iovec_size: i32, return_read_bytes: i32) => wasi::fd_read;
            fd_close(fd: i32) => wasi::standard;
            fd_seek(fd: i32, offset: i64, whence: i32, return_offset: i32) => wasi::fd_seek;
            fd_fdstat_get(fd: i32, return_fdstat: i32) => wasi::fd_fdstat_get;
            fd_fdstat_set_flags(fd: i32, flags: i32) => wasi::fd_fdstat_set_flags;
            poll_oneoff(subscriptions: i32, events: i32, subscriptions_size: i32, return_events_size: i32)
                => wasi::poll_oneoff;
            sched_yield() => wasi::sched_yield;
        }
        linker.func_wrap(
            module,
            "proc_exit",
            |mut caller: Caller<'_, HostState>, code: i32| -> wasmtime::Result<()> {
                begin(&mut caller, "proc_exit");
                caller.data_mut().exit_code = Some(code);
                Err(wasmtime::Error::msg("proc_exit"))
            },
        )?;
        names.insert((module, "proc_exit"));
    }
    Ok(names)
}

/// Defines what a module imports: the ABI, WASI, and an errno for every other WASI function. Returns the imports that remain unknown.
pub(crate) fn link(
    linker: &mut Linker<HostState>,
    module: &wasmtime::Module,
    abi: Abi,
) -> wasmtime::Result<Vec<String>> {
    let mut names = define_all(linker)?;
    let mut missing = Vec::new();
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        let known = ONLY_IN
            .iter()
            .find(|(only, _)| from == "env" && *only == name);
        if let Some((_, versions)) = known.filter(|(_, versions)| !versions.contains(&abi)) {
            let versions: Vec<&str> = versions.iter().map(|version| version.name()).collect();
            missing.push(format!(
                "{from}.{name} (of ABI {}; this guest is of {})",
                versions.join(" and "),
                abi.name()
            ));
            continue;
        }
        if !names.insert((from, name)) {
            continue;
        }
        let errno = if name.starts_with("fd_") {
            ERRNO_BADF
        } else {
            ERRNO_NOTSUP
        };
        match import.ty() {
            ExternType::Func(ty)
                if WASI_MODULES.contains(&from) && ty.results().all(|result| result.is_i32()) =>
            {
                linker.func_new(from, name, ty, move |mut caller, _arguments, results| {
                    let place = begin(&mut caller, "wasi_unsupported");
                    end(&mut caller, place, errno, Bytes::default());
                    results.fill(Val::I32(errno));
                    Ok(())
                })?;
            }
            _ => missing.push(format!("{from}.{name}")),
        }
    }
    Ok(missing)
}

/// Runs one hostcall: records it, lets a test answer in its place, turns its failure into a number.
fn guarded(
    caller: &mut Caller<'_, HostState>,
    name: &'static str,
    arguments: &[(&'static str, i64)],
    memory_fault: i32,
    call: impl FnOnce(&mut Cx<'_, '_>) -> Answer,
) -> wasmtime::Result<i32> {
    let place = begin(caller, name);
    let fault = caller.data_mut().fault.as_mut();
    match fault.and_then(|fault| fault(name)) {
        None => {}
        Some(Injected::Status(status)) => {
            end(caller, place, status, Bytes::default());
            return Ok(status);
        }
        Some(Injected::Crash) => {
            return Err(wasmtime::Error::msg("killed by the host, as asked"));
        }
    }
    let mut cx = Cx {
        caller,
        bytes: Bytes::default(),
        trouble: None,
    };
    let answer = match may_keep(&mut cx, name) {
        Ok(()) => call(&mut cx),
        refused => refused,
    };
    let status = match answer {
        Ok(()) => Status::Ok.number(),
        Err(Fail::Memory) => memory_fault,
        Err(Fail::Number(number)) => number,
        Err(Fail::Trap(error)) => return Err(error),
    };
    let (bytes, trouble) = (cx.bytes, cx.trouble);
    if keeps(name) {
        let handed = usize::try_from(bytes.read).unwrap_or(usize::MAX);
        let state = cx.state();
        state.handed = state.handed.saturating_add(handed).saturating_add(ENTRY);
    }
    if status != Status::Ok.number() {
        let memory_bytes = cx.memory_bytes();
        let failed = Failed {
            hostcall: name,
            arguments,
            is_wasi: memory_fault == ERRNO_FAULT,
            status,
            trouble,
            memory_bytes,
        };
        let state = caller.data_mut();
        if let Some(warning) = failed.warning(&state.guest, state.callback) {
            state.warn(warning);
        }
    }
    end(caller, place, status, bytes);
    Ok(status)
}

/// What a hostcall costs the host besides its bytes: an entry somewhere.
const ENTRY: usize = 128;

/// Whether the host may keep something of such a call.
fn keeps(name: &str) -> bool {
    const READ: [&str; 2] = ["proxy_get_", "proxy_resolve_"];
    name.starts_with("proxy_") && !READ.iter().any(|read| name.starts_with(read))
}

/// What a callback may make the host keep: in all of its calls no more bytes than its own memory may have, the last one in full.
fn may_keep(cx: &mut Cx<'_, '_>, name: &str) -> Answer {
    let state = cx.state();
    let most = state.memory_guard.limit_bytes;
    if state.handed > most && keeps(name) {
        return Err(cx.full("bytes of one callback's hostcalls", most));
    }
    Ok(())
}

/// Notes that a hostcall begins; returns its place in the trace, if one is kept.
fn begin(caller: &mut Caller<'_, HostState>, name: &'static str) -> Option<usize> {
    let state = caller.data_mut();
    state.last_hostcall = Some(name);
    if !state.trace.is_on() {
        return None;
    }
    let limit = state.fuel_limit;
    let fuel = fuel_used(&*caller, limit);
    caller.data_mut().trace.begin_hostcall(name, fuel)
}

fn end(caller: &mut Caller<'_, HostState>, place: Option<usize>, status: i32, bytes: Bytes) {
    if let Some(place) = place {
        let trace = &mut caller.data_mut().trace;
        trace.end_hostcall(place, status, bytes.read, bytes.written);
    }
}
