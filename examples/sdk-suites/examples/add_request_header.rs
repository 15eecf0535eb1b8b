//! Adds one request header and sets another.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        headers.add("Message", "hello");
        headers.set("Welcome", "warm");
        Action::Continue
    }
}
