//! What tests share.

use std::path::PathBuf;

/// The folder in which `tests/` and `examples/` lie: cargo names it, and a test binary that was carried to another machine is
/// started in it (`make gpu-bundle`). The folder it was compiled in may be gone, so that `env!` would not do.
pub fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default().into()
}
