//! `limits[].when`: which requests a limit counts.
//!
//! **In:** the section as written. **Out:** [`Condition`].

use alloc::vec::Vec;

use crate::policy::compile::bytes;
use crate::policy::read::section;
use crate::policy::values::Method;
use crate::request::target::PathPattern;
use crate::stages::limits::Condition;

section! {
    /// Which requests a limit counts; all given conditions must hold.
    struct When {
        /// Methods; absent: all.
        methods: Vec<Method> = [],
        /// Path; absent: all.
        path: Option<PathPattern>,
    }
}

impl When {
    pub(super) fn compile(self) -> Condition {
        Condition {
            methods: bytes(self.methods, |it| it.0),
            path: self.path,
        }
    }
}
