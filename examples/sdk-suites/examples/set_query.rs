//! Sets a parameter of the query.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, with_query};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        if let Some(path) = headers.get(":path") {
            headers.set(":path", &with_query(&path, "key", "new+val"));
        }
        Action::Continue
    }
}
