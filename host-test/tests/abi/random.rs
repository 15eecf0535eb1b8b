//! Any bytes as a program of the probe: hostcalls with any arguments in any callback.
//!
//! In: bytes, of a fuzzer or of a seeded generator. Out: nothing; it panics if the host does, or if it blames itself.

use palisade_host::{
    Callout, CalloutEvent, Clusters, Error, Limits, Module, Request, Response, Shared, Vm, VmConfig,
};
use std::time::Duration;

use crate::{
    functions::Function,
    probe::{self, DATA, HEAP, MEMORY, OP_ALLOCATE, OP_RETURN, PHASES, SLOTS, STEP},
};

/// The probe, with little fuel.
pub(crate) fn module(functions: &[Function]) -> Result<Module, Error> {
    let limits = Limits {
        fuel: Some(20_000_000),
        memory_bytes: 1 << 20,
        ..Limits::default()
    };
    Module::load_named("probe", probe::text(functions).as_bytes(), limits)
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> i64 {
        i64::from(u32::from_le_bytes([
            self.byte(),
            self.byte(),
            self.byte(),
            self.byte(),
        ]))
    }

    /// Numbers that are interesting as a pointer, a size, an id or a kind.
    fn argument(&mut self) -> i64 {
        let small = i64::from(self.byte() % 16);
        match self.byte() % 10 {
            0..=2 => small,
            3 => i64::from(SLOTS) + 8 * small,
            4 => i64::from(DATA) + small,
            5 => i64::from(HEAP) + small,
            6 => i64::from(MEMORY) - small,
            7 => -small,
            8 => 1 << (2 * small),
            _ => self.word(),
        }
    }
}

/// Runs the program.
pub(crate) fn run(module: &Module, functions: &[Function], bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let mut steps = Vec::new();
    while !bytes.0.is_empty() && steps.len() < 64 {
        let phase = usize::from(bytes.byte()) % PHASES.len();
        let op = match bytes.byte() {
            250..=252 => OP_RETURN,
            253..=255 => OP_ALLOCATE,
            byte => u32::from(byte) % u32::try_from(functions.len()).unwrap_or(1),
        };
        let leaves = functions
            .get(op as usize)
            .is_some_and(|function| !function.returns);
        if leaves && bytes.byte() > 10 {
            // Most programs go on.
            continue;
        }
        let head = [
            u32::try_from(phase).unwrap_or(0),
            op,
            u32::try_from(steps.len()).unwrap_or(0),
            0,
        ];
        let mut step = [0; STEP];
        let arguments: Vec<i64> = (0..12).map(|_| bytes.argument()).collect();
        let all = head.into_iter().flat_map(u32::to_le_bytes);
        let all = all.chain(arguments.into_iter().flat_map(i64::to_le_bytes));
        for (place, byte) in step.iter_mut().zip(all) {
            *place = byte;
        }
        steps.push(step);
    }
    let shared = Shared::new();
    let data = b"\x01\0\0\0\x01\0\0\0\x01\0\0\0a\0b\0backend\0:path\0program";
    let _ = shared.set(b"program", &probe::program(&steps, data), 0);
    let config = VmConfig {
        shared,
        seed: Some(1),
        clusters: Clusters::any(),
        callouts: Some(Box::new(|callout| {
            let event = match callout {
                Callout::Http { .. } => CalloutEvent::response(200, "call"),
                _ => CalloutEvent::GrpcMessage(b"message".to_vec()),
            };
            vec![(Duration::from_millis(1), event)]
        })),
        ..VmConfig::default()
    };
    let request = Request::post("/", "request").trailer("t", "u");
    let outcome = Vm::start(module, config).and_then(|mut vm| {
        vm.exchange(&request, |_| Response::new(200, "response"))?;
        vm.deliver_queues()?;
        vm.tick()?;
        let (connection, _) = vm.new_connection(request.info.clone())?;
        vm.finish(connection)
    });
    if let Err(error) = outcome {
        assert!(error.is_guest_fault(), "{error}");
    }
}
