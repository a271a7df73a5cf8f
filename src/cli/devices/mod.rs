//! `nodal devices`: what can run here, and which kernels are embedded.

mod kernels;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kernels::Row;
use serde_json::{Value, json};

#[derive(Args)]
pub struct Options {
    /// List the embedded kernels: what each needs on each architecture
    #[arg(long)]
    kernels: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write the embedded machine code and PTX into this folder, as MODULE.sm_90.cubin and MODULE.compute_120.ptx
    #[arg(long, value_name = "DIR", conflicts_with = "json")]
    extract: Option<PathBuf>,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if let Some(folder) = &options.extract {
        return kernels::extract(folder).map(|()| ExitCode::SUCCESS);
    }
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let sets: Vec<&str> = instruction_sets();
    let kernels = kernels::all();
    if options.json {
        super::print_json(&json!({
            "cpu": {"available": !sets.is_empty(), "cores": cores, "instruction_sets": sets},
            "cuda": cuda_json(),
            "sim": {"available": cfg!(feature = "sim"), "reason": sim_reason()},
            "kernels": kernels.iter().map(Row::json).collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if options.kernels {
        if kernels.is_empty() {
            anyhow::bail!("this build of nodal has no machine code: build it with --features cuda");
        }
        return super::print(&kernels::table(&kernels)).map(|()| ExitCode::SUCCESS);
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
    for [name, available, details] in cuda_rows() {
        table.add_row([name, available, details]);
    }
    match sim_reason() {
        Some(reason) => table.add_row(["sim", "no", reason]),
        None => table.add_row(["sim", "yes", "runs the kernels on the processor, exactly and slowly"]),
    };
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

fn sim_reason() -> Option<&'static str> {
    (!cfg!(feature = "sim")).then_some("built without the feature `sim`")
}

#[cfg(feature = "cuda")]
fn cuda_rows() -> Vec<[String; 3]> {
    let devices = match nodal::device::cuda::devices() {
        Ok(devices) => devices,
        Err(error) => return vec![["cuda".into(), "no".into(), reason(error)]],
    };
    let row = |(index, card): (usize, nodal::device::cuda::Properties)| {
        let (code, available) = match card.code() {
            Some(code) => (format!("loads {code}"), "yes"),
            None => ("no code for it".to_string(), "no"),
        };
        let (capability, driver) = (card.compute_capability, card.cuda_version);
        let details = format!(
            "{}, compute capability {}.{}, {} multiprocessors, {:.1} GiB, driver for CUDA {}.{}; {code}",
            card.name,
            capability.0,
            capability.1,
            card.multiprocessors,
            card.memory_bytes as f64 / f64::from(1 << 30),
            driver.0,
            driver.1,
        );
        [format!("cuda:{index}"), available.into(), details]
    };
    devices.into_iter().enumerate().map(row).collect()
}

#[cfg(feature = "cuda")]
fn cuda_json() -> Value {
    let devices = match nodal::device::cuda::devices() {
        Ok(devices) => devices,
        Err(error) => return json!({"available": false, "reason": reason(error), "devices": []}),
    };
    let row = |(index, card): (usize, &nodal::device::cuda::Properties)| {
        json!({
            "device": format!("cuda:{index}"), "available": card.code().is_some(), "name": card.name,
            "compute_capability": [card.compute_capability.0, card.compute_capability.1],
            "multiprocessors": card.multiprocessors, "clock_mhz": card.clock_mhz,
            "memory_bytes": card.memory_bytes, "cuda_version": [card.cuda_version.0, card.cuda_version.1],
            "code": card.code(),
        })
    };
    let available = devices.iter().any(|card| card.code().is_some());
    json!({"available": available, "devices": devices.iter().enumerate().map(row).collect::<Vec<_>>()})
}

/// Why there is no device, without the device's name.
#[cfg(feature = "cuda")]
fn reason(error: nodal::Error) -> String {
    match error {
        nodal::Error::Device { problem, .. } => problem,
        other => other.to_string(),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda_rows() -> Vec<[String; 3]> {
    vec![["cuda", "no", "built without the feature `cuda`"].map(str::to_string)]
}

#[cfg(not(feature = "cuda"))]
fn cuda_json() -> Value {
    json!({"available": false, "reason": "built without the feature `cuda`", "devices": []})
}
