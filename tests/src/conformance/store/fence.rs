//! Whose writes count.

use std::sync::Arc;

use rota_core::id::{Epoch, ReplicaId, RunId};
use rota_core::port::{Batch, FilesPut, PruneRequest, RunFilter, Store};

use super::super::within;
use super::world::{World, assert_fenced, dag_put};

pub async fn terms_have_growing_epochs_and_name_their_holder(store: Arc<dyn Store>) {
    let nobody = store.view_leader().await.unwrap();
    assert_eq!((nobody.epoch, nobody.holder), (Epoch(0), None));
    let first = store.term_begin(&ReplicaId::trusted("r1")).await.unwrap();
    let second = store.term_begin(&ReplicaId::trusted("r2")).await.unwrap();
    assert!(Epoch(0) < first && first < second);
    let leader = store.view_leader().await.unwrap();
    assert_eq!((leader.epoch, leader.holder.as_deref()), (second, Some("r2")));
    assert!(leader.since.is_some());
}

/// A world whose leader has been replaced.
async fn deposed(store: &Arc<dyn Store>) -> World {
    let world = World::begin(Arc::clone(store)).await;
    store.term_begin(&ReplicaId::trusted("r2")).await.unwrap();
    world
}

pub async fn a_stale_epoch_commits_nothing(store: Arc<dyn Store>) {
    let world = deposed(&store).await;
    let runs = vec![world.new_run()];
    assert_fenced(world.commit(Batch { runs, ..Batch::default() }).await);
    assert_fenced(world.commit(Batch::default()).await);
    assert_fenced(store.batch_commit(Epoch(world.epoch.0 + 5), &Batch::default()).await);
    assert_eq!(store.runs_active(RunId(0), 10).await.unwrap(), vec![]);
}

pub async fn a_stale_epoch_puts_no_files(store: Arc<dyn Store>) {
    let world = deposed(&store).await;
    let files = FilesPut { dags: vec![dag_put("e", "one")], at: world.at, ..FilesPut::default() };
    assert_fenced(store.files_put(world.epoch, &files).await);
    assert_eq!(store.dags_load().await.unwrap().len(), 1);
}

pub async fn a_stale_epoch_reaps_nobody(store: Arc<dyn Store>) {
    let world = deposed(&store).await;
    assert_fenced(store.workers_reap(world.epoch).await);
}

pub async fn a_stale_epoch_prunes_nothing(store: Arc<dyn Store>) {
    let world = deposed(&store).await;
    assert_fenced(store.prune(world.epoch, PruneRequest { before: world.at, runs_max: 10 }).await);
}

pub async fn after_a_takeover_no_old_batch_commits(store: Arc<dyn Store>) {
    let world = Arc::new(World::begin(Arc::clone(&store)).await);
    let old_leader = {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            let mut committed = 0;
            loop {
                let runs = vec![world.new_run()];
                match world.commit(Batch { runs, ..Batch::default() }).await {
                    Ok(_) => committed += 1,
                    fenced => {
                        assert_fenced(fenced);
                        return committed;
                    }
                }
            }
        })
    };
    while store.runs_active(RunId(0), 5).await.unwrap().len() < 5 {
        tokio::task::yield_now().await;
    }
    store.term_begin(&ReplicaId::trusted("r2")).await.unwrap();
    let all = RunFilter { limit: 100_000, ..RunFilter::default() };
    let at_takeover = store.view_runs(&all).await.unwrap().len();
    let committed: usize = within("the old leader to be refused", old_leader).await.unwrap();
    assert_eq!(store.view_runs(&all).await.unwrap().len(), at_takeover);
    assert_eq!(committed, at_takeover, "what was answered as committed is there, and nothing else");
}
