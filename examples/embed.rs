//! The whole of nodal in an application: `cargo run --release --example embed -- WEIGHTS CROP…`

use std::path::PathBuf;
use std::process::ExitCode;

use nodal::{Device, Image, Model, ModelOptions, Weights};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [weights, crops @ ..] = arguments.as_slice() else {
        eprintln!("usage: embed WEIGHTS CROP…");
        return ExitCode::FAILURE;
    };
    match classify(weights, crops) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("embed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn classify(weights: &std::path::Path, crops: &[PathBuf]) -> nodal::Result<()> {
    let weights = Weights::open(weights)?;
    let mut model = Model::new(&weights, &Device::open("auto", None)?, &ModelOptions::default())?;
    for crop in crops {
        let prediction = model.classify(&Image::open(crop)?)?;
        let class = &model.classes()[prediction.class];
        println!("{}: {class} ({:.4})", crop.display(), prediction.probabilities[prediction.class]);
    }
    Ok(())
}
