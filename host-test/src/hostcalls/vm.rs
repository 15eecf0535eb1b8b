//! Logging, clock, timer, contexts: ABI sections Logging, Clocks, Timers, Context lifecycle.

use std::time::Duration;

use crate::{
    abi::{
        memory::{Answer, Cx},
        types::Status,
    },
    state::{Ending, log::LogLevel},
};

pub(super) fn log(cx: &mut Cx<'_, '_>, level: i32, text: i32, size: i32) -> Answer {
    let level = LogLevel::from_abi(level.cast_unsigned()).ok_or(Status::BadArgument)?;
    let text = cx.read(text, size)?;
    cx.state().log.write(level, &text);
    Ok(())
}

pub(super) fn get_log_level(cx: &mut Cx<'_, '_>, level_out: i32) -> Answer {
    let level = cx.state().log.level as u32;
    cx.write_u32(level_out, level)
}

pub(super) fn get_current_time(cx: &mut Cx<'_, '_>, time_out: i32) -> Answer {
    let now = cx.state().clock.wall_nanos();
    cx.write_u64(time_out, now)
}

pub(super) fn set_tick_period(cx: &mut Cx<'_, '_>, period: i32) -> Answer {
    let period = Duration::from_millis(u64::from(period.cast_unsigned()));
    let root = cx.state().root().ok_or(Status::BadArgument)?;
    root.tick_period = Some(period).filter(|period| !period.is_zero());
    Ok(())
}

pub(super) fn set_effective_context(cx: &mut Cx<'_, '_>, context: i32) -> Answer {
    let (context, state) = (context.cast_unsigned(), cx.state());
    if !state.roots.contains_key(&context) && !state.streams.contains_key(&context) {
        return Err(Status::BadArgument.into());
    }
    state.current = context;
    Ok(())
}

/// Ends the wait for a root context whose `proxy_on_done` said no. A stream's end waits for nobody, in Envoy neither.
pub(super) fn done(cx: &mut Cx<'_, '_>) -> Answer {
    let state = cx.state();
    let current = state.current;
    match state.roots.get_mut(&current) {
        Some(root) if root.ending == Ending::AwaitsDone => {
            root.ending = Ending::Done;
            state.touched.push(current);
            Ok(())
        }
        // Nothing waits for this.
        _ => Err(Status::NotFound.into()),
    }
}
