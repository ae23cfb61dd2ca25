//! Looks for inputs that break a target, led by what they cover. Started by `tests/fuzz/run`.

#![no_main]
#![allow(unsafe_code, reason = "libFuzzer calls a function by its name")]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use proxima_fuzz::{TARGETS, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(
    init: {
        TARGET.set(chosen()).expect("it is set once");
    },
    |data: &[u8]| {
        TARGET.get().expect("it was set before the first input")(data);
    }
);

/// The target that the environment names: the arguments are libFuzzer's.
#[allow(clippy::disallowed_methods, reason = "there is no other way to tell")]
fn chosen() -> Target {
    let name = std::env::var("PROXIMA_FUZZ_TARGET").expect("PROXIMA_FUZZ_TARGET names a target");
    let found = TARGETS.iter().find(|(target, _)| *target == name);
    found.expect("PROXIMA_FUZZ_TARGET names a target").1
}
