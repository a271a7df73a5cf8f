//! Weight files of others, and ours: what `torch.save` wrote is read, what nodal writes is read back, by others too.
#![allow(clippy::unwrap_used)] // a test may panic

use std::path::{Path, PathBuf};

use nodal::network::{AvgPoolPadding, Network};
use nodal::weights::DType;
use nodal::{Error, Weights};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// 0, 1/4, 2/4, …: what `ramp` of tests/data/make_pth.py gives.
fn ramp(count: usize) -> Vec<f32> {
    (0..count).map(|i| i as f32 / 4.0).collect()
}

/// What tests/data/make_pth.py put into both of its files.
fn assert_state(weights: &Weights) {
    let f32 = |name: &str| weights.f32(name).unwrap().into_owned();
    assert_eq!(weights.shape("plain").unwrap(), [2, 3]);
    assert_eq!(f32("plain"), ramp(6));
    assert_eq!(weights.shape("transposed").unwrap(), [5, 3, 2]);
    // Element (i, j, k) of the permuted tensor is (j, k, i) of one of 3, 2, 5.
    let at = |n: usize| (n % 6) / 2 * 10 + n % 2 * 5 + n / 6;
    assert_eq!(f32("transposed"), (0..30).map(|n| at(n) as f32 / 4.0).collect::<Vec<_>>());
    assert_eq!(f32("shared"), ramp(24));
    assert_eq!(weights.shape("shared_rows").unwrap(), [2, 6]);
    assert_eq!(f32("shared_rows"), ramp(24)[6..18]);
    assert_eq!(weights.shape("shared_columns").unwrap(), [4, 3]);
    assert_eq!(f32("shared_columns"), ramp(24).into_iter().skip(1).step_by(2).collect::<Vec<_>>());
    assert_eq!(f32("parameter"), ramp(7));
    assert_eq!(weights.f64("f64").unwrap(), [0.0, 0.25, 0.5]);
    assert_eq!(f32("f64"), ramp(3));
    for (name, dtype) in [("f16", DType::F16), ("bf16", DType::Bf16)] {
        assert_eq!(weights.dtype(name), Some(dtype));
        assert_eq!(f32(name), ramp(5));
    }
    assert_eq!(weights.shape("i64").unwrap(), [0usize; 0]);
    assert_eq!(weights.i64("i64").unwrap(), [-(1 << 40)]);
    assert_eq!(weights.i64("i32").unwrap(), [-7, 8]);
    assert_eq!(weights.i64("i16").unwrap(), [-300]);
    assert_eq!(weights.i64("i8").unwrap(), [-3, 4]);
    assert_eq!(weights.i64("u8").unwrap(), [250]);
    assert_eq!(weights.i64("bool").unwrap(), [1, 0]);
    assert_eq!(weights.shape("empty").unwrap(), [0, 3]);
    assert_eq!(f32("empty"), [0f32; 0]);
    assert_eq!(weights.names().count(), 16);
}

#[test]
fn files_of_torch_save_are_read() {
    for name in ["state.pth", "state-legacy.pth"] {
        assert_state(&Weights::open(&data(name)).unwrap());
    }
}

#[test]
fn every_type_survives_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    let (pth, safetensors) = (folder.path().join("w.pth"), folder.path().join("w.safetensors"));
    let mut weights = Weights::open(&data("state.pth")).unwrap();
    weights.set_metadata("classes", "[\"a\\nb\"]");
    weights.save(&safetensors).unwrap();
    let weights = Weights::open(&safetensors).unwrap();
    assert_state(&weights);
    weights.save(&pth).unwrap();
    let weights = Weights::open(&pth).unwrap();
    assert_state(&weights);
    assert_eq!(weights.metadata()["classes"], "[\"a\\nb\"]");
    let left: Vec<_> = folder.path().read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn what_we_write_is_aligned_and_borrowed_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["w.pth", "w.safetensors"] {
        let path = folder.path().join(name);
        Weights::open(&data("state.pth")).unwrap().save(&path).unwrap();
        let weights = Weights::open(&path).unwrap();
        for tensor in ["plain", "transposed", "shared_columns", "parameter"] {
            let values = weights.f32(tensor).unwrap();
            assert!(matches!(values, std::borrow::Cow::Borrowed(_)), "{name}: {tensor} was copied");
        }
    }
}

