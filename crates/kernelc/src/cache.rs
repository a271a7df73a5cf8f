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
    let own = env!("CARGO_PKG_VERSION");
    (own, module, text, &sources.headers, target.options(), nvrtc.version).hash(&mut digest);
    let path = cache.join(format!("{module}-{:016x}", digest.finish()));
    let log_path = path.with_extension("log");
    let cached = std::fs::read(&path).ok().zip(std::fs::read_to_string(&log_path).ok());
    let code = cached
        .and_then(|(bytes, log)| Some((miniz_oxide::inflate::decompress_to_vec_zlib(&bytes).ok()?, log)));
    let (code, log) = match code {
        Some(found) => found,
        None => {
            let (mut code, log) = nvrtc.compile(&format!("{module}.cu"), text, &sources.headers, target)?;
            if matches!(target, Target::PtxWithLines(_)) {
                code = without_folders(&code);
            }
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

/// PTX whose `.file` lines name files without the folder that the compiler ran in.
fn without_folders(ptx: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(ptx);
    let line =
        |line: &str| match (line.trim_start().starts_with(".file"), line.split_once('"'), line.rfind('/')) {
            (true, Some((before, _)), Some(slash)) => format!("{before}\"{}", &line[slash + 1..]),
            _ => line.to_string(),
        };
    text.lines().map(|l| line(l) + "\n").collect::<String>().into_bytes()
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

#[cfg(test)]
mod tests {
    use super::without_folders;

    #[test]
    fn files_are_named_without_folders() {
        let ptx = b"\t.file\t1 \"/a/b/conv2d.cu\"\n.file 2 \"common.cuh\"\nadd.s32 %r1, %r2, 3; // /a/b\n";
        let expected = b"\t.file\t1 \"conv2d.cu\"\n.file 2 \"common.cuh\"\nadd.s32 %r1, %r2, 3; // /a/b\n";
        assert_eq!(without_folders(ptx), expected);
    }
}
