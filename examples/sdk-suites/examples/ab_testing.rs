//! Sends some users, told by a hash of their name, to the second version.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Action, Filter, Headers, hash, query};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_headers(&mut self, headers: Headers) -> Action {
        if let Some(path) = headers.get(":path")
            && let Some(rest) = path.strip_prefix("/v1/")
            && let Some(user) = query(&path, "user")
            && hash(user.as_bytes()) % 100 < 50
        {
            headers.set(":path", &format!("/v2/{rest}"));
        }
        Action::Continue
    }
}
