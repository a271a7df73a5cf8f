//! The binary as a user drives it.
#![cfg(all(feature = "cli", feature = "cpu"))]
#![allow(clippy::unwrap_used)] // a test may panic

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;

fn nodal(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nodal")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn ok(arguments: &[&str]) -> String {
    let output = nodal(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    stdout(&output)
}

/// The end of every broken call: exit code 1, or 2 for what the option parser refuses; one sentence.
fn refused(arguments: &[&str], says: &str) {
    let output = nodal(arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {:?} {message}", output.status);
    assert!(
        message.contains(says) && !message.contains("panicked"),
        "{arguments:?}: expected `{says}` in: {message}"
    );
    if output.status.code() == Some(1) {
        let last = message.lines().last().unwrap_or_default();
        assert!(last.starts_with("nodal: "), "{arguments:?}: {message}");
        let reason = last.rsplit(": ").next().unwrap_or_default();
        assert_eq!(last.matches(reason).count(), 1, "{arguments:?} says it twice: {message}");
    }
}

/// A folder for all tests, with small weights, crops and broken files in it.
struct World(tempfile::TempDir);

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let world = World(tempfile::tempdir().unwrap());
    ok(&["init", "--seed", "3", "--size", "75x80", "-o", &world.at("w.safetensors")]);
    let crop = std::fs::read(world.crop()).unwrap();
    for (name, bytes) in [
        ("empty.jpg", Vec::new()),
        ("text.jpg", b"no image at all".to_vec()),
        ("cut.jpg", crop[..crop.len() / 2].to_vec()),
        ("header.jpg", crop[..20].to_vec()),
        ("wide.bmp", bitmap(10_000, 10_000)),
        ("flat.bmp", bitmap(0, 7)),
        ("empty.safetensors", Vec::new()),
        ("text.safetensors", b"no weights at all".to_vec()),
        ("other.csv", b"file,node\na.jpg,1\n".to_vec()),
        ("ragged.csv", b"image,node\na.jpg,1\nb.jpg\n".to_vec()),
        ("none.csv", b"image\n".to_vec()),
        ("missing.csv", b"image,node\nnowhere.jpg,1\n".to_vec()),
    ] {
        std::fs::write(world.at(name), bytes).unwrap();
    }
    let folder = world.at("crops");
    std::fs::create_dir_all(Path::new(&folder).join("inner")).unwrap();
    std::fs::create_dir_all(world.at("no-images")).unwrap();
    std::fs::create_dir_all(world.at("folder.pth")).unwrap();
    std::fs::write(world.at("no-images/readme.txt"), "nothing here").unwrap();
    for (to, bytes) in
        [("a.jpg", crop.clone()), ("inner/b.JPG", crop.clone()), ("c.jpg", crop[..300].to_vec())]
    {
        std::fs::write(Path::new(&folder).join(to), bytes).unwrap();
    }
    let csv = "image,node,label\ncrops/a.jpg,n1,positive\ncrops/inner/b.JPG,n1,positive\n";
    std::fs::write(world.at("nodes.csv"), format!("\u{feff}{csv}")).unwrap();
    world
});

impl World {
    fn at(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_string()
    }

    fn crop(&self) -> String {
        concat!(env!("CARGO_MANIFEST_DIR"), "/examples/crops/val/gravel/gravel-003.jpg").to_string()
    }
}

/// A bitmap's header, without pixels.
fn bitmap(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"BM".to_vec();
    for field in [54u32, 0, 54, 40, width, height, 0x0018_0001, 0, 0, 0, 0, 0, 0] {
        header.extend_from_slice(&field.to_le_bytes());
    }
    header
}

