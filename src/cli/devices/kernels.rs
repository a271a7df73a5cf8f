//! `nodal devices --kernels` and `--extract`: the embedded code.

use std::path::Path;

use serde_json::{Value, json};

/// A kernel on an architecture.
pub struct Row {
    module: &'static str,
    kernel: &'static str,
    architecture: u32,
    threads: u32,
    registers: u32,
    shared_bytes: u32,
    spill_bytes: u32,
    resident_blocks: u32,
    occupancy: f64,
}

impl Row {
    /// As printed by `--json`.
    pub fn json(&self) -> Value {
        json!({
            "kernel": self.kernel, "module": self.module, "architecture": format!("sm_{}", self.architecture),
            "threads": self.threads, "registers": self.registers, "shared_bytes": self.shared_bytes,
            "spill_bytes": self.spill_bytes, "resident_blocks": self.resident_blocks, "occupancy": self.occupancy,
        })
    }
}

/// Every embedded kernel on every architecture that there is machine code for.
#[cfg(any(feature = "cuda", feature = "sim"))]
pub fn all() -> Vec<Row> {
    use nodal::kernels::{Kernel, resources};
    let row = |kernel: &Kernel| {
        let kernel = *kernel;
        let own = resources().iter().filter(move |r| r.kernel == kernel.name);
        own.map(move |r| Row {
            module: kernel.module,
            kernel: kernel.name,
            architecture: r.architecture,
            threads: kernel.threads,
            registers: r.registers,
            shared_bytes: r.shared_bytes,
            spill_bytes: r.spill_bytes,
            resident_blocks: r.resident_blocks(kernel.threads),
            occupancy: r.occupancy(kernel.threads),
        })
    };
    nodal::kernels::all().iter().flat_map(row).collect()
}

#[cfg(not(any(feature = "cuda", feature = "sim")))]
pub fn all() -> Vec<Row> {
    Vec::new()
}

pub fn table(kernels: &[Row]) -> String {
    let header =
        ["kernel", "code", "threads", "registers", "shared, B", "spills, B", "resident blocks", "occupancy"];
    let mut table = super::super::table(&header, 2);
    for row in kernels {
        let numbers = [row.threads, row.registers, row.shared_bytes, row.spill_bytes, row.resident_blocks];
        let [threads, registers, shared, spills, resident] = numbers.map(|n| n.to_string());
        let (code, occupancy) =
            (format!("sm_{}", row.architecture), format!("{:.0} %", row.occupancy * 100.0));
        table.add_row([row.kernel, &code, &threads, &registers, &shared, &spills, &resident, &occupancy]);
    }
    super::super::text(&table)
}

/// Writes what is embedded for drivers, for disassemblers to read, and prints the names.
#[cfg(feature = "cuda")]
pub fn extract(folder: &Path) -> anyhow::Result<()> {
    use nodal::kernels::{ImageKind, images};
    std::fs::create_dir_all(folder).map_err(|e| nodal::Error::io(folder, "create", e))?;
    for image in images() {
        let name = match image.kind {
            ImageKind::Machine => format!("{}.sm_{}.cubin", image.module, image.architecture),
            ImageKind::Ptx => format!("{}.compute_{}.ptx", image.module, image.architecture),
            ImageKind::SimulatorPtx => continue,
        };
        let path = folder.join(&name);
        std::fs::write(&path, image.code()?).map_err(|e| nodal::Error::io(&path, "write", e))?;
        super::super::print(&format!("{}\n", path.display()))?;
    }
    Ok(())
}

#[cfg(not(feature = "cuda"))]
pub fn extract(_: &Path) -> anyhow::Result<()> {
    anyhow::bail!("--extract: this build of nodal has no machine code: build it with --features cuda")
}
