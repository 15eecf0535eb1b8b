//! WASI preview 1 as far as guests of a proxy need it: environment, clocks, randomness, output as log lines.
//!
//! Invariant: no files, no network; every other function answers an errno (see `link`), `proc_exit` ends the VM.
//! Source: WASI snapshot preview 1; ABI v0.2.1 for which of them a Proxy-Wasm host serves.

use crate::{
    abi::memory::{Answer, Cx, Fail},
    state::log::LogLevel,
};

const ERRNO_BADF: Fail = Fail::Number(8);
const ERRNO_INVAL: Fail = Fail::Number(28);
const ERRNO_IO: Fail = Fail::Number(29);
const ERRNO_SPIPE: Fail = Fail::Number(70);

/// Most bytes of one `fd_write` and of one `random_get`; a guest that wants more calls again.
const MAX_BYTES: u32 = 1 << 20;

pub(super) fn environ_sizes_get(cx: &mut Cx<'_, '_>, count_out: i32, bytes_out: i32) -> Answer {
    let environment = &cx.state().environment;
    let bytes: usize = environment
        .iter()
        .map(|(name, value)| name.len() + value.len() + 2)
        .sum();
    let count = u32::try_from(environment.len()).unwrap_or(u32::MAX);
    cx.check_u32(bytes_out)?;
    cx.write_u32(count_out, count)?;
    cx.write_u32(bytes_out, u32::try_from(bytes).unwrap_or(u32::MAX))
}

pub(super) fn environ_get(cx: &mut Cx<'_, '_>, list: i32, text: i32) -> Answer {
    let entries: Vec<String> = cx
        .state()
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}\0"))
        .collect();
    let (mut list, mut text) = (list.cast_unsigned(), text.cast_unsigned());
    for entry in entries {
        cx.write_u32(list.cast_signed(), text)?;
        cx.write(text.cast_signed(), entry.as_bytes())?;
        list = list.checked_add(4).ok_or(Fail::Memory)?;
        text = u32::try_from(entry.len())
            .ok()
            .and_then(|size| text.checked_add(size))
            .ok_or(Fail::Memory)?;
    }
    Ok(())
}

pub(super) fn args_sizes_get(cx: &mut Cx<'_, '_>, count_out: i32, bytes_out: i32) -> Answer {
    cx.check_u32(bytes_out)?;
    cx.write_u32(count_out, 0)?;
    cx.write_u32(bytes_out, 0)
}

pub(super) fn args_get(_cx: &mut Cx<'_, '_>, _list: i32, _text: i32) -> Answer {
    Ok(())
}

pub(super) fn clock_time_get(
    cx: &mut Cx<'_, '_>,
    clock: i32,
    _precision: i64,
    time_out: i32,
) -> Answer {
    let now = match clock {
        0 => cx.state().clock.wall_nanos(),
        1 => cx.state().clock.monotonic_nanos(),
        _ => return Err(Fail::Number(super::ERRNO_NOTSUP)),
    };
    cx.write_u64(time_out, now)
}

pub(super) fn clock_res_get(cx: &mut Cx<'_, '_>, clock: i32, resolution_out: i32) -> Answer {
    if !(0..=1).contains(&clock) {
        return Err(ERRNO_INVAL);
    }
    cx.write_u64(resolution_out, 1)
}

pub(super) fn random_get(cx: &mut Cx<'_, '_>, buffer: i32, size: i32) -> Answer {
    if size.cast_unsigned() > MAX_BYTES {
        return Err(ERRNO_INVAL);
    }
    // The pointer is checked before any randomness is spent.
    cx.check(buffer, size)?;
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| ERRNO_INVAL)?];
    if !cx.state().random.fill(&mut bytes) {
        return Err(ERRNO_IO);
    }
    cx.write(buffer, &bytes)
}

