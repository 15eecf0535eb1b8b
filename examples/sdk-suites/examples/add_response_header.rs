//! Extends one response header, removes another.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn response_headers(&mut self, headers: Headers) -> Action {
        if headers.get("Message").as_deref() == Some("foo") {
            headers.add("Message", "bar");
        }
        headers.remove("Welcome");
        Action::Continue
    }
}