/// The library that defines the format is the judge of what we write.
#[test]
fn the_safetensors_library_reads_what_we_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let mut weights = Weights::open(&data("state.pth")).unwrap();
    weights.set_metadata("k", "v");
    weights.save(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), 16);
    let plain = file.tensor("plain").unwrap();
    assert_eq!((plain.dtype(), plain.shape()), (safetensors::Dtype::F32, [2, 3].as_slice()));
    assert_eq!(plain.data(), ramp(6).iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["k"], "v");
}

#[test]
fn unaligned_floats_are_copied() {
    let header = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}"#;
    let values: Vec<u8> = [1.5f32, -2.5].iter().flat_map(|x| x.to_le_bytes()).collect();
    // One of four header lengths in a row puts the floats on a multiple of four; none may matter.
    for spaces in 0..4 {
        let header = format!("{header}{}", " ".repeat(spaces));
        let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[7], &values].concat();
        let weights = Weights::from_bytes(Path::new("unaligned"), file).unwrap();
        assert_eq!(*weights.f32("b").unwrap(), [1.5, -2.5]);
        assert_eq!(weights.i64("a").unwrap(), [7]);
    }
}

#[test]
fn a_wrong_type_is_refused_by_name() {
    let weights = Weights::open(&data("state.pth")).unwrap();
    assert!(weights.f32("i64").unwrap_err().to_string().contains("`i64`: holds integers"));
    assert!(weights.i64("plain").unwrap_err().to_string().contains("`plain`: holds real numbers"));
    assert!(matches!(weights.f32("none"), Err(Error::Tensor { .. })));
}

#[test]
fn random_weights_pass_their_check_with_what_may_stand_beside_them() {
    let network = Network::inception_v3((75, 75), 2, AvgPoolPadding::Include).unwrap();
    let parameters = network.parameters();
    let random = Weights::random(11, &parameters).unwrap();
    random.check(&parameters).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    let mean = nodal::Tensor::new(&[1, 2, 3], ramp(6)).unwrap();
    let tensors: Vec<(String, nodal::Tensor)> = random
        .names()
        .map(|name| {
            let tensor = nodal::Tensor::new(random.shape(name).unwrap(), random.f32(name).unwrap().to_vec());
            (name.to_string(), tensor.unwrap())
        })
        .chain([("preprocess.mean".to_string(), mean)])
        .collect();
    let all = Weights::from_tensors(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))).unwrap();
    all.save(&path).unwrap();
    let back = Weights::open(&path).unwrap();
    back.check(&parameters).unwrap();
    assert_eq!(*back.f32("preprocess.mean").unwrap(), ramp(6)[..]);
    // The batch counters that a strict load_state_dict asks for have come in; the mean image is no part of the network.
    assert_eq!(back.i64("Mixed_5b.branch1x1.bn.num_batches_tracked").unwrap(), [0]);
    assert_eq!(back.names().count(), tensors.len() + 94);
    for parameter in &parameters {
        assert_eq!(
            back.f32(&parameter.name).unwrap(),
            random.f32(&parameter.name).unwrap(),
            "{}",
            parameter.name
        );
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let complaint = |path: &Path| Weights::open(path).err().unwrap().to_string();
    assert!(complaint(folder.path()).contains("is a folder"));
    assert!(complaint(&folder.path().join("none.pth")).contains("cannot read"));
    let empty = folder.path().join("empty.pth");
    std::fs::write(&empty, b"").unwrap();
    assert!(complaint(&empty).contains("is empty"));
    #[cfg(unix)]
    assert!(complaint(Path::new("/dev/null")).contains("no regular file"));
}

#[test]
fn a_failed_write_keeps_what_stood_there() {
    let folder = tempfile::tempdir().unwrap();
    let weights = Weights::open(&data("state.pth")).unwrap();
    let path = folder.path().join("none/w.safetensors");
    assert!(matches!(weights.save(&path), Err(Error::Io { .. })));
    assert!(matches!(weights.save(&folder.path().join("w.bin")), Err(Error::Argument(_))));
    // Over the very file that is mapped: the old one lives on until it is let go.
    let path = folder.path().join("w.pth");
    weights.save(&path).unwrap();
    let mapped = Weights::open(&path).unwrap();
    mapped.save(&path).unwrap();
    assert_state(&mapped);
    assert_state(&Weights::open(&path).unwrap());
    assert_eq!(folder.path().read_dir().unwrap().count(), 1);
}
