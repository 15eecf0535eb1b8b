//! Puts a script behind `<head>`, wherever the chunks of the page are cut.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{AfterHead, Body, Filter};

#[derive(Clone, Default)]
struct Plugin {
    place: AfterHead,
}

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn response_body(&mut self, body: Body) {
        let script = "<script src=\"https://www.foo.com/api.js\"></script>";
        if let Some(changed) = self.place.chunk(&body.get(), script) {
            body.set(&changed);
        }
    }
}
