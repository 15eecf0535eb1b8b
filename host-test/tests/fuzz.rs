//! A short fuzzing run that is the same each time: programs at random for the probe. `tests/fuzz` has the long one.

#[path = "abi/functions.rs"]
mod functions;
#[path = "abi/probe.rs"]
#[expect(dead_code, reason = "the conformance suite uses the rest")]
mod probe;
#[path = "abi/random.rs"]
mod random;

/// Programs, of up to 64 hostcalls each.
const PROGRAMS: u64 = 1000;

#[test]
fn any_hostcalls_with_any_arguments() {
    let functions = functions::load();
    let module = random::module(&functions).unwrap();
    for seed in 0..PROGRAMS {
        let mut state = seed;
        let bytes: Vec<u8> = (0..1500)
            .map(|_| {
                // SplitMix64.
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (z ^ (z >> 31)).to_le_bytes()[0]
            })
            .collect();
        random::run(&module, &functions, &bytes);
    }
}
