//! Redirects one folder to another.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, reply};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        let path = headers.get(":path").unwrap_or_default();
        match path.strip_prefix("/foo/") {
            Some(rest) => reply(301, &[("Location", &format!("/bar/{rest}"))], ""),
            None => Action::Continue,
        }
    }
}
