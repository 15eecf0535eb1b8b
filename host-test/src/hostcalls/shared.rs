//! ABI sections Shared Key-Value Store and Shared Queues.

use crate::abi::memory::{Answer, Cx};

pub(super) fn get(
    cx: &mut Cx<'_, '_>,
    key: i32,
    key_size: i32,
    data_out: i32,
    size_out: i32,
    cas_out: i32,
) -> Answer {
    let key = cx.read(key, key_size)?;
    cx.check_u32(cas_out)?;
    let (value, cas) = cx.state().shared.get(&key)?;
    cx.give(&value, data_out, size_out)?;
    cx.write_u32(cas_out, cas)
}

pub(super) fn set(
    cx: &mut Cx<'_, '_>,
    key: i32,
    key_size: i32,
    value: i32,
    value_size: i32,
    cas: i32,
) -> Answer {
    let (key, value) = (cx.read(key, key_size)?, cx.read(value, value_size)?);
    Ok(cx.state().shared.set(&key, &value, cas.cast_unsigned())?)
}

pub(super) fn register_queue(
    cx: &mut Cx<'_, '_>,
    name: i32,
    name_size: i32,
    queue_out: i32,
) -> Answer {
    let name = cx.read(name, name_size)?;
    cx.check_u32(queue_out)?;
    let state = cx.state();
    let queue = state.shared.register_queue(state.vm_id.as_bytes(), &name);
    if let Some(root) = state.root().filter(|root| !root.queues.contains(&queue)) {
        root.queues.push(queue);
    }
    cx.write_u32(queue_out, queue)
}

pub(super) fn resolve_queue(
    cx: &mut Cx<'_, '_>,
    vm: i32,
    vm_size: i32,
    name: i32,
    name_size: i32,
    queue_out: i32,
) -> Answer {
    let (vm, name) = (cx.read(vm, vm_size)?, cx.read(name, name_size)?);
    let queue = cx.state().shared.resolve_queue(&vm, &name)?;
    cx.write_u32(queue_out, queue)
}

pub(super) fn enqueue(cx: &mut Cx<'_, '_>, queue: i32, value: i32, value_size: i32) -> Answer {
    let value = cx.read(value, value_size)?;
    Ok(cx.state().shared.enqueue(queue.cast_unsigned(), &value)?)
}

pub(super) fn dequeue(cx: &mut Cx<'_, '_>, queue: i32, data_out: i32, size_out: i32) -> Answer {
    cx.check_u32(data_out)?;
    cx.check_u32(size_out)?;
    let queue = queue.cast_unsigned();
    let value = cx.state().shared.dequeue(queue)?;
    let given = cx.give(&value, data_out, size_out);
    if given.is_err() {
        // The guest has no memory for it; whoever asks next gets it.
        cx.state().shared.put_back(queue, value);
    }
    given
}
