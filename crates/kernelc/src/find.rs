//! Where NVRTC is.

use std::path::{Path, PathBuf};

use crate::{Error, Nvrtc, Result};

/// The first NVRTC that compiles for `needed`, 61 for sm_61: the file that the environment variable NVRTC_LIB names; below
/// CUDA_PATH; below `fetched`, where a Python wheel was unpacked; the system's. One that lacks the architecture is passed
/// over, except that NVRTC_LIB must have it.
///
/// # Errors
/// When there is none: what was looked at and why it was passed over.
pub fn find(fetched: &Path, needed: u32) -> Result<Nvrtc> {
    let mut passed_over = Vec::new();
    let mut fits = |path: &Path| match Nvrtc::open(path) {
        Ok(nvrtc) if nvrtc.architectures.contains(&needed) => Some(nvrtc),
        Ok(nvrtc) => {
            let (major, minor) = nvrtc.version;
            passed_over.push(format!("{} is version {major}.{minor}, without sm_{needed}", path.display()));
            None
        }
        Err(e) => {
            passed_over.push(e.to_string());
            None
        }
    };
    if let Some(path) = std::env::var_os("NVRTC_LIB") {
        if let Some(nvrtc) = fits(Path::new(&path)) {
            return Ok(nvrtc);
        }
        let why = passed_over.join("; ");
        return Err(Error(format!(
            "NVRTC_LIB: {why}: let it name a libnvrtc.so.12 of CUDA 12, or unset it and run `make nvrtc`"
        )));
    }
    let folders = std::env::var_os("CUDA_PATH")
        .map(PathBuf::from)
        .into_iter()
        .flat_map(|path| ["lib64", "lib", "targets/x86_64-linux/lib"].map(|folder| path.join(folder)));
    let folders = folders.chain([fetched.join("nvidia/cuda_nvrtc/lib")]);
    for path in folders.flat_map(|folder| libraries(&folder)) {
        if let Some(nvrtc) = fits(&path) {
            return Ok(nvrtc);
        }
    }
    let system = ["libnvrtc.so.12", "libnvrtc.so"].map(Path::new);
    if let Some(nvrtc) = system.into_iter().find_map(&mut fits) {
        return Ok(nvrtc);
    }
    passed_over.retain(|why| !why.contains("No such file") && !why.contains("cannot open shared object"));
    let passed_over = match passed_over.is_empty() {
        true => String::new(),
        false => format!(" ({})", passed_over.join("; ")),
    };
    Err(Error(format!("no NVRTC that compiles for sm_{needed} was found{passed_over}")))
}

/// The files `libnvrtc.so*` in `folder`, by name.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| name(path).starts_with("libnvrtc.so")).collect();
    paths.sort();
    paths
}
