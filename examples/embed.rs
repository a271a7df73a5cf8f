//! The whole of nodal in an application: `cargo run --release --example embed -- WEIGHTS CROP…`

use std::path::PathBuf;

use nodal::{Device, Image, Model, ModelOptions, Weights};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let file = arguments.next().ok_or("give a weight file and crops")?;

    let weights = Weights::open(&file)?;
    let mut model = Model::new(&weights, &Device::open("auto", None)?, &ModelOptions::default())?;
    for crop in arguments {
        let prediction = model.classify(&Image::open(&crop)?)?;
        let class = &model.classes()[prediction.class];
        println!("{}: {class} ({:.4})", crop.display(), prediction.probabilities[prediction.class]);
    }
    Ok(())
}
