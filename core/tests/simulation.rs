//! Seeded simulation of the planner against a model of the store, workers that fail, vanish and answer twice, doorbells that
//! get lost, and a leader that dies between any two steps. `SIM_SEEDS=n` sets how many seeds run, `SIM_SEED=n` runs one.

mod sim;

use std::time::Instant;

#[test]
fn every_history_satisfies_the_model() {
    if let Some(seed) = std::env::var("SIM_SEED").ok().and_then(|text| text.parse().ok()) {
        sim::run(seed).unwrap_or_else(|violation| panic!("SIM_SEED={seed}: {violation}"));
        return;
    }
    let seeds: u64 = std::env::var("SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3000);
    let began = Instant::now();
    let mut sum = sim::Coverage::default();
    for seed in 0..seeds {
        match sim::run(seed) {
            Ok(coverage) => sum.add(&coverage),
            Err(violation) => panic!("SIM_SEED={seed}: {violation}"),
        }
    }
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    println!("{seeds} seeds, {:.0} per minute; covered: {sum:?}", seeds as f64 / minutes);
    assert!(sum.is_broad(), "the simulation no longer reaches what it is there for: {sum:?}");
}
