//! ABI section Foreign function interface: functions of the host that are in no specification.
//!
//! In: a name and bytes. Out: what the embedder's function of that name answers (`VmConfig::foreign_functions`); `clear_route_cache` is
//! there always; any other name is NOT_FOUND. Of Envoy's own (`verify_signature`, `sign`, `compress`, `uncompress`, `expr_*`,
//! `declare_property`, `set_envoy_filter_state`) none is built in: they are Envoy's libraries behind a name.
//! Source: proxy-wasm's C++ host: a guest that is not interested in the result passes null for its place.

use crate::abi::{
    memory::{Answer, Cx},
    types::Status,
};

pub(super) fn call(
    cx: &mut Cx<'_, '_>,
    name: i32,
    name_size: i32,
    arguments: i32,
    arguments_size: i32,
    data_out: i32,
    size_out: i32,
) -> Answer {
    let name = cx.read(name, name_size)?;
    let arguments = cx.read(arguments, arguments_size)?;
    cx.check_u32(data_out)?;
    cx.check_u32(size_out)?;
    let name = String::from_utf8_lossy(&name);
    let result = match cx.state().foreign.get_mut(name.as_ref()) {
        Some(function) => function(&arguments)?,
        // The host has no routes.
        None if name == "clear_route_cache" => Vec::new(),
        None => return Err(Status::NotFound.into()),
    };
    if data_out == 0 && size_out == 0 {
        return Ok(());
    }
    cx.give(&result, data_out, size_out)
}
