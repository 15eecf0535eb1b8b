//! A filter on headers: it logs them, answers `/hello` itself, forbids `/forbidden`, and marks what passes.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use proxy_wasm::{
    hostcalls,
    traits::{Context, HttpContext, RootContext},
    types::{Action, ContextType, LogLevel},
};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Headers));
}}

struct Headers;

impl Context for Headers {}

impl RootContext for Headers {
    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Self))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl HttpContext for Headers {
    fn on_http_request_headers(&mut self, _count: usize, _end: bool) -> Action {
        for (name, value) in self.get_http_request_headers_bytes() {
            let _ = hostcalls::log(LogLevel::Info, &format!("{name}: {}", value.escape_ascii()));
        }
        match self.get_http_request_header_bytes(":path").as_deref() {
            Some(b"/hello") => {
                self.send_http_response(200, vec![("hello", "world")], Some(b"Hello, world!\n"));
                Action::Pause
            }
            Some(b"/forbidden") => {
                self.send_http_response(403, vec![], None);
                Action::Pause
            }
            _ => {
                self.set_http_request_header("x-marked", Some("yes"));
                self.set_http_request_header("x-secret", None);
                Action::Continue
            }
        }
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        self.set_http_response_header("powered-by", Some("proxy-wasm"));
        Action::Continue
    }

    fn on_log(&mut self) {
        let status = self.get_http_response_header(":status").unwrap_or_default();
        let _ = hostcalls::log(LogLevel::Info, &format!("done: {status}"));
    }
}
