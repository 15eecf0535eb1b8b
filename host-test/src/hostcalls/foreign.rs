//! ABI section Foreign function interface: functions of the host that are in no specification.
//!
//! In: a name and bytes. Out: what the embedder's function of that name answers (`VmConfig::foreign_functions`), else Envoy's of that
//! name that is built in (`BUILT_IN_FUNCTIONS`); any other name is NOT_FOUND, and so is one in `VmConfig::without_functions`. Of Envoy's
//! own `sign`, `compress`, `uncompress`, `expr_*`, `declare_property` and `set_envoy_filter_state` are not built in.
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
    let state = cx.state();
    if state.without_functions.contains(name.as_ref()) {
        return Err(Status::NotFound.into());
    }
    let result = match state.foreign.get_mut(name.as_ref()) {
        Some(function) => function(&arguments)?,
        None => crate::foreign::built_in(&name, &arguments)?,
    };
    if data_out == 0 && size_out == 0 {
        return Ok(());
    }
    cx.give(&result, data_out, size_out)
}
