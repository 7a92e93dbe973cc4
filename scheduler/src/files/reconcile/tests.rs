//! The rule of [`super`], case by case: directories of several replicas over one store, which is modelled here as the
//! store's port describes it.

use chrono::TimeDelta;
use rota_core::dag;
use rota_core::id::DagVersion;
use rota_core::port::FileSeen;

use super::*;
use crate::files::record::changes;

/// The DAG files of one replica, and the store's record of them.
struct Replica {
    files: BTreeMap<&'static str, String>,
    record: DirectoryRecord,
}

/// What the store has, and its clock.
struct World {
    now: DateTime<Utc>,
    rows: BTreeMap<DagId, DagRow>,
    versions: BTreeSet<(DagId, String)>,
    broken: BTreeMap<String, serde_json::Value>,
}

impl Replica {
    fn new() -> Self {
        Self { files: BTreeMap::new(), record: DirectoryRecord::default() }
    }

    fn write(&mut self, path: &'static str, text: &str) {
        self.files.insert(path, text.to_owned());
    }

    fn scan(&self) -> DirectoryScan {
        let found = |(path, text): (&&'static str, &String)| {
            let state = match dag::parse(path, text) {
                Ok(dag) => FileState::Good(Arc::new(dag)),
                Err(errors) => FileState::Broken(errors.0),
            };
            (path.to_string(), Arc::new(ScannedFile { source: text.clone(), hash: text.clone(), state }))
        };
        self.files.iter().map(found).collect()
    }
}

impl World {
    fn new() -> Self {
        Self {
            now: DateTime::UNIX_EPOCH + TimeDelta::days(20_000),
            rows: BTreeMap::new(),
            versions: BTreeSet::new(),
            broken: BTreeMap::new(),
        }
    }

    /// A replica looks at its directory, leader or not.
    fn look(&mut self, replica: &mut Replica) {
        self.now += TimeDelta::seconds(1);
        for seen in changes(&replica.scan(), &replica.record) {
            self.note(&mut replica.record, seen);
        }
    }

    /// As `Plans::files_seen` has it.
    fn note(&self, record: &mut DirectoryRecord, seen: FileSeen) {
        let FileSeen { dag, path, hash } = seen;
        let before = match &dag {
            Some(dag) => record.dags.get(dag),
            None => record.files.get(&path),
        };
        let mut row =
            FileRecord { dag: dag.clone(), path: path.clone(), hash, prev_hash: None, seen_at: self.now };
        if let Some(before) = before {
            let left = before.hash.clone().unwrap_or_default();
            let from = dag.as_ref().and_then(|dag| self.rows.get(dag)).filter(|row| state(row) == left);
            if before.hash == row.hash {
                row.seen_at = before.seen_at;
                row.prev_hash = before.prev_hash.clone();
            } else {
                let tick = TimeDelta::microseconds(1);
                row.seen_at = self.now.max(before.seen_at + tick);
                row.seen_at = from.map_or(row.seen_at, |from| row.seen_at.max(from.updated_at + tick));
                row.prev_hash = from.map(|_| left).or(before.prev_hash.clone());
            }
        }
        match dag {
            Some(dag) => record.dags.insert(dag, row),
            None => record.files.insert(path, row),
        };
    }

    /// A replica looks and then leads for a moment. Returns where it says that it is behind.
    fn lead(&mut self, replica: &mut Replica) -> Vec<String> {
        self.look(replica);
        self.now += TimeDelta::milliseconds(10);
        let scan = replica.scan();
        let Reconciled { puts, behind } = {
            let current: BTreeMap<_, _> =
                self.rows.iter().map(|(id, row)| (id.clone(), KnownDag { row, dag: None })).collect();
            let known =
                differing(&scan, &current).into_iter().filter(|it| self.versions.contains(it)).collect();
            let (scan, record, broken) = (&scan, &replica.record, &self.broken);
            reconcile(&DirectoryView {
                scan,
                record,
                current: &current,
                known: &known,
                broken,
                now: self.now,
            })
        };
        puts.into_iter().for_each(|put| self.store(put));
        behind
    }