/// Standard output is information, standard error an error, as in Envoy; a line feed at the end goes.
pub(super) fn fd_write(
    cx: &mut Cx<'_, '_>,
    fd: i32,
    vectors: i32,
    count: i32,
    written_out: i32,
) -> Answer {
    let level = match fd {
        1 => LogLevel::Info,
        2 => LogLevel::Error,
        _ => return Err(ERRNO_BADF),
    };
    // More than fit a 32-bit memory are outside of it.
    let list_size = count.cast_unsigned().checked_mul(8).ok_or(Fail::Memory)?;
    let list = cx.read(vectors, list_size.cast_signed())?;
    let mut text = Vec::new();
    for vector in list.as_chunks::<8>().0 {
        let [a, b, c, d, e, f, g, h] = *vector;
        let (at, size) = (
            i32::from_le_bytes([a, b, c, d]),
            i32::from_le_bytes([e, f, g, h]),
        );
        cx.check(at, size)?;
        if size.cast_unsigned() > MAX_BYTES || text.len() > MAX_BYTES as usize {
            return Err(ERRNO_INVAL);
        }
        text.extend(cx.read(at, size)?);
    }
    cx.write_u32(written_out, u32::try_from(text.len()).unwrap_or(u32::MAX))?;
    cx.state().log.write_text(level, &text);
    Ok(())
}

/// There is nothing to read: standard input is at its end.
pub(super) fn fd_read(
    cx: &mut Cx<'_, '_>,
    fd: i32,
    _vectors: i32,
    _count: i32,
    read_out: i32,
) -> Answer {
    if fd != 0 {
        return Err(ERRNO_BADF);
    }
    cx.write_u32(read_out, 0)
}

/// Any other use of a standard descriptor changes nothing.
pub(super) fn standard(_cx: &mut Cx<'_, '_>, fd: i32) -> Answer {
    if (0..=2).contains(&fd) {
        Ok(())
    } else {
        Err(ERRNO_BADF)
    }
}

pub(super) fn fd_fdstat_set_flags(cx: &mut Cx<'_, '_>, fd: i32, _flags: i32) -> Answer {
    standard(cx, fd)
}

pub(super) fn fd_seek(
    cx: &mut Cx<'_, '_>,
    fd: i32,
    _offset: i64,
    _whence: i32,
    _offset_out: i32,
) -> Answer {
    standard(cx, fd)?;
    Err(ERRNO_SPIPE)
}

/// Go and TinyGo sleep with this. A filter cannot: what waits for a clock is told at once that its time has come, the rest that it cannot
/// be waited for.
pub(super) fn poll_oneoff(
    cx: &mut Cx<'_, '_>,
    subscriptions: i32,
    events: i32,
    count: i32,
    count_out: i32,
) -> Answer {
    let count = count.cast_unsigned();
    if count == 0 || count > MAX_SUBSCRIPTIONS {
        return Err(ERRNO_INVAL);
    }
    cx.check_u32(count_out)?;
    let list = cx.read(subscriptions, (count * SUBSCRIPTION_BYTES).cast_signed())?;
    let mut answer = Vec::new();
    for subscription in list.chunks_exact(SUBSCRIPTION_BYTES as usize) {
        let (user, rest) = subscription.split_at(8);
        let kind = rest.first().copied().unwrap_or_default();
        let errno: u16 = if kind == 0 { 0 } else { 58 };
        answer.extend_from_slice(user);
        answer.extend_from_slice(&errno.to_le_bytes());
        answer.push(kind);
        answer.resize(answer.len().next_multiple_of(EVENT_BYTES), 0);
    }
    cx.write(events, &answer)?;
    cx.write_u32(count_out, count)
}

/// Sizes of WASI's `subscription` and `event`.
const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: usize = 32;
/// Most subscriptions of one call.
const MAX_SUBSCRIPTIONS: u32 = 1024;

/// The three standard descriptors are character devices; Go asks.
pub(super) fn fd_fdstat_get(cx: &mut Cx<'_, '_>, fd: i32, stat_out: i32) -> Answer {
    if !(0..=2).contains(&fd) {
        return Err(ERRNO_BADF);
    }
    let mut stat = [0; 24];
    stat[0] = 2;
    cx.write(stat_out, &stat)
}

pub(super) fn sched_yield(_cx: &mut Cx<'_, '_>) -> Answer {
    Ok(())
}
