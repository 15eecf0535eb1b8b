//! A filter on bodies: it holds a response until it is whole, and replaces it if it tells a secret.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::{Action, ContextType},
};

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|_| Box::new(Body));
}}

struct Body;

impl Context for Body {}

impl RootContext for Body {
    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Self))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl HttpContext for Body {
    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        // After a pause the whole body is there.
        if self
            .get_http_request_body(0, size)
            .is_some_and(|body| body.windows(6).any(|part| part == b"attack"))
        {
            self.send_http_response(403, vec![], Some(b"no\n"));
            return Action::Pause;
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, _end: bool) -> Action {
        // The body may get another length, so the length goes.
        self.set_http_response_header("content-length", None);
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        if self
            .get_http_response_body(0, size)
            .is_some_and(|body| body.windows(6).any(|part| part == b"secret"))
        {
            self.set_http_response_body(0, size, format!("redacted: {size} bytes\n").as_bytes());
        }
        Action::Continue
    }
}
