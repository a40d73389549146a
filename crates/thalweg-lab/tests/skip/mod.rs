//! Tests that need a program which few machines have.

use std::io::Write;

/// Says that `what` was not tested, or fails if somebody counts on it: by setting `variable`, with which the
/// program can be chosen.
pub fn skip(what: &str, variable: &str, why: &str) {
    assert!(std::env::var_os(variable).is_none(), "{variable} is set, but {why}");
    // The macros' output would be swallowed, as that of any test that passes.
    let _ = writeln!(
        std::io::stderr(),
        "\nSKIPPED, NOT TESTED: {what}: {why} ({variable}=PATH makes this a failure)"
    );
}
