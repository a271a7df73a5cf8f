//! What tests share.

use std::path::PathBuf;

/// The folder in which `tests/` and `examples/` lie: cargo names it, and a test binary that was carried to another machine is
/// started in it (`make gpu-bundle`). The folder it was compiled in may be gone, so that `env!` would not do.
pub fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default().into()
}

/// The reference files beside `tests/reference/generate.py` whose names begin with `kind`, in order.
#[allow(dead_code)] // not every test replays them
pub fn references(kind: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(root().join("tests/reference"));
    let files = folder.into_iter().flatten().flatten().map(|entry| entry.path());
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(kind) && name.ends_with(".safetensors")
    };
    let mut files: Vec<PathBuf> = files.filter(named).collect();
    files.sort();
    files
}
