//! How a filter's author tests it: build it, start it, send a request, look at what came of it. No Envoy, no Docker.

use palisade_host::{Error, Module, Request, Response, Vm, VmConfig};

#[test]
fn marks_what_goes_up_and_hides_the_secret() -> Result<(), Error> {
    let module = Module::from_package("sdk-headers")?;
    let mut vm = Vm::start(&module, VmConfig::default())?;

    let request = Request::get("/").header("x-secret", "1");
    let outcome = vm.exchange(&request, |_upstream| Response::new(200, "hi"))?;

    assert_eq!((outcome.status, outcome.text().as_str()), (200, "hi"));
    let upstream = outcome.upstream.unwrap_or_default();
    assert_eq!(upstream.headers.text("x-marked").as_deref(), Some("yes"));
    assert_eq!(upstream.headers.get("x-secret"), None);
    Ok(())
}

#[test]
fn answers_by_itself() -> Result<(), Error> {
    let module = Module::from_package("sdk-headers")?;
    let mut vm = Vm::start(&module, VmConfig::default())?;

    let outcome = vm.exchange(&Request::get("/forbidden"), |_upstream| {
        Response::new(200, "not reached")
    })?;

    assert_eq!(outcome.status, 403);
    assert!(outcome.upstream.is_none(), "the upstream saw it");
    Ok(())
}
