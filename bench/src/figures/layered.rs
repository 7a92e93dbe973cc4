//! Random layered DAGs as model values: a file of 100,000 tasks would be larger than rota reads.

use std::sync::Arc;

use anyhow::anyhow;
use rota_core::dag::{self, Dag, Graph};
use rota_core::id::{TaskName, TaskNo};

/// Layers of every DAG, whatever its size.
const LAYERS: usize = 25;
/// Most upstream tasks of one task.
const NEEDS_MAX: u64 = 8;

/// A DAG of `tasks` no-op tasks in [`LAYERS`] layers, each needing 1 to 8 tasks of the layer before; and its edges.
pub(crate) fn layered(tasks: usize, seed: u64) -> anyhow::Result<(Arc<Dag>, usize)> {
    let source = "dag: layered\ntasks:\n  t0: {noop: true}\n";
    let mut dag = dag::parse("layered.yaml", source).map_err(|errors| anyhow!("{errors}"))?;
    let task = dag.tasks[0].clone();
    let named = |no: usize| {
        let mut task = task.clone();
        task.name = TaskName::trusted(format!("t{no}"));
        task
    };
    dag.tasks = (0..tasks).map(named).collect();
    dag.graph = graph(tasks, seed)?;
    let edges = dag.graph.up.iter().map(Vec::len).sum();
    Ok((Arc::new(dag), edges))
}

fn graph(tasks: usize, seed: u64) -> anyhow::Result<Graph> {
    let mut random = SplitMix(seed);
    let width = tasks.div_ceil(LAYERS);
    let mut graph = Graph { up: vec![Vec::new(); tasks], down: vec![Vec::new(); tasks], order: Vec::new() };
    for no in 0..tasks {
        let this = TaskNo(u32::try_from(no)?);
        graph.order.push(this);
        let layer = no / width;
        if layer == 0 {
            continue;
        }
        let first = (layer - 1) * width;
        let needs = 1 + random.below(NEEDS_MAX);
        for _ in 0..needs {
            let up = TaskNo(u32::try_from(first)? + u32::try_from(random.below(width as u64))?);
            if !graph.up[no].contains(&up) {
                graph.up[no].push(up);
                graph.down[up.0 as usize].push(this);
            }
        }
        graph.up[no].sort_unstable();
    }
    Ok(graph)
}

/// Steele, Lea and Flood's SplitMix64: small, and the same on every machine.
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    /// The next number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}
