//! Broken and hostile weight files: each gives one sentence that names the file and what is wrong; none panics.
#![allow(clippy::unwrap_used)] // a test may panic

mod build;
mod formats;
mod memory;
mod pickles;

use std::path::Path;

use nodal::Weights;
use nodal::network::Parameter;

use build::*;

/// A broken file: what it is, its bytes, what the sentence must say.
type Case = (&'static str, Vec<u8>, &'static str);

/// The sentence that opening `bytes`, or reading or checking what is in them, ends with.
fn complaint(bytes: Vec<u8>) -> String {
    let path = Path::new("broken.file");
    let weights = match Weights::from_bytes(path, bytes) {
        Ok(weights) => weights,
        Err(error) => return error.to_string(),
    };
    weights.check(&expected()).unwrap_err().to_string()
}

/// What a whole file of these tests must hold.
fn expected() -> Vec<Parameter> {
    let parameter = |name: &str, shape: &[usize]| Parameter { name: name.into(), shape: shape.to_vec() };
    vec![parameter("a.weight", &[2, 3]), parameter("a.bn.running_var", &[2])]
}

fn assert_sentence(what: &str, message: &str) {
    assert!(message.starts_with("broken.file: "), "{what}: does not name the file: {message}");
    assert!(!message.contains('\n') && message.len() < 300, "{what}: no sentence: {message}");
}

#[test]
fn each_broken_file_gives_one_sentence() {
    let table = [
        formats::unknown(),
        formats::headers(),
        formats::contents(),
        pickles::archives(),
        pickles::tensors(),
        pickles::calls(),
        pickles::bombs(),
        pickles::older(),
    ]
    .concat();
    assert!(table.len() >= 100, "{}", table.len());
    let mut wrong = Vec::new();
    for (what, bytes, says) in table {
        let (message, peak) = memory::peak_bytes(|| complaint(bytes));
        assert_sentence(what, &message);
        // The pickle machine's million steps take some 100 bytes each, whatever the file; all else is in proportion.
        if peak > 160 << 20 {
            wrong.push(format!("{what}: took {peak} bytes"));
        }
        if !message.contains(says) {
            wrong.push(format!("{what}: expected `{says}` in: {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_files_the_broken_ones_come_from_are_good() {
    for (what, bytes) in [
        ("safetensors", safetensors(GOOD, &values())),
        ("zip", pth(&dict(&good_items()))),
        ("legacy", legacy(&MAGIC, 1001, [6, 2])),
    ] {
        let weights = Weights::from_bytes(Path::new(what), bytes).unwrap();
        weights.check(&expected()).unwrap();
        assert_eq!(*weights.f32("a.weight").unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "{what}");
        assert_eq!(*weights.f32("a.bn.running_var").unwrap(), [0.5, 0.25], "{what}");
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    for whole in [safetensors(GOOD, &values()), pth(&dict(&good_items())), legacy(&MAGIC, 1001, [6, 2])] {
        for length in 0..whole.len() {
            assert_sentence(&format!("cut at {length}"), &complaint(whole[..length].to_vec()));
        }
    }
}

#[test]
fn a_changed_byte_never_panics() {
    for whole in [safetensors(GOOD, &values()), pth(&dict(&good_items())), legacy(&MAGIC, 1001, [6, 2])] {
        for at in 0..whole.len() {
            for value in [0, 0x7f, 0x80, 0xff, whole[at] ^ 1] {
                let mut changed = whole.clone();
                changed[at] = value;
                if let Ok(weights) = Weights::from_bytes(Path::new("changed"), changed) {
                    let names: Vec<String> = weights.names().map(str::to_string).collect();
                    names.iter().for_each(|name| drop(weights.f32(name)));
                }
            }
        }
    }
}