fn reference(name: &str) -> String {
    format!("{}/tests/reference/{name}.safetensors", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn bad_input_gives_one_sentence() {
    let w = WORLD.at("w.safetensors");
    let at = |name: &str| WORLD.at(name);
    let predict = |extra: &[&str], says: &str| {
        let arguments: Vec<&str> =
            ["predict", "--weights", w.as_str()].into_iter().chain(extra.iter().copied()).collect();
        refused(&arguments, says);
    };
    let crop = WORLD.crop();
    for (image, says) in [
        ("empty.jpg", "is empty"),
        ("text.jpg", "is no JPEG, PNG, TIFF or BMP"),
        ("cut.jpg", "cannot be decoded"),
        ("header.jpg", "cannot be decoded"),
        ("wide.bmp", "10000×10000 pixels"),
        ("flat.bmp", "flat.bmp"),
        ("nowhere.jpg", "there is no such file or folder"),
        ("no-images", "holds no image"),
        ("other.csv", "no column `image`"),
        ("ragged.csv", "line 3: expected 2 fields"),
        ("none.csv", "lists no image"),
        ("missing.csv", "nowhere.jpg: cannot read"),
        ("nowhere.csv", "there is no such file or folder"),
    ] {
        predict(&[&at(image)], says);
    }
    for (extra, says) in [
        (["--device", "gpu"], "no device is called `gpu`"),
        (
            ["--device", "sim:gtx-9999"],
            if cfg!(feature = "sim") { "no card is called" } else { "no simulator" },
        ),
        (["--device", "cpu:mmx"], "no such instruction set"),
        (["--threads", "0"], "0 threads"),
        (["--threads", "-1"], "-1"),
        (["--batch", "0"], "a batch of 0"),
        (["--batch", "99999999999"], "a batch of 99999999999"),
        (["--size", "74"], "each side must lie between 75"),
        (["--size", "75x"], "a size is"),
        (["--size", "99999999999"], "each side must lie between 75"),
        (["--fit", "stretch"], "fit is `pad`"),
        (["--normalize", "zscore"], "normalize is `tf`"),
        (["--normalize", "mean:nowhere.safetensors"], "nowhere.safetensors: cannot read"),
        (["--avg-pool-padding", "both"], "avg_pool_padding is"),
        (["--json", "--csv"], "cannot be used with"),
    ] {
        predict(&[extra[0], extra[1], &crop], says);
    }
    predict(&[], "required");
    for (weights, says) in [
        ("nowhere.safetensors", "cannot read"),
        ("empty.safetensors", "is empty"),
        ("text.safetensors", "no usable safetensors or .pth"),
        ("crops", "is a folder"),
        ("crops/a.jpg", "no usable safetensors or .pth"),
    ] {
        refused(&["predict", "--weights", &at(weights), &crop], says);
        refused(&["convert", &at(weights), &at("out.pth")], says);
    }
    refused(&["predict", "--weights", &reference("eval-75x75"), &crop], "`fc.weight`: missing");
    refused(&["init", "--seed", "-1", "-o", &at("x.pth")], "-1");
    refused(&["init", "--seed", "1", "-o", &at("x.onnx")], ".safetensors or .pth");
    refused(&["init", "--seed", "1", "-o", &at("nowhere/x.pth")], "does not exist: create it");
    refused(&["init", "--seed", "1", "-o", &at("folder.pth")], "is no regular file");
    refused(&["init", "--seed", "1", "--classes", "0", "-o", &at("x.pth")], "0 classes");
    refused(&["init", "--seed", "1", "--class-names", "a,a", "-o", &at("x.pth")], "needs 2 different names");
    refused(&["convert", &w, &at("crops.pth/")], "crops.pth");
    refused(&["plan", "--size", "12"], "each side must lie between 75");
    refused(&["plan", "--batch", "5000"], "a batch of 5000");
    refused(&["bench", "--seconds=-3"], "--seconds -3");
    refused(&["bench", "--seconds", "NaN"], "--seconds NaN");
    refused(&["bench", "--image", &at("text.jpg"), "--seconds", "0"], "text.jpg: is no JPEG");
    refused(&["verify", "--reference", &w], "`input`: missing");
    refused(&["verify", "--reference", &at("text.safetensors")], "no usable safetensors");
    refused(
        &["verify", "--reference", &reference("eval-75x75"), "--weights", &w, "--tolerance", "x"],
        "a tolerance is",
    );
    refused(&["verify", "--reference", &reference("eval-75x75"), "--tolerance", "NaN"], "a tolerance is");
    refused(&["verify", "--reference", &reference("eval-75x75"), "--tolerance", "grads=1e-3"], "`grads`");
    refused(&["verify", "--reference", &reference("eval-75x75"), "--weights", &w], "our results differ");
    refused(
        &["verify", "--reference", &reference("train-classes-freeze0"), "--weights", &w],
        "head is `classes`, and the weights have 1 outputs",
    );
    refused(&["plan", "--train", "--recompute", "--fuse", "none"], "leave out --recompute");
    refused(&["unknown"], "unrecognized subcommand");
}

#[test]
fn predict_goes_on_past_an_unreadable_image_and_says_so_at_the_end() {
    let output = nodal(&["predict", "--weights", &WORLD.at("w.safetensors"), "--json", &WORLD.at("crops")]);
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(message.contains("c.jpg: cannot be decoded") && message.contains("1 of 3 images"), "{message}");
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let results = json["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for result in results {
        let broken = result["image"].as_str().unwrap().ends_with("c.jpg");
        assert_eq!(result["error"].is_string(), broken, "{result}");
        if !broken {
            let p = result["probabilities"].as_object().unwrap();
            let sum: f64 = p.values().map(|p| p.as_f64().unwrap()).sum();
            assert!((sum - 1.0).abs() <= 1e-6 && p.contains_key(result["class"].as_str().unwrap()));
            assert_eq!(p.keys().collect::<Vec<_>>(), ["negative", "positive"]);
        }
    }
}

#[test]
fn standardizing_is_an_option_and_a_property_of_weights() {
    let (plain, noted, crop) =
        (WORLD.at("w.safetensors"), WORLD.at("standardized.safetensors"), WORLD.crop());
    let mut weights = nodal::Weights::open(plain.as_ref()).unwrap();
    weights.set_metadata("preprocess.standardize", "true");
    weights.save(noted.as_ref()).unwrap();
    let predict = |weights: &str, rest: &[&str]| {
        ok(&[&["predict", "--csv", "--weights", weights, &crop], rest].concat())
    };
    let (before, after) = (predict(&plain, &[]), predict(&plain, &["--standardize"]));
    assert_ne!(before, after);
    assert_eq!(predict(&noted, &[]), after);
    assert_eq!(predict(&noted, &["--standardize=false"]), before);
    refused(&["predict", "--weights", &plain, "--standardize=much", &crop], "invalid value 'much'");
}

#[test]
fn a_csv_with_nodes_gives_a_table_per_node() {
    let weights = WORLD.at("w.safetensors");
    let text = ok(&["predict", "--weights", &weights, &WORLD.at("nodes.csv")]);
    assert!(text.contains("mean P(positive)") && text.contains("n1"), "{text}");
    let patients = "image,patient,node\ncrops/a.jpg,A,1\ncrops/inner/b.JPG,B,1\n";
    std::fs::write(WORLD.at("patients.csv"), patients).unwrap();
    let text = ok(&["predict", "--weights", &weights, &WORLD.at("patients.csv")]);
    assert!(text.contains("A, 1") && text.contains("B, 1"), "two patients' nodes are two: {text}");
    let csv = ok(&["predict", "--weights", &weights, "--csv", &WORLD.at("nodes.csv")]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "image,node,patient,label,class,negative,positive,error"));
    let json = ok(&["predict", "--weights", &weights, "--json", &WORLD.at("patients.csv")]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["results"][1]["node"] == "1" && json["results"][1]["patient"] == "B", "{json}");
    let csv = ok(&["predict", "--weights", &weights, "--csv", &WORLD.at("crops/a.jpg")]);
    assert_eq!(csv.lines().next(), Some("image,class,negative,positive,error"));
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_conversion_keeps_them() {
    let paths: Vec<String> =
        ["1.safetensors", "2.safetensors", "1.pth", "3.safetensors"].map(|n| WORLD.at(n)).into();
    for path in &paths[..3] {
        ok(&["init", "--seed", "9", "--class-names", "no,yes", "-o", path]);
    }
    ok(&["convert", &paths[2], &paths[3]]);
    let read = |path: &String| std::fs::read(path).unwrap();
    assert!(read(&paths[0]) == read(&paths[1]), "two files of one seed differ");
    let open = |path: &String| nodal::Weights::open(&PathBuf::from(path)).unwrap();
    let (first, back) = (open(&paths[0]), open(&paths[3]));
    assert_eq!(first.metadata(), back.metadata());
    for name in first.names() {
        assert!(first.f32(name).unwrap() == back.f32(name).unwrap(), "{name}");
    }
    let counters = back.names().filter(|name| name.ends_with("num_batches_tracked")).count();
    assert_eq!(counters, 94, "a strict load_state_dict asks for them");
}

#[test]
fn plan_counts_the_work_of_the_network() {
    let plan: Value = serde_json::from_str(&ok(&["plan", "--json", "--batch", "3"])).unwrap();
    let convolutions = plan["steps"].as_array().unwrap().iter().filter(|s| s["kind"] == "conv2d");
    let flops: u64 = convolutions.map(|s| s["flops"].as_u64().unwrap()).sum();
    assert_eq!(flops, 3 * 2 * 5_711_168_096);
    let text = ok(&["plan", "--fuse", "none"]);
    assert!(text.contains("batch_norm") && text.contains("concat") && text.contains("arena"));
    let text = ok(&["plan", "--train", "--freeze", "3", "--fuse", "none"]);
    assert!(text.contains("relu_backward") && text.contains("concat_backward"), "{text}");
}

#[test]
fn verify_passes_prints_and_dumps() {
    let dump = WORLD.at("dump.safetensors");
    let reference = reference("eval-75x75");
    let text = ok(&["verify", "--reference", &reference, "--dump", &dump]);
    assert!(text.contains("sample.layer.Mixed_7c") && !text.contains("FAIL"), "{text}");
    let dumped = nodal::Weights::open(Path::new(&dump)).unwrap();
    assert_eq!(dumped.shape("layer.Mixed_5b"), Some(&[2, 256, 7, 7][..]));
    let json: Value =
        serde_json::from_str(&ok(&["verify", "--reference", &reference, "--fuse", "none", "--json"]))
            .unwrap();
    assert_eq!(json["passed"], true);
    refused(&["verify", "--reference", &reference, "--tolerance", "layer=1e-9"], "our results differ");
}

#[test]
fn bench_has_all_keys() {
    let bench = ok(&[
        "bench",
        "--device",
        "cpu",
        "--json",
        "--size",
        "75",
        "--batch",
        "2",
        "--seconds",
        "0",
        "--threads",
        "2",
    ]);
    let bench: Value = serde_json::from_str(&bench).unwrap();
    for stage in ["decode_ms", "fit_ms", "network_ms", "network_loop_ms", "total_ms"] {
        let [min, p50, p90, p99] = ["min", "p50", "p90", "p99"].map(|q| bench[stage][q].as_f64().unwrap());
        assert!(0.0 < min && min <= p50 && p50 <= p90 && p90 <= p99, "{stage}");
    }
    assert_eq!((&bench["device"], &bench["batch"], &bench["threads"]), (&"cpu".into(), &2.into(), &2.into()));
    let layers = bench["layers"].as_array().unwrap();
    assert!(layers.iter().any(|l| l["name"].as_str().unwrap().contains('+')), "merged siblings are joined");
    assert!(layers.iter().all(|l| l["ms"].as_f64().unwrap() > 0.0 && l["share_of_peak"].is_number()));
    assert!(bench["images_per_s"].as_f64().unwrap() > 0.0 && bench["peak_gflops"].as_f64().unwrap() > 1.0);
}

#[test]
fn devices_says_what_is_here() {
    let json: Value = serde_json::from_str(&ok(&["devices", "--json"])).unwrap();
    assert_eq!(json["cpu"]["available"], true);
    assert_eq!(json["cuda"]["available"], nodal::Device::open("cuda", None).is_ok());
    assert!(ok(&["devices"]).contains("portable"));
}

#[test]
#[cfg(unix)]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_nodal"))
        .args(["plan", "--fuse", "none"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
