//! Takes `foo-` off the first segment of a path that begins with it.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        if let Some(path) = headers.get(":path")
            && let Some((before, after)) = path.split_once("/foo-")
        {
            headers.set(":path", &format!("{before}/{after}"));
        }
        Action::Continue
    }
}
