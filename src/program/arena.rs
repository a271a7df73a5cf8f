//! Places buffers in the arena: two that are live in a common level never overlap, all others may.
//!
//! Greedy by size: the largest buffer first, each at the lowest offset where it meets no live neighbour. Source:
//! Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020 (arXiv 2001.03288).

use super::{Input, Keep, Program};

/// Sets `live` and `offset_bytes` of every buffer, and `arena_bytes`.
pub(super) fn place(program: &mut Program) {
    set_lifetimes(program);
    let alignment = program.options.target.alignment_bytes;
    // A GPU has its input elsewhere.
    let elsewhere = program.options.target.gpu.is_some().then_some(program.input.buffer);
    let mut order: Vec<usize> = (0..program.buffers.len()).filter(|&b| Some(b) != elsewhere).collect();
    order.sort_by_key(|&b| (std::cmp::Reverse(program.buffers[b].bytes), b));

    let mut placed: Vec<usize> = Vec::with_capacity(order.len());
    for b in order {
        let live = program.buffers[b].live;
        let mut neighbours: Vec<(usize, usize)> = placed
            .iter()
            .map(|&other| &program.buffers[other])
            .filter(|other| other.live.0 <= live.1 && live.0 <= other.live.1)
            .map(|other| (other.offset_bytes, other.offset_bytes + other.bytes))
            .collect();
        neighbours.sort_unstable();
        let mut offset = 0;
        for (begin, end) in neighbours {
            if offset + program.buffers[b].bytes <= begin {
                break;
            }
            offset = offset.max(end.next_multiple_of(alignment));
        }
        program.buffers[b].offset_bytes = offset;
        program.arena_bytes = program.arena_bytes.max(offset + program.buffers[b].bytes);
        placed.push(b);
    }
}

/// A buffer lives from the first level that writes it to the last that reads it; the input from the start, the tickets
/// always, logits, probabilities, and under [`Keep::Layers`] everything, to the end.
fn set_lifetimes(program: &mut Program) {
    let end = program.levels();
    for buffer in &mut program.buffers {
        buffer.live = (usize::MAX, 0);
    }
    let mut touch = |buffer: usize, level: usize| {
        let live = &mut program.buffers[buffer].live;
        *live = (live.0.min(level), live.1.max(level));
    };
    for step in &program.steps {
        for view in step.inputs().iter().chain(&step.outputs()) {
            touch(view.buffer, step.level);
        }
        if let Some(view) = step.workspace() {
            touch(view.buffer, step.level);
        }
    }
    touch(program.input.buffer, 0);
    if program.options.input != Input::Values {
        // A crop stays until another is put in its place.
        touch(program.input.buffer, end);
    }
    touch(program.logits.buffer, end);
    touch(program.probabilities.buffer, end);
    if let Some(gradient) = &program.gradient {
        touch(gradient.seed.buffer, 0);
        for view in [gradient.map, gradient.gradient] {
            touch(view.buffer, end);
        }
    }
    if let Some(learned) = &program.learned {
        // From the last step to whoever reads it.
        for buffer in learned.results() {
            touch(buffer, end);
        }
        for buffer in learned.given() {
            touch(buffer, 0);
        }
        for buffer in learned.lasting() {
            touch(buffer, 0);
            touch(buffer, end);
        }
    }
    if let Some(tickets) = program.tickets {
        touch(tickets, 0);
        touch(tickets, end);
    }
    if program.options.keep == Keep::Layers {
        program.buffers.iter_mut().for_each(|buffer| buffer.live.1 = end);
    }
}