    /// As `Plans::files_put` has it.
    fn store(&mut self, put: FilesPut) {
        for dag in put.dags {
            let row = self.rows.entry(dag.dag.clone()).or_insert_with(|| DagRow {
                dag: dag.dag.clone(),
                version: DagVersion(0),
                path: dag.path.clone(),
                hash: String::new(),
                paused: false,
                present: false,
                cursor: None,
                next_slot: None,
                updated_at: put.at,
            });
            assert!(put.at >= row.updated_at || (row.present && row.hash == dag.hash), "times only grow");
            if row.hash != dag.hash {
                row.version = DagVersion(row.version.0 + 1);
            }
            if row.hash != dag.hash || !row.present {
                row.updated_at = put.at;
            }
            (row.hash, row.path, row.present) = (dag.hash.clone(), dag.path, true);
            self.versions.insert((dag.dag, dag.hash));
        }
        for dag in put.gone {
            let row = self.rows.get_mut(&dag).expect("only a known DAG can go");
            assert!(row.present && put.at > row.updated_at);
            (row.present, row.updated_at) = (false, put.at);
        }
        self.broken.extend(put.errors.into_iter().map(|error| (error.path, error.errors)));
        put.mended.iter().for_each(|path| drop(self.broken.remove(path)));
    }

    fn text(&self, dag: &str) -> Option<&str> {
        self.rows.get(&DagId::trusted(dag)).filter(|row| row.present).map(|row| row.hash.as_str())
    }
}

/// The text of DAG `d`, in several versions.
fn v(version: u32) -> String {
    format!("dag: d\ntasks:\n  t: {{noop: true}}\n# {version}\n")
}

