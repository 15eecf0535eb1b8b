//! Takes cookies out of responses.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn response_headers(&mut self, headers: Headers) -> Action {
        headers.remove("Set-Cookie");
        Action::Continue
    }
}
