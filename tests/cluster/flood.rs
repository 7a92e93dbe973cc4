//! A flood of copies: each message that a worker may still act upon, thousands of times.

use rota_backend::{RabbitBroker, RabbitOptions};
use rota_core::id::{QueueName, RunId, TaskKey, TaskNo};
use rota_core::port::{Broker, Dispatch};
use rota_tests::lab::rng::now;

use super::rig::Cluster;

/// Attempts whose messages are copied.
const ATTEMPTS: &str = "
    select run || ' ' || task_no || ' ' || attempt || ' ' || queue from task
    where state in ('queued', 'running') and queue <> 'noop' order by queued_at desc limit 4";

impl Cluster {
    /// Publishes so many copies of the messages of attempts that are queued or running just now.
    pub(crate) fn flooded(&mut self, copies: usize) {
        let at = now();
        let rows = self.services.postgres.sql(&self.place.name, ATTEMPTS);
        let attempts: Vec<Dispatch> = rows.lines().filter_map(dispatch).collect();
        let flood: Vec<Dispatch> = attempts.iter().cycle().take(copies).cloned().collect();
        let url = self.place.broker_url(self.services.rabbit.port());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let broker = RabbitBroker::start(RabbitOptions::new(vec![url], "flood".to_owned())).unwrap();
            let mut left = flood.as_slice();
            while !left.is_empty() {
                let (part, rest) = left.split_at(left.len().min(500));
                // It connects in the background, and says so until it has.
                if broker.publish(part).await.is_ok_and(|failed| failed.is_empty()) {
                    left = rest;
                } else {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        });
        println!("  {} copies of {} messages", flood.len(), attempts.len());
        self.note("flood of copies", at);
    }
}

fn dispatch(row: &str) -> Option<Dispatch> {
    let mut cells = row.split(' ');
    let (run, task) = (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?);
    let attempt = cells.next()?.parse().ok()?;
    let key = TaskKey::single(RunId(run), TaskNo(task)).attempt(attempt);
    Some(Dispatch { key, queue: QueueName::trusted(cells.next()?), priority: 0 })
}
