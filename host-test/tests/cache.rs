//! The cache of compiled code: the second load hits, a broken or unwritable cache costs time and nothing else.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; a failure is the test's"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use palisade_host::{Cache, Limits, LoadOptions, Module, Request, Response, Vm, VmConfig};

const GUEST: &str = r#"(module
  (memory (export "memory") 1)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "malloc") (param i32) (result i32) (i32.const 1024)))"#;

fn load(cache: Cache) -> Module {
    let options = LoadOptions {
        cache,
        ..LoadOptions::default()
    };
    let module = Module::load_with("guest", GUEST.as_bytes(), &options).unwrap();
    // Wherever it came from, it runs.
    let mut vm = Vm::start(&module, VmConfig::default()).unwrap();
    let outcome = vm.exchange(&Request::get("/"), |_| Response::new(204, ""));
    assert_eq!(outcome.unwrap().status, 204);
    module
}

fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn files(under: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![under.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn the_second_load_hits_and_off_never_does() {
    let place = directory("cache-hits");
    assert!(!load(Cache::In(place.clone())).is_cached());
    assert!(load(Cache::In(place.clone())).is_cached());
    assert!(!load(Cache::Off).is_cached());
    // Other code is made for an engine that does not measure fuel.
    let options = LoadOptions {
        limits: Limits {
            fuel: None,
            ..Limits::default()
        },
        cache: Cache::In(place),
    };
    let module = Module::load_with("guest", GUEST.as_bytes(), &options).unwrap();
    assert!(!module.is_cached());
}

#[test]
fn a_broken_cache_is_compiled_over() {
    type Breakage = fn(&[u8]) -> Vec<u8>;
    let breakages: [(&str, Breakage); 4] = [
        ("empty", |_| Vec::new()),
        ("cut", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("garbage", |bytes| vec![0xa5; bytes.len()]),
        ("head", |bytes| {
            let mut bytes = bytes.to_vec();
            // wasmtime's own statistics beside the code may be empty still.
            if let Some(first) = bytes.first_mut() {
                *first ^= 0xff;
            }
            bytes
        }),
    ];
    for (name, breakage) in breakages {
        let place = directory(&format!("cache-{name}"));
        load(Cache::In(place.clone()));
        let mut broken = 0;
        for file in files(&place) {
            // wasmtime's worker renames its own files while they are listed.
            let Ok(bytes) = fs::read(&file) else {
                continue;
            };
            fs::write(&file, breakage(&bytes)).unwrap();
            broken += 1;
        }
        assert!(broken > 0, "{name}: nothing was kept");
        assert!(!load(Cache::In(place.clone())).is_cached(), "{name}");
    }
}

#[test]
fn a_place_that_is_no_directory_is_no_cache() {
    let place = directory("cache-file").join("file");
    fs::write(&place, "").unwrap();
    assert!(!load(Cache::In(place.clone())).is_cached());
    assert!(!load(Cache::In(place.join("below"))).is_cached());
    assert!(!load(Cache::In(PathBuf::from("/proc/nowhere"))).is_cached());
}
