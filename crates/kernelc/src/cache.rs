//! Compiled files by the digest of what they were made from.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use crate::{Compiled, Error, Nvrtc, Result, Sources, Target, resources};

/// `module` for `target`, from `cache` or the compiler.
pub(crate) fn compiled(
    nvrtc: &Nvrtc,
    sources: &Sources,
    (module, text): (&str, &str),
    target: Target,
    cache: &Path,
) -> Result<Compiled> {
    let mut digest = DefaultHasher::new();
    (module, text, &sources.headers, target.options(), nvrtc.version).hash(&mut digest);
    let path = cache.join(format!("{module}-{:016x}", digest.finish()));
    let log_path = path.with_extension("log");
    let cached = std::fs::read(&path).ok().zip(std::fs::read_to_string(&log_path).ok());
    let code = cached
        .and_then(|(bytes, log)| Some((miniz_oxide::inflate::decompress_to_vec_zlib(&bytes).ok()?, log)));
    let (code, log) = match code {
        Some(found) => found,
        None => {
            let (code, log) = nvrtc.compile(&format!("{module}.cu"), text, &sources.headers, target)?;
            write(&log_path, log.as_bytes())?;
            write(&path, &miniz_oxide::deflate::compress_to_vec_zlib(&code, 9))?;
            (code, log)
        }
    };
    let resources = match target {
        Target::Machine(_) => resources::parse(&log),
        _ => Vec::new(),
    };
    Ok(Compiled { module: module.to_string(), target, path, bytes: code.len(), resources })
}

/// Writes a file that appears whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let problem = |e: std::io::Error| Error(format!("{}: cannot write: {e}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(problem)?;
    }
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::write(&temporary, bytes).map_err(problem)?;
    std::fs::rename(&temporary, path).map_err(problem)
}
