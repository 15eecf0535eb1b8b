//! Changes where a request goes, and greets in the response.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, log};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        log("onRequestHeaders: hello from wasm");
        headers.set(":authority", "service-extensions.com");
        headers.set(":path", "/");
        Action::Continue
    }

    fn response_headers(&mut self, headers: Headers) -> Action {
        log("onResponseHeaders: hello from wasm");
        headers.set("hello", "service-extensions");
        Action::Continue
    }
}
