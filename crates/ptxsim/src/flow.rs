//! Control flow: basic blocks, and where the lanes of a branch meet again, its immediate post-dominator.
//!
//! Post-dominators by iteration to a fixed point over sets. Source: Fung et al., "Dynamic warp formation and scheduling for
//! efficient GPU control flow", MICRO 2007, for reconvergence there.

use std::collections::{BTreeSet, HashMap};

use crate::error::{Error, Result};
use crate::parse::{Operand, Text};

pub(crate) struct Flow {
    /// Statements that begin a basic block.
    pub leaders: BTreeSet<usize>,
    /// Target of each branch, by statement.
    pub targets: HashMap<usize, usize>,
    /// Where the lanes of each branch meet again, `None` for the kernel's end.
    pub reconverge: HashMap<usize, Option<usize>>,
}

impl Flow {
    /// # Errors
    /// [`Error::Parse`] for a branch to a label that is not there.
    pub fn of(text: &Text) -> Result<Self> {
        let count = text.statements.len();
        let mut targets = HashMap::new();
        let mut leaders = BTreeSet::from([0]);
        for (at, statement) in text.statements.iter().enumerate() {
            match statement.opcode[0].as_str() {
                "bra" => {
                    let label = match statement.operands.first() {
                        Some(Operand::Name(label)) => label.as_str(),
                        _ => "",
                    };
                    let Some(&target) = text.labels.get(label) else {
                        let problem = format!("no label is called `{label}`");
                        return Err(Error::Parse { line: statement.ptx_line, problem });
                    };
                    targets.insert(at, target);
                    leaders.extend([target, at + 1]);
                }
                "ret" | "exit" => _ = leaders.insert(at + 1),
                _ => {}
            }
        }
        leaders.retain(|&at| at < count);
        let starts: Vec<usize> = leaders.iter().copied().collect();
        let block_of = |at: usize| starts.partition_point(|&start| start <= at) - 1;
        let end = starts.len();
        // Successors of each block; `end` is the kernel's end.
        let successors: Vec<Vec<usize>> = (0..end)
            .map(|block| {
                let last = starts.get(block + 1).copied().unwrap_or(count) - 1;
                let next = if last + 1 < count { block_of(last + 1) } else { end };
                let statement = &text.statements[last];
                let goes = match statement.opcode[0].as_str() {
                    "bra" if targets[&last] < count => Some(block_of(targets[&last])),
                    "bra" | "ret" | "exit" => Some(end),
                    _ => None,
                };
                match (goes, &statement.guard) {
                    (Some(to), None) => vec![to],
                    (Some(to), Some(_)) => vec![to, next],
                    (None, _) => vec![next],
                }
            })
            .collect();
        let dominators = post_dominators(&successors);
        let reconverge = targets
            .keys()
            .map(|&at| {
                let meet = dominators[block_of(at)];
                (at, (meet != end).then(|| starts[meet]))
            })
            .collect();
        Ok(Flow { leaders, targets, reconverge })
    }
}

/// Immediate post-dominator of each block; the end is block `successors.len()`.
fn post_dominators(successors: &[Vec<usize>]) -> Vec<usize> {
    let end = successors.len();
    // Order in which blocks are left last: a depth-first search backwards from the end.
    let mut predecessors = vec![Vec::new(); end + 1];
    for (block, next) in successors.iter().enumerate() {
        next.iter().for_each(|&n| predecessors[n].push(block));
    }
    let (mut order, mut seen, mut stack) = (Vec::new(), vec![false; end + 1], vec![(end, 0)]);
    seen[end] = true;
    while let Some((block, child)) = stack.pop() {
        match predecessors[block].get(child) {
            Some(&p) => {
                stack.push((block, child + 1));
                if !std::mem::replace(&mut seen[p], true) {
                    stack.push((p, 0));
                }
            }
            None => order.push(block),
        }
    }
    let mut rank = vec![usize::MAX; end + 1];
    order.iter().enumerate().for_each(|(i, &block)| rank[block] = i);
    // Cooper, Harvey and Kennedy, "A simple, fast dominance algorithm", 2001, on the reversed graph.
    let mut immediate = vec![usize::MAX; end + 1];
    immediate[end] = end;
    let mut changed = true;
    while changed {
        changed = false;
        for &block in order.iter().rev().filter(|&&block| block != end) {
            let mut meet = usize::MAX;
            for &next in &successors[block] {
                if immediate[next] == usize::MAX {
                    continue;
                }
                meet = if meet == usize::MAX { next } else { common(&immediate, &rank, meet, next) };
            }
            if meet != usize::MAX && immediate[block] != meet {
                immediate[block] = meet;
                changed = true;
            }
        }
    }
    // A block from which the end cannot be reached meets nowhere before it.
    immediate.iter().take(end).map(|&i| if i == usize::MAX { end } else { i }).collect()
}

fn common(immediate: &[usize], rank: &[usize], mut a: usize, mut b: usize) -> usize {
    while a != b {
        while rank[a] < rank[b] {
            a = immediate[a];
        }
        while rank[b] < rank[a] {
            b = immediate[b];
        }
    }
    a
}
