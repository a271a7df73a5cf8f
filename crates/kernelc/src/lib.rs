//! Compiles a folder of CUDA C++ kernels through NVRTC: machine code for each architecture, PTX where it is asked for, in
//! parallel, and only what has changed.
//!
//! No CUDA toolkit is needed, only the library `libnvrtc`, opened while a build runs. The kernels include headers of their own
//! folder and nothing else.

mod cache;
mod find;
mod nvrtc;
mod resources;

pub use find::find;
pub use nvrtc::Nvrtc;
pub use resources::Resources;

use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What stops a build: one sentence, and the compiler's log where there is one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub(crate) String);

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What a file is compiled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Machine code of an architecture, 61 for sm_61.
    Machine(u32),
    /// PTX of a virtual architecture.
    Ptx(u32),
    /// PTX with the source's line numbers.
    PtxWithLines(u32),
}

impl Target {
    /// Its options for the compiler.
    fn options(self) -> Vec<String> {
        let mut options = vec!["--std=c++17".to_string(), "--ptxas-options=-v".to_string()];
        options.push(match self {
            Target::Machine(architecture) => format!("--gpu-architecture=sm_{architecture}"),
            Target::Ptx(architecture) | Target::PtxWithLines(architecture) => {
                format!("--gpu-architecture=compute_{architecture}")
            }
        });
        if matches!(self, Target::PtxWithLines(_)) {
            options.push("-lineinfo".into());
        }
        options
    }
}

/// A folder of kernels.
pub struct Sources {
    /// Name without extension, and text, of every `.cu` file, by name.
    pub files: Vec<(String, String)>,
    /// Name and text of every `.cuh` file, by name.
    pub headers: Vec<(String, String)>,
}

impl Sources {
    /// Reads all of `folder`.
    ///
    /// # Errors
    /// For a folder or a file that cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let unreadable =
            |path: &Path, e: std::io::Error| Error(format!("{}: cannot read: {e}", path.display()));
        let mut sources = Sources { files: Vec::new(), headers: Vec::new() };
        for entry in std::fs::read_dir(folder).map_err(|e| unreadable(folder, e))? {
            let path = entry.map_err(|e| unreadable(folder, e))?.path();
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            let name =
                |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
            let text = || std::fs::read_to_string(&path).map_err(|e| unreadable(&path, e));
            match extension {
                "cu" => sources.files.push((name(path.file_stem()), text()?)),
                "cuh" => sources.headers.push((name(path.file_name()), text()?)),
                _ => {}
            }
        }
        sources.files.sort();
        sources.headers.sort();
        Ok(sources)
    }
}

/// One file compiled for one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The file's name without extension.
    pub module: String,
    /// For what.
    pub target: Target,
    /// Where the code lies, compressed as a zlib stream.
    pub path: PathBuf,
    /// Bytes of the code itself.
    pub bytes: usize,
    /// What each kernel needs of a multiprocessor; of machine code only.
    pub resources: Vec<Resources>,
}

/// Compiles all of `sources` for all of `targets` on as many threads as there are cores; what lies in `cache` already, made
/// from the same text, options and compiler, is taken from there.
///
/// # Errors
/// The first file's and target's error, with the compiler's log; that of a cache that cannot be written.
pub fn compile(nvrtc: &Nvrtc, sources: &Sources, targets: &[Target], cache: &Path) -> Result<Vec<Compiled>> {
    let jobs: Vec<(&str, &str, Target)> = sources
        .files
        .iter()
        .flat_map(|(module, text)| {
            targets.iter().map(move |target| (module.as_str(), text.as_str(), *target))
        })
        .collect();
    let next = Mutex::new(jobs.iter().enumerate());
    let done: Mutex<Vec<Option<Result<Compiled>>>> = Mutex::new(jobs.iter().map(|_| None).collect());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((i, &(module, text, target))) =
                    next.lock().ok().and_then(|mut next| next.next())
                {
                    let compiled = cache::compiled(nvrtc, sources, (module, text), target, cache);
                    if let Ok(mut done) = done.lock() {
                        done[i] = Some(compiled);
                    }
                }
            });
        }
    });
    let lost = || Err(Error("a compiler thread ended without a result".into()));
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.into_iter().map(|compiled| compiled.unwrap_or_else(lost)).collect()
}
