//! `nodal devices`: what can run here.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

#[derive(Args)]
pub struct Options {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let sets: Vec<&str> = instruction_sets();
    let gpu = "this build has no CUDA kernels yet";
    if options.json {
        super::print_json(&json!({
            "cpu": {"available": !sets.is_empty(), "cores": cores, "instruction_sets": sets},
            "cuda": {"available": false, "reason": gpu},
            "sim": {"available": false, "reason": gpu},
            "kernels": [],
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = super::table(&["device", "available", "details"], 3);
    match sets.first() {
        Some(best) => {
            let details = format!("{cores} cores; {best} is used, of {}", sets.join(", "));
            table.add_row(["cpu", "yes", &details]);
        }
        None => {
            table.add_row(["cpu", "no", "built without the feature `cpu`"]);
        }
    }
    table.add_row(["cuda", "no", gpu]);
    table.add_row(["sim", "no", gpu]);
    super::print(&super::text(&table))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "cpu")]
fn instruction_sets() -> Vec<&'static str> {
    nodal::device::cpu::Isa::available().into_iter().map(|isa| isa.name()).collect()
}

#[cfg(not(feature = "cpu"))]
fn instruction_sets() -> Vec<&'static str> {
    Vec::new()
}
