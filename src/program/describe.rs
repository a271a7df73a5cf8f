//! A program in words: one line a step, as `nodal plan` prints it.

use std::fmt;

use super::{MapShape, Program, Step, StepOp, Tile, View};

/// One step as a reader wants to see it.
#[derive(Clone, Debug, PartialEq)]
pub struct StepSummary {
    /// When it runs.
    pub level: usize,
    /// What kind it is.
    pub kind: &'static str,
    /// The layers it computes.
    pub name: String,
    /// `C×H×W` of what it reads, and of what it writes.
    pub shapes: String,
    /// How it is cut for a GPU: pixels × channels × groups of a block, and slices of each convolution's sum.
    pub cut: Option<String>,
    /// Floating-point operations on the whole batch.
    pub flops: u64,
    /// Bytes it must move at least.
    pub bytes: u64,
}

impl Program {
    /// Every step in words, in order.
    pub fn summary(&self) -> Vec<StepSummary> {
        self.steps.iter().map(|step| self.summarise(step)).collect()
    }

    fn summarise(&self, step: &Step) -> StepSummary {
        let shape = |view: View| {
            let MapShape { c, h, w } = self.shape(view);
            format!("{c}×{h}×{w}")
        };
        let join = |views: Vec<View>| views.into_iter().map(shape).collect::<Vec<_>>().join("+");
        let outputs = step.outputs();
        let written = match outputs.first() {
            Some(&first) if outputs.len() > 1 => {
                let channels: usize = outputs.iter().map(|v| v.channels).sum();
                let MapShape { h, w, .. } = self.shape(first);
                format!("{channels}×{h}×{w}")
            }
            _ => join(outputs),
        };
        StepSummary {
            level: step.level,
            kind: step.kind(),
            name: step.name.clone(),
            cut: cut(step),
            shapes: format!("{} → {written}", join(step.inputs())),
            flops: step.flops(self),
            bytes: step.bytes(self),
        }
    }
}

fn cut(step: &Step) -> Option<String> {
    let StepOp::Conv2dGroup(group) = &step.op else { return None };
    let slices: Vec<String> = group.convs.iter().map(|(_, tiling)| tiling.slices.to_string()).collect();
    let Tile { pixels, channels, groups } = group.tile;
    Some(format!("{pixels}×{channels}×{groups}, {}", slices.join("+")))
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (h, w) = self.network.size;
        let batch = self.options.batch;
        writeln!(f, "Inception-v3, {} classes, batch {batch}, {h}×{w}", self.network.classes)?;
        writeln!(f, "{:>5} {:<15} {:>10} {:>10}  shapes, layers", "level", "step", "MFLOP", "kB")?;
        for step in self.summary() {
            let (mflop, kb) = (step.flops as f64 / 1e6, step.bytes as f64 / 1e3);
            writeln!(f, "{:>5} {:<15} {mflop:>10.1} {kb:>10.1}  {}", step.level, step.kind, step.shapes)?;
            writeln!(f, "{:>44}  {}", "", step.name)?;
        }
        let (steps, levels) = (self.steps.len(), self.levels());
        let (gflop, mb) = (self.flops() as f64 / 1e9, self.arena_bytes as f64 / 1e6);
        writeln!(f, "{steps} steps in {levels} levels, {gflop:.2} GFLOP, arena {mb:.1} MB")
    }
}
