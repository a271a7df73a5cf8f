//! `nodal verify`: every layer, or training step by step, against a libtorch reference.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use nodal::reference::{Reference, Report, Tolerances};
use serde_json::json;

use super::network::open_weights;

#[derive(Args)]
pub struct Options {
    /// The weights the reference was made with [default: the random ones whose seed it names]
    #[arg(long, value_name = "W")]
    weights: Option<PathBuf>,
    /// Reference file
    #[arg(long, value_name = "R")]
    reference: PathBuf,
    #[command(flatten)]
    device: super::DeviceOptions,
    /// Largest relative L2 error, as T or GROUP=T,… with the groups logits and layer, of training loss, grad, param, update and
    /// buffer [default: logits and layer 2e-6, 3e-6 on cuda and sim, and at most twice PyTorch's own float32 error; loss 1e-5,
    /// param and buffer 1e-4; grad 1e-3, update 1e-2, or five times PyTorch's own where that is more]
    #[arg(long, value_name = "T")]
    tolerance: Option<String>,
    /// How much is fused; none also has each NAME.conv and NAME.bn
    #[arg(long, default_value = "full")]
    fuse: super::plan::Fuse,
    /// Write our own tensors here, .safetensors
    #[arg(long, value_name = "OUT")]
    dump: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if let Some(path) = &options.dump {
        super::check_output(path)?;
        if path.extension().is_some_and(|extension| extension != "safetensors") {
            anyhow::bail!(
                "{}: --dump writes safetensors: name a file that ends in .safetensors",
                path.display()
            );
        }
    }
    let tolerances = options.tolerance.as_deref().map(Tolerances::parse).transpose()?.unwrap_or_default();
    let reference = Reference::open(&options.reference)?;
    let weights = match &options.weights {
        Some(path) => open_weights(path)?,
        None => reference.weights()?,
    };
    let report = reference.verify(&weights, &options.device.open()?, options.fuse.into(), &tolerances)?;
    super::print(&if options.json { format!("{:#}\n", as_json(&report)) } else { as_table(&report) })?;
    if let Some(path) = &options.dump {
        reference.dump(&report)?.save_safetensors(path)?;
    }
    if !report.passed() {
        anyhow::bail!("{}: our results differ: see the rows marked FAIL", options.reference.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn verdict(passed: bool) -> &'static str {
    if passed { "ok" } else { "FAIL" }
}

fn as_table(report: &Report) -> String {
    let mut table = super::table(&["tensor", "max abs", "relative L2", "tolerance", "verdict"], 1);
    for row in &report.tensors {
        let numbers = [row.max_abs, row.relative_l2, row.tolerance].map(|x| format!("{x:.2e}"));
        let [max_abs, relative, tolerance] = numbers;
        let note = if row.passed() { "ok".to_string() } else { format!("FAIL {}", row.note) };
        table.add_row([row.name.clone(), max_abs, relative, tolerance, note]);
    }
    let mut groups =
        super::table(&["group", "tensors", "worst", "tolerance", "PyTorch f32", "ratio", "verdict"], 1);
    for group in &report.groups {
        let float32 = group.f32_error.map_or("-".into(), |e| format!("{e:.2e}"));
        let ratio = group.f32_error.map_or("-".into(), |e| format!("{:.2}", group.worst.1 / e));
        let (worst, tolerance) = (format!("{:.2e}", group.worst.1), format!("{:.2e}", group.tolerance));
        let (name, tensors) = (group.group.to_string(), group.tensors.to_string());
        groups.add_row([
            name,
            tensors,
            worst,
            tolerance,
            float32,
            ratio,
            verdict(group.passed()).to_string(),
        ]);
    }
    format!("{}\n{}", super::text(&table), super::text(&groups))
}

fn as_json(report: &Report) -> serde_json::Value {
    let tensors = report.tensors.iter().map(|row| {
        json!({
            "name": row.name, "max_abs": row.max_abs, "relative_l2": row.relative_l2, "tolerance": row.tolerance,
            "passed": row.passed(), "note": row.note,
        })
    });
    let groups = report.groups.iter().map(|group| {
        json!({
            "group": group.group, "tensors": group.tensors, "worst": group.worst.0, "relative_l2": group.worst.1,
            "tolerance": group.tolerance, "f32_error": group.f32_error, "passed": group.passed(),
        })
    });
    json!({"passed": report.passed(), "groups": groups.collect::<Vec<_>>(), "tensors": tensors.collect::<Vec<_>>()})
}
