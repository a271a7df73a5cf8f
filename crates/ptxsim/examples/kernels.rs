//! Names the kernels in PTX files: `cargo run -p ptxsim --example kernels -- FILE...`

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let module = ptxsim::Module::parse(&std::fs::read_to_string(&path)?)
            .map_err(|problem| format!("{path}: {problem}"))?;
        module.kernels().for_each(|kernel| println!("{kernel}"));
    }
    Ok(())
}
