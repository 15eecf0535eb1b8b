//! Logs each of its callbacks.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::{Action, ContextType},
};
use sdk_suites::log;

sdk_suites::main! {{
    proxy_wasm::set_root_context(|_| {
        log("root onCreate called");
        Box::new(Root)
    });
}}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn on_vm_start(&mut self, _size: usize) -> bool {
        log("root onStart called");
        true
    }

    fn on_configure(&mut self, _size: usize) -> bool {
        log("root onConfigure called");
        true
    }

    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        log("http onCreate called");
        Some(Box::new(Stream))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream;

impl Context for Stream {
    fn on_done(&mut self) -> bool {
        log("http onDone called");
        true
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        log("http onRequestHeaders called");
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        log("http onResponseHeaders called");
        Action::Continue
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        log("http onDelete called");
    }
}
