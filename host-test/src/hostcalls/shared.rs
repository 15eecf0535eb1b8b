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
    let state = cx.state();
    let found = state.shared.get(&key);
    let (value, cas) = found
        .as_ref()
        .map_or((&[][..], 0), |(value, cas)| (value, *cas));
    state.seen("proxy_get_shared_data", &key, cas, value, &found);
    let (value, cas) = found?;
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
    let (cas, state) = (cas.cast_unsigned(), cx.state());
    let set = state.shared.set(&key, &value, cas);
    state.seen("proxy_set_shared_data", &key, cas, &value, &set);
    set.map_err(|status| cx.store(status))
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
    let queue = queue.map_err(|status| cx.store(status))?;
    let state = cx.state();
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
    let (queue, state) = (queue.cast_unsigned(), cx.state());
    let put = state.shared.enqueue(queue, &value);
    let name = queue.to_string();
    state.seen(
        "proxy_enqueue_shared_queue",
        name.as_bytes(),
        0,
        &value,
        &put,
    );
    put.map_err(|status| cx.store(status))
}

pub(super) fn dequeue(cx: &mut Cx<'_, '_>, queue: i32, data_out: i32, size_out: i32) -> Answer {
    cx.check_u32(data_out)?;
    cx.check_u32(size_out)?;
    let (queue, state) = (queue.cast_unsigned(), cx.state());
    let taken = state.shared.dequeue(queue);
    let (name, value) = (queue.to_string(), taken.as_deref().unwrap_or_default());
    state.seen(
        "proxy_dequeue_shared_queue",
        name.as_bytes(),
        0,
        value,
        &taken,
    );
    let value = taken?;
    let given = cx.give(&value, data_out, size_out);
    if given.is_err() {
        // The guest has no memory for it; whoever asks next gets it.
        cx.state().shared.put_back(queue, value);
    }
    given
}
