//! `nodal explain` as a user drives it.
#![cfg(all(feature = "cli", feature = "cpu"))]
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use nodal::Image;
use serde_json::Value;

fn nodal(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nodal")).args(arguments).output().unwrap()
}

/// A folder with weights of small inputs, and crops in two folders that share names.
struct World(tempfile::TempDir);

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let world = World(tempfile::tempdir().unwrap());
    assert!(
        nodal(&["init", "--seed", "3", "--size", "75x80", "-o", &world.at("w.safetensors")]).status.success()
    );
    for folder in ["a", "b"] {
        std::fs::create_dir_all(world.0.path().join("crops").join(folder)).unwrap();
        let crop = common::root().join("examples/crops/val/grass/grass-000.jpg");
        std::fs::copy(crop, world.0.path().join("crops").join(folder).join("x.jpg")).unwrap();
    }
    std::fs::write(world.0.path().join("text.jpg"), "no image at all").unwrap();
    world
});

impl World {
    fn at(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn explain(&self, arguments: &[&str]) -> Output {
        let weights = self.at("w.safetensors");
        nodal(&[&["explain", "--device", "cpu", "--threads", "2", "--weights", &weights], arguments].concat())
    }

    /// What `arguments` print as JSON.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.explain(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn refused(&self, arguments: &[&str], says: &str) {
        let output = self.explain(arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {message}");
        assert!(
            message.contains(says) && !message.contains("panicked"),
            "{arguments:?}: `{says}` in: {message}"
        );
    }
}

/// Files in `folder` and below.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    all.sort();
    all
}

#[test]
fn each_image_gets_a_picture_of_its_own() {
    let out = WORLD.at("both");
    let found =
        WORLD.json(&[&WORLD.at("crops"), "-o", &out, "--method", "both", "--patch", "40", "--stride", "35"]);
    let results = found["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for (result, folder) in results.iter().zip(["a", "b"]) {
        let picture = PathBuf::from(result["picture"].as_str().unwrap());
        assert_eq!(picture, Path::new(&out).join(folder).join("x.png"));
        let sheet = Image::open(&picture).unwrap();
        // The crop and two maps, side by side.
        assert!(sheet.width() > 3 * 400 && sheet.height() > 375 && sheet.channels() == 3);
        let probability = result["probability"].as_f64().unwrap();
        assert!((0.5..=1.0).contains(&probability) && result["class"] == result["predicted"]);
        assert_eq!(result["grad-cam"]["layer"], "Mixed_6e");
        assert_eq!(result["occlusion"]["patch"], 40);
        for method in ["grad-cam", "occlusion"] {
            let maximum = &result[method]["maximum"];
            if !maximum.is_null() {
                assert!(maximum["value"].as_f64().unwrap() > 0.0);
                assert!(maximum["row"].as_u64().unwrap() < 75 && maximum["column"].as_u64().unwrap() < 80);
            }
        }
    }
    assert_eq!(files(Path::new(&out)).len(), 2, "nothing but the pictures");
    // The same images into the same folder.
    WORLD.refused(&[&WORLD.at("crops"), "-o", &out], "is there already: remove it, or name another folder");
}

#[test]
fn the_class_and_the_layer_can_be_named() {
    let crop = WORLD.at("crops/a/x.jpg");
    let of = |class: &str, out: &str| {
        let arguments = [&crop, "-o", &WORLD.at(out), "--class", class, "--layer", "Mixed_5d"];
        WORLD.json(&arguments)["results"][0].clone()
    };
    let (no, yes) = (of("negative", "no"), of("positive", "yes"));
    assert_eq!((no["class"].as_str(), yes["class"].as_str()), (Some("negative"), Some("positive")));
    let [p, q] = [&no, &yes].map(|result| result["probability"].as_f64().unwrap());
    assert!((p + q - 1.0).abs() < 1e-6);
    assert_eq!(no["predicted"], yes["predicted"]);
    assert_eq!(yes["grad-cam"]["layer"], "Mixed_5d");
    assert!(yes.get("occlusion").is_none());
    assert!(Image::open(Path::new(&WORLD.at("yes/x.png"))).is_ok());
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_written() {
    let (crop, out) = (WORLD.at("crops/a/x.jpg"), WORLD.at("never"));
    let refused = |more: &[&str], says: &str| {
        WORLD.refused(&[&[crop.as_str(), "-o", &out], more].concat(), says);
        assert!(!Path::new(&out).exists(), "{more:?}");
    };
    refused(&["--layer", "Mixed_9z"], "name one of Conv2d_1a_3x3, ");
    refused(&["--layer", "Mixed_7c"], "name Mixed_6e (3×3) or a layer before it");
    refused(&["--class", "cats"], "name one of negative, positive");
    refused(&["--method", "occlusion", "--patch", "76"], "a number from 1 to 75");
    refused(&["--method", "both", "--stride", "33"], "every pixel is hidden");
    refused(&["--patch", "20"], "--patch belongs to --method occlusion or both");
    refused(
        &["--method", "occlusion", "--layer", "Mixed_5d"],
        "--layer belongs to --method grad-cam or both",
    );
    refused(&["--batch", "0"], "batch of 0");
    WORLD.refused(&[&WORLD.at("nothing.jpg"), "-o", &out], "there is no such file or folder");
}

#[test]
fn an_unreadable_image_is_named_and_the_rest_goes_on() {
    let (text, crop, out) = (WORLD.at("text.jpg"), WORLD.at("crops/a/x.jpg"), WORLD.at("some"));
    let output = WORLD.explain(&[&text, &crop, "-o", &out, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("text.jpg") && message.contains("1 of 2 images could not be explained"),
        "{message}"
    );
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["results"][0]["error"].as_str().unwrap().contains("text.jpg"));
    assert!(Path::new(found["results"][1]["picture"].as_str().unwrap()).is_file());
}
