//! What can go wrong, by kind. Every message is one sentence: what is wrong, where, and what was expected.

use std::path::{Path, PathBuf};

/// Result of every fallible operation of this library.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the library. Its `Display` is one sentence fit for a user's eyes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file.
    #[error("{}: cannot {doing}: {reason}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was attempted, as a verb: `read`, `write`, `map`.
        doing: &'static str,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// A weight or reference file that is not what it claims to be.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// One tensor of a file is wrong.
    #[error("{}: tensor `{tensor}`: {problem}", path.display())]
    Tensor {
        /// The file, or a word for tensors that never were in one.
        path: PathBuf,
        /// The tensor's name in the file.
        tensor: String,
        /// What is wrong with it, with expected and got.
        problem: String,
    },
    /// An image that cannot be used.
    #[error("{}: {problem}", path.display())]
    Image {
        /// The file, or a word for an image that never was in one.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A shape that does not fit.
    #[error("{what}: expected {expected}, got {got}")]
    Shape {
        /// Whose shape.
        what: String,
        /// What would have fitted.
        expected: String,
        /// What came.
        got: String,
    },
    /// An argument outside its range, or two that contradict each other.
    #[error("{0}")]
    Argument(String),
    /// A device that is not there or cannot do what was asked.
    #[error("device {device}: {problem}")]
    Device {
        /// The device as the user named it.
        device: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Memory that could not be had.
    #[error("{what} needs {:.1} GB of memory, more than there is: make it smaller", *needed_bytes as f64 / 1e9)]
    Memory {
        /// For what.
        what: String,
        /// How much.
        needed_bytes: usize,
    },
}

impl Error {
    /// [`Error::Io`] for `path`.
    pub fn io(path: &Path, doing: &'static str, reason: std::io::Error) -> Self {
        Error::Io { path: path.to_path_buf(), doing, reason }
    }

    /// [`Error::Format`] for `path`.
    pub fn format(path: &Path, problem: impl Into<String>) -> Self {
        Error::Format { path: path.to_path_buf(), problem: problem.into() }
    }

    /// [`Error::Tensor`] for `path`.
    pub fn tensor(path: &Path, tensor: &str, problem: impl Into<String>) -> Self {
        Error::Tensor { path: path.to_path_buf(), tensor: tensor.to_string(), problem: problem.into() }
    }

    /// [`Error::Image`] for `path`.
    pub fn image(path: &Path, problem: impl Into<String>) -> Self {
        Error::Image { path: path.to_path_buf(), problem: problem.into() }
    }
}
