//! A folder with files in which the binary is driven.

use std::path::Path;
use std::process::{Command, Output};

/// A folder that goes when it is dropped.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// A folder with these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let folder = Folder(tempfile::tempdir().unwrap());
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    /// Writes a file into it, or below.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nodal"));
        command.args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    /// What a good call prints.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a good call says on standard error.
    #[allow(dead_code)] // not every test asks
    pub fn told(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {message}");
        message
    }

    /// A bad call ends with one sentence that has `says` in it.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str], says: &str) {
        let output = self.run(arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {:?} {message}", output.status);
        assert!(output.stdout.is_empty() && !message.contains("panicked"), "{arguments:?}: {message}");
        assert!(message.contains(says), "{arguments:?}: expected `{says}` in: {message}");
        if output.status.code() == Some(1) {
            assert!(message.starts_with("nodal: ") && message.lines().count() == 1, "{message}");
        }
    }
}