/// A world in which `one` led with version 0, and `two` has the same directory.
fn two_replicas() -> (World, Replica, Replica) {
    let (mut world, mut one, mut two) = (World::new(), Replica::new(), Replica::new());
    one.write("d.yaml", &v(0));
    two.write("d.yaml", &v(0));
    assert_eq!(world.lead(&mut one), [""; 0]);
    world.look(&mut two);
    assert_eq!(world.text("d"), Some(v(0).as_str()));
    (world, one, two)
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_edit_under_a_leader_is_taken_and_so_is_the_next() {
    let (mut world, mut one, _) = two_replicas();
    for version in 1..4 {
        one.write("d.yaml", &v(version));
        assert_eq!(world.lead(&mut one), NOTHING);
        assert_eq!(world.text("d"), Some(v(version).as_str()));
    }
    assert_eq!(world.rows[&DagId::trusted("d")].version, DagVersion(4));
    assert!(world.lead(&mut one).is_empty() && world.rows[&DagId::trusted("d")].version == DagVersion(4));
}

#[test]
fn an_edit_while_nobody_was_alive_is_taken() {
    let (mut world, mut one, _) = two_replicas();
    world.now += TimeDelta::days(3);
    one.write("d.yaml", &v(1));
    assert_eq!(world.lead(&mut one), NOTHING);
    assert_eq!(world.text("d"), Some(v(1).as_str()));
}

#[test]
fn an_edit_is_taken_even_if_the_clock_went_back() {
    let (mut world, mut one, _) = two_replicas();
    world.now -= TimeDelta::days(1);
    for version in [1, 2, 1] {
        one.write("d.yaml", &v(version));
        assert_eq!(world.lead(&mut one), NOTHING);
        assert_eq!(world.text("d"), Some(v(version).as_str()));
    }
}

#[test]
fn a_directory_that_was_not_updated_takes_nothing_back() {
    let (mut world, mut one, mut two) = two_replicas();
    one.write("d.yaml", &v(1));
    world.lead(&mut one);
    for _ in 0..2 {
        let behind = world.lead(&mut two);
        assert!(
            behind.len() == 1 && behind[0].starts_with("d.yaml is behind the store: of DAG d"),
            "{behind:?}"
        );
        assert!(behind[0].contains("version 2 from "), "{behind:?}");
        assert_eq!(world.text("d"), Some(v(1).as_str()));
    }
    two.write("d.yaml", &v(1));
    assert_eq!(world.lead(&mut two), NOTHING);
    two.write("d.yaml", &v(2));
    assert_eq!(world.lead(&mut two), NOTHING);
    assert_eq!(world.text("d"), Some(v(2).as_str()), "from here on its edits count");
}

#[test]
fn an_edit_beside_a_standby_waits_until_it_leads() {
    let (mut world, mut one, mut two) = two_replicas();
    two.write("d.yaml", &v(7));
    world.look(&mut two);
    assert_eq!(world.lead(&mut one), NOTHING);
    assert_eq!(world.text("d"), Some(v(0).as_str()));
    assert_eq!(world.lead(&mut two), NOTHING);
    assert_eq!(world.text("d"), Some(v(7).as_str()));
    // Then `one` has the old directory.
    assert_eq!(world.lead(&mut one).len(), 1);
    assert_eq!(world.text("d"), Some(v(7).as_str()));
}

#[test]
fn an_edit_beside_a_standby_gives_way_to_a_later_one() {
    let (mut world, mut one, mut two) = two_replicas();
    two.write("d.yaml", &v(7));
    world.look(&mut two);
    one.write("d.yaml", &v(1));
    world.lead(&mut one);
    assert_eq!(world.lead(&mut two).len(), 1);
    assert_eq!(world.text("d"), Some(v(1).as_str()));
}

#[test]
fn of_two_edits_beside_standbys_the_last_one_wins_whoever_leads_first() {
    let (mut world, mut one, mut two) = two_replicas();
    one.write("d.yaml", &v(1));
    world.look(&mut one);
    two.write("d.yaml", &v(2));
    world.look(&mut two);
    world.lead(&mut one);
    assert_eq!(world.text("d"), Some(v(1).as_str()));
    world.lead(&mut two);
    assert_eq!(world.text("d"), Some(v(2).as_str()));
    assert_eq!(world.lead(&mut one).len(), 1, "and not the other way round");
    assert_eq!(world.text("d"), Some(v(2).as_str()));
}

#[test]
fn a_revert_is_taken_under_a_leader_and_after_a_pause() {
    for pause in [TimeDelta::zero(), TimeDelta::days(3)] {
        let (mut world, mut one, _) = two_replicas();
        one.write("d.yaml", &v(1));
        world.lead(&mut one);
        world.now += pause;
        one.write("d.yaml", &v(0));
        assert_eq!(world.lead(&mut one), NOTHING);
        assert_eq!(world.text("d"), Some(v(0).as_str()));
        assert_eq!(world.rows[&DagId::trusted("d")].version, DagVersion(3), "back is a new version");
    }
}

#[test]
fn a_revert_is_seen_through_what_lies_between() {
    // `git checkout` takes files away and writes them again; an editor may save a broken file first.
    for between in [None, Some("tasks: ["), Some(v(5).as_str())] {
        let (mut world, mut one, mut two) = two_replicas();
        one.write("d.yaml", &v(1));
        two.write("d.yaml", &v(1));
        world.lead(&mut one);
        world.look(&mut two);
        match between {
            Some(text) => two.write("d.yaml", text),
            None => drop(two.files.remove("d.yaml")),
        }
        world.look(&mut two);
        two.write("d.yaml", &v(0));
        assert_eq!(world.lead(&mut two), NOTHING, "{between:?}");
        assert_eq!(world.text("d"), Some(v(0).as_str()), "{between:?}");
    }
}

#[test]
fn a_revert_is_seen_through_a_new_name() {
    let (mut world, mut one, _) = two_replicas();
    one.write("d.yaml", &v(1));
    world.lead(&mut one);
    one.files.remove("d.yaml");
    one.write("team/d.yaml", &v(0));
    assert_eq!(world.lead(&mut one), NOTHING);
    assert_eq!(world.text("d"), Some(v(0).as_str()));
    assert_eq!(world.rows[&DagId::trusted("d")].path, "team/d.yaml");
}

#[test]
fn a_replica_that_slept_for_a_week_and_woke_half_way_takes_nothing_back() {
    let (mut world, mut one, mut two) = two_replicas();
    for version in 1..3 {
        one.write("d.yaml", &v(version));
        world.lead(&mut one);
    }
    world.now += TimeDelta::days(7);
    two.write("d.yaml", &v(1));
    assert_eq!(world.lead(&mut two).len(), 1);
    assert_eq!(world.text("d"), Some(v(2).as_str()));
}

#[test]
fn a_brand_new_replica_with_an_old_checkout_takes_nothing_back() {
    let (mut world, mut one, _) = two_replicas();
    one.write("d.yaml", &v(1));
    one.write("e.yaml", &v(0).replace("dag: d", "dag: e"));
    world.lead(&mut one);
    one.files.remove("e.yaml");
    world.lead(&mut one);
    assert_eq!(world.text("e"), None);
    let mut three = Replica::new();
    three.write("d.yaml", &v(0));
    three.write("e.yaml", &v(0).replace("dag: d", "dag: e"));
    three.write("new.yaml", &v(0).replace("dag: d", "dag: new"));
    let behind = world.lead(&mut three);
    assert_eq!(behind.len(), 2, "{behind:?}");
    assert!(behind[1].contains("e.yaml is behind the store: of DAG e its file was deleted at"), "{behind:?}");
    assert_eq!((world.text("d"), world.text("e")), (Some(v(1).as_str()), None));
    assert!(world.text("new").is_some(), "what the store does not know is new");
}

#[test]
fn a_deletion_is_taken_under_a_leader_and_after_a_pause() {
    for pause in [TimeDelta::zero(), TimeDelta::days(3)] {
        let (mut world, mut one, mut two) = two_replicas();
        world.now += pause;
        one.files.remove("d.yaml");
        assert_eq!(world.lead(&mut one), NOTHING);
        assert_eq!(world.text("d"), None);
        assert_eq!(world.lead(&mut two).len(), 1, "one that still has the file brings nothing back");
        assert_eq!(world.text("d"), None);
        two.files.remove("d.yaml");
        assert_eq!(world.lead(&mut two), NOTHING);
    }
}

#[test]
fn a_replica_that_never_had_a_file_does_not_delete_it() {
    let (mut world, mut one, mut two) = two_replicas();
    let mut three = Replica::new();
    for _ in 0..2 {
        let behind = world.lead(&mut three);
        assert!(behind.len() == 1 && behind[0].contains("d.yaml"), "{behind:?}");
        assert!(world.text("d").is_some());
    }
    // Nor does one that lost an old version of it.
    one.write("d.yaml", &v(1));
    world.lead(&mut one);
    two.files.remove("d.yaml");
    assert_eq!(world.lead(&mut two).len(), 1);
    assert_eq!(world.text("d"), Some(v(1).as_str()));
}

#[test]
fn a_file_that_is_back_is_taken_where_it_was_gone() {
    let (mut world, mut one, mut two) = two_replicas();
    one.files.remove("d.yaml");
    world.lead(&mut one);
    one.write("d.yaml", &v(0));
    assert_eq!(world.lead(&mut one), NOTHING);
    assert_eq!(world.text("d"), Some(v(0).as_str()));
    assert_eq!(world.rows[&DagId::trusted("d")].version, DagVersion(1));
    // Also on another replica that followed the deletion.
    for replica in [&mut one, &mut two] {
        replica.files.remove("d.yaml");
        world.lead(replica);
    }
    assert_eq!(world.text("d"), None);
    two.write("d.yaml", &v(0));
    assert_eq!(world.lead(&mut two), NOTHING);
    assert_eq!(world.text("d"), Some(v(0).as_str()));
}

#[test]
fn another_directory_under_the_same_name_is_a_change() {
    let (mut world, mut one, _) = two_replicas();
    one.write("d.yaml", &v(1));
    one.write("e.yaml", &v(0).replace("dag: d", "dag: e"));
    world.lead(&mut one);
    one.files.clear();
    one.write("other/d.yaml", &v(0));
    assert_eq!(world.lead(&mut one), NOTHING);
    assert_eq!((world.text("d"), world.text("e")), (Some(v(0).as_str()), None));
}

#[test]
fn a_broken_file_is_reported_only_where_it_is_news() {
    let (mut world, mut one, mut two) = two_replicas();
    two.write("d.yaml", "tasks: [");
    world.look(&mut two);
    one.write("d.yaml", &v(1));
    world.lead(&mut one);
    assert_eq!(world.lead(&mut two).len(), 1, "a later edit was stored");
    assert!(world.broken.is_empty() && world.text("d") == Some(v(1).as_str()));
    two.write("d.yaml", "tasks: [[");
    two.write("never.yaml", "tasks: [");
    assert_eq!(world.lead(&mut two), NOTHING);
    assert_eq!(world.broken.keys().collect::<Vec<_>>(), ["d.yaml", "never.yaml"]);
    assert_eq!(world.text("d"), Some(v(1).as_str()), "the last good version goes on");
    two.write("d.yaml", &v(2));
    two.files.remove("never.yaml");
    assert_eq!(world.lead(&mut two), NOTHING);
    assert!(world.broken.is_empty() && world.text("d") == Some(v(2).as_str()));
}

#[test]
fn many_files_are_stored_in_several_transactions() {
    let names: Vec<String> = (0..PUT_DAGS_MAX + 1).map(|no| format!("d{no}")).collect();
    let found = |name: &String| {
        let text = v(0).replace("dag: d", &format!("dag: {name}"));
        let dag = dag::parse("x.yaml", &text).expect("a good file");
        (
            name.clone(),
            Arc::new(ScannedFile { hash: text.clone(), source: text, state: FileState::Good(Arc::new(dag)) }),
        )
    };
    let (scan, now) = (names.iter().map(found).collect(), World::new().now);
    let (record, current, known, broken) = Default::default();
    let view = DirectoryView {
        scan: &scan,
        record: &record,
        current: &current,
        known: &known,
        broken: &broken,
        now,
    };
    let sizes: Vec<usize> = reconcile(&view).puts.iter().map(|put| put.dags.len()).collect();
    assert_eq!(sizes, [PUT_DAGS_MAX, 1]);
}

#[test]
fn whatever_directories_do_leading_twice_changes_nothing_and_times_only_grow() {
    let ids = ["d.yaml", "e.yaml"];
    for seed in 0..500_u64 {
        let mut world = World::new();
        let mut replicas = [Replica::new(), Replica::new(), Replica::new()];
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut below = move |limit: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) % limit
        };
        for step in 0..60 {
            let replica = &mut replicas[below(3) as usize];
            let path = ids[below(2) as usize];
            let text = v(below(4) as u32).replace("dag: d", &format!("dag: {}", &path[..1]));
            match below(8) {
                0..3 => replica.write(path, &text),
                3 => drop(replica.files.remove(path)),
                4 => replica.write(path, "tasks: ["),
                5 => world.look(replica),
                6 => world.now -= TimeDelta::seconds(below(30) as i64),
                _ => {
                    world.lead(replica);
                    let before: Vec<DagRow> = world.rows.values().cloned().collect();
                    world.lead(replica);
                    let after: Vec<DagRow> = world.rows.values().cloned().collect();
                    assert_eq!(before, after, "seed {seed}, step {step}");
                }
            }
        }
    }
}
