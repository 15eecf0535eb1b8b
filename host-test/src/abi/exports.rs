//! The callbacks a guest exports.
//!
//! In: an instance. Out: typed functions, `None` where the guest does not export one (all are optional).
//! Invariant: an export of a callback's name with another signature is refused at start, not at the first call.
//! Source: ABI v0.2.1; 0.1.0 has header callbacks without `end_of_stream`.

use std::any::type_name;

use wasmtime::{FuncType, Instance, Store, TypedFunc, WasmParams, WasmResults};

use crate::{error::Error, state::HostState};

/// A headers callback, with `end_of_stream` or (ABI 0.1.0) without.
#[derive(Clone)]
pub(crate) enum OnHeaders {
    Absent,
    Three(TypedFunc<(i32, i32, i32), i32>),
    Two(TypedFunc<(i32, i32), i32>),
}

type On2<R> = Option<TypedFunc<(i32, i32), R>>;
type On5 = Option<TypedFunc<(i32, i32, i32, i32, i32), ()>>;
type On3<R> = Option<TypedFunc<(i32, i32, i32), R>>;

/// Callbacks of one direction of a stream.
pub(crate) struct Direction {
    pub(crate) headers: OnHeaders,
    pub(crate) body: On3<i32>,
    pub(crate) trailers: On2<i32>,
}

pub(crate) struct Exports {
    pub(crate) initialize: Option<TypedFunc<(), ()>>,
    pub(crate) main: On2<i32>,
    pub(crate) start: Option<TypedFunc<(), ()>>,
    pub(crate) context_create: On2<()>,
    pub(crate) vm_start: On2<i32>,
    pub(crate) configure: On2<i32>,
    pub(crate) tick: Option<TypedFunc<i32, ()>>,
    pub(crate) request: Direction,
    pub(crate) response: Direction,
    pub(crate) done: Option<TypedFunc<i32, i32>>,
    pub(crate) log: Option<TypedFunc<i32, ()>>,
    pub(crate) delete: Option<TypedFunc<i32, ()>>,
    pub(crate) queue_ready: On2<()>,
    pub(crate) new_connection: Option<TypedFunc<i32, i32>>,
    pub(crate) downstream_data: On3<i32>,
    pub(crate) downstream_close: On2<()>,
    pub(crate) upstream_data: On3<i32>,
    pub(crate) upstream_close: On2<()>,
    pub(crate) foreign_function: On3<()>,
    pub(crate) http_call_response: On5,
    pub(crate) grpc_initial_metadata: On3<()>,
    pub(crate) grpc_receive: On3<()>,
    pub(crate) grpc_trailing_metadata: On3<()>,
    pub(crate) grpc_close: On3<()>,
}

impl Exports {
    pub(crate) fn bind(
        guest: &str,
        instance: &Instance,
        store: &mut Store<HostState>,
    ) -> Result<Self, Error> {
        let mut bind = Binder {
            guest,
            instance,
            store,
        };
        Ok(Self {
            initialize: bind.optional("_initialize")?,
            main: bind.optional("main").ok().flatten(),
            start: bind.optional("_start")?,
            context_create: bind.optional("proxy_on_context_create")?,
            vm_start: bind.optional("proxy_on_vm_start")?,
            configure: bind.optional("proxy_on_configure")?,
            tick: bind.optional("proxy_on_tick")?,
            request: Direction {
                headers: bind.headers("proxy_on_request_headers")?,
                body: bind.optional("proxy_on_request_body")?,
                trailers: bind.optional("proxy_on_request_trailers")?,
            },
            response: Direction {
                headers: bind.headers("proxy_on_response_headers")?,
                body: bind.optional("proxy_on_response_body")?,
                trailers: bind.optional("proxy_on_response_trailers")?,
            },
            done: bind.optional("proxy_on_done")?,
            log: bind.optional("proxy_on_log")?,
            delete: bind.optional("proxy_on_delete")?,
            queue_ready: bind.optional("proxy_on_queue_ready")?,
            new_connection: bind.optional("proxy_on_new_connection")?,
            downstream_data: bind.optional("proxy_on_downstream_data")?,
            downstream_close: bind.optional("proxy_on_downstream_connection_close")?,
            upstream_data: bind.optional("proxy_on_upstream_data")?,
            upstream_close: bind.optional("proxy_on_upstream_connection_close")?,
            foreign_function: bind.optional("proxy_on_foreign_function")?,
            http_call_response: bind.optional("proxy_on_http_call_response")?,
            grpc_initial_metadata: bind.optional("proxy_on_grpc_receive_initial_metadata")?,
            grpc_receive: bind.optional("proxy_on_grpc_receive")?,
            grpc_trailing_metadata: bind.optional("proxy_on_grpc_receive_trailing_metadata")?,
            grpc_close: bind.optional("proxy_on_grpc_close")?,
        })
    }
}

struct Binder<'a> {
    guest: &'a str,
    instance: &'a Instance,
    store: &'a mut Store<HostState>,
}

impl Binder<'_> {
    fn optional<P: WasmParams, R: WasmResults>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<TypedFunc<P, R>>, Error> {
        let Some(function) = self.instance.get_func(&mut *self.store, name) else {
            return Ok(None);
        };
        match function.typed(&*self.store) {
            Ok(typed) => Ok(Some(typed)),
            Err(_) => Err(Error::Signature {
                guest: self.guest.to_owned(),
                export: name,
                found: written(&function.ty(&*self.store)),
                expected: format!("{} -> {}", type_name::<P>(), type_name::<R>()),
            }),
        }
    }

    fn headers(&mut self, name: &'static str) -> Result<OnHeaders, Error> {
        if let Ok(Some(two)) = self.optional(name) {
            return Ok(OnHeaders::Two(two));
        }
        Ok(self
            .optional(name)?
            .map_or(OnHeaders::Absent, OnHeaders::Three))
    }
}

/// A type as Rust writes it, the way the expected one is written.
fn written(ty: &FuncType) -> String {
    let list = |types: Vec<String>| match types.as_slice() {
        [one] => one.clone(),
        _ => format!("({})", types.join(", ")),
    };
    let params = list(ty.params().map(|ty| ty.to_string()).collect());
    let results = list(ty.results().map(|ty| ty.to_string()).collect());
    format!("{params} -> {results}")
}
