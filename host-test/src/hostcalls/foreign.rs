//! ABI section FFI: functions of the host that are in no specification.
//!
//! Source: Envoy answers an unknown name with NOT_FOUND.

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
    cx.read(name, name_size)?;
    cx.read(arguments, arguments_size)?;
    cx.check_u32(data_out)?;
    cx.check_u32(size_out)?;
    Err(Status::NotFound.into())
}
