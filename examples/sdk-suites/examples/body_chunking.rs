//! Adds a text to each chunk of a body.

#![expect(missing_docs, reason = "the start function is made by the SDK's macro")]

use sdk_suites::{Body, Filter};

#[derive(Clone, Default)]
struct Plugin;

sdk_suites::plugin!(Plugin);

impl Filter for Plugin {
    fn request_body(&mut self, body: Body) {
        body.set(&[body.get(), b"foo".to_vec()].concat());
    }

    fn response_body(&mut self, body: Body) {
        body.set(&[body.get(), b"bar".to_vec()].concat());
    }
}
