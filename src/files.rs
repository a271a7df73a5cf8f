//! Files and folders that appear whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;

use crate::error::{Error, Result};

/// Writes a file through `fill`: under a temporary name beside `path`, flushed to disk, then renamed. Whatever fails,
/// what stood at `path` before stands there still.
///
/// # Errors
/// [`Error::Io`] with the first thing that failed.
pub fn write_whole<F>(path: &Path, fill: F) -> Result<()>
where
    F: FnOnce(&mut Writer) -> io::Result<()>,
{
    // Through a link to what it names; a device or a pipe must not become a file.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let Some(name) = real.file_name().filter(|_| real.is_file() || !real.exists()) else {
        return Err(Error::Argument(format!("{}: is no regular file; name a file to write", path.display())));
    };
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.part", std::process::id()));
    let temporary = real.with_file_name(temporary);
    let written = File::create(&temporary).and_then(|file| {
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        fill(&mut writer)?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&temporary, &real)?;
        sync_folder(&real)
    });
    written.map_err(|e| {
        // The first error is the one worth telling.
        let _ = fs::remove_file(&temporary);
        Error::io(path, "write", e)
    })
}

/// Makes a folder through `fill`, which is given another one beside `path` that is then renamed, and returns what that returns.
/// Whatever fails before it has its name, nothing is left.
///
/// # Errors
/// [`Error::Argument`] when something lies at `path`, an empty folder apart; [`Error::Io`] when it cannot be made; those of `fill`.
#[cfg(feature = "train")]
pub(crate) fn make_whole<T, F>(path: &Path, fill: F) -> Result<T>
where
    F: FnOnce(&Path) -> Result<T>,
{
    let occupied = fs::read_dir(path).map(|mut entries| entries.next().is_some());
    if occupied.unwrap_or(fs::symlink_metadata(path).is_ok()) {
        let problem = format!("{}: is there already: name another folder", path.display());
        return Err(Error::Argument(problem));
    }
    let Some(name) = path.file_name() else {
        return Err(Error::Argument(format!("{}: names no folder: give it a name", path.display())));
    };
    let hidden = path.with_file_name(format!(".{}.{}.part", name.display(), std::process::id()));
    let creating = |e| Error::io(path, "create", e);
    fs::create_dir(&hidden).map_err(creating)?;
    let made = fill(&hidden).and_then(|made| {
        fs::rename(&hidden, path).and_then(|()| sync_folder(path)).map_err(creating)?;
        Ok(made)
    });
    if made.is_err() {
        // The first error is the one worth telling.
        let _ = fs::remove_dir_all(&hidden);
    }
    made
}

/// Brings the name of `path` itself to the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A folder can be opened and flushed on Unix only.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// What [`write_whole`] writes through.
pub type Writer = BufWriter<File>;
