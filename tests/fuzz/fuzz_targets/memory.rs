//! Guest memory: hostcalls with any pointers and sizes, in any callback.
#![no_main]
#![allow(dead_code, reason = "the conformance suite uses the rest")]

#[path = "../../../host-test/tests/abi/functions.rs"]
mod functions;
#[path = "../../../host-test/tests/abi/probe.rs"]
mod probe;
#[path = "../../../host-test/tests/abi/random.rs"]
mod random;

use std::sync::LazyLock;

use palisade_host::Module;

static PROBE: LazyLock<(Vec<functions::Function>, Module)> = LazyLock::new(|| {
    let functions = functions::load();
    let module = random::module(&functions).unwrap();
    (functions, module)
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (functions, module) = &*PROBE;
    random::run(module, functions, bytes);
});
