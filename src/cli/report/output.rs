//! Where a page may be written: to a free name, or over another page.

use std::fs::{File, metadata, remove_file};
use std::io::Read;
use std::path::Path;

use nodal::Error;

/// What a page begins with.
const BEGIN: &[u8] = b"<!DOCTYPE html>";

/// Whether a page can be written to `path`, which the option `named` gave: asked before any work, so that no input, and no file of
/// a run or a sweep, is ever overwritten.
///
/// # Errors
/// For anything there but a page, and for a folder that takes no file.
pub fn check(path: &Path, named: &str) -> anyhow::Result<()> {
    super::super::check_output(path)?;
    let shown = path.display();
    match metadata(path) {
        Ok(known) if known.is_dir() => anyhow::bail!("{shown}: is a folder: name a file in it with {named}"),
        // A pipe would not end, and a device is no page.
        Ok(known) if !known.is_file() || !is_page(path)? => {
            anyhow::bail!("{shown}: is there already and is no HTML page: name another file with {named}")
        }
        _ => {}
    }
    // Whoever may make a file beside it may write it, too.
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let beside = path.with_file_name(name);
    File::create_new(&beside).and_then(|_| remove_file(&beside)).map_err(|e| Error::io(path, "write", e))?;
    Ok(())
}

/// Whether a file begins as a page does.
fn is_page(path: &Path) -> nodal::Result<bool> {
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BEGIN.len() as u64).read_to_end(&mut begin));
    read.map_err(|e| Error::io(path, "read", e))?;
    Ok(begin == BEGIN)
}
