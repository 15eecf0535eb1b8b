//! Overwrites a request header that is there, and always a response header.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        if headers.get("RequestHeader").is_some() {
            headers.set("RequestHeader", "changed");
        }
        Action::Continue
    }

    fn response_headers(&mut self, headers: Headers) -> Action {
        headers.set("ResponseHeader", "changed");
        Action::Continue
    }
}
