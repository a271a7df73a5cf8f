//! `examples/study.sh`, on so little that what it finds says nothing.

use std::process::Command;

use crate::folder::Folder;

#[cfg(unix)]
#[test]
fn the_whole_study_runs_from_one_script() {
    let folder = Folder::with(&[]);
    let out = folder.path().join("study");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/study.sh");
    let small = [("PATIENTS", "12"), ("SIZE", "75"), ("EPOCHS", "2"), ("SWEEP_EPOCHS", "1"), ("FOLDS", "2")];
    let output = Command::new("sh")
        .arg(script)
        .arg(&out)
        .env("NODAL", env!("CARGO_BIN_EXE_nodal"))
        .envs(small)
        .output()
        .unwrap();
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{error}");
    for line in ["best epoch", "per patient", "phantom reader A", "phantom_age", "freeze"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    for part in ["no clinical evidence", "phantom reader A", "<svg", "data:image/png;base64,"] {
        assert!(report.contains(part), "the report lacks {part}");
    }
    // Pictures in base64 may spell anything.
    let mut text = report.split("base64,");
    let written = text.next().unwrap().to_string();
    let written = text.fold(written, |all, part| all + part.split_once('"').unwrap().1);
    assert!(!written.contains("NaN"));
}
