//! The witness inside Postgres is proved: what it must note it notes, and nothing else.

use rota_tests::witness::check::Rule;
use rota_tests::witness::commits;
use sqlx::{Connection, PgConnection};

use super::migrated;

const TASK: &str = "
    insert into task (run, task_no, map_index, name, attempt, state, queue, priority, claim_token)
    values (1, 0, 0, 'a', 1, 'running', 'default', 0, 7)";

struct Scene {
    url: String,
    person: PgConnection,
}

async fn scene() -> Scene {
    let url = migrated().await;
    let mut scene = Scene { person: PgConnection::connect(&url).await.unwrap(), url };
    scene.sql(commits::INSTALL).await;
    scene.sql("update leader set epoch = 1, holder = 'sched-a'").await;
    scene.sql(TASK).await;
    scene
}

impl Scene {
    async fn sql(&mut self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.person).await.unwrap();
    }

    async fn session_of(&self, name: &'static str) -> PgConnection {
        PgConnection::connect(&format!("{}?application_name={name}", self.url)).await.unwrap()
    }

    async fn rules(&mut self) -> Vec<Rule> {
        let lines: Vec<String> = sqlx::query_scalar(commits::READ).fetch_all(&mut self.person).await.unwrap();
        commits::violations(&lines.join("\n")).into_iter().map(|it| it.rule).collect()
    }
}

#[tokio::test]
async fn a_commit_after_a_takeover_is_noted_however_early_it_began() {
    let mut scene = scene().await;
    let mut old = scene.session_of("sched-a").await;
    sqlx::raw_sql("update task set priority = 1").execute(&mut old).await.unwrap();
    assert_eq!(scene.rules().await, [], "it leads");
    let mut late = old.begin().await.unwrap();
    sqlx::raw_sql("update task set priority = 2").execute(&mut *late).await.unwrap();
    scene.sql("update leader set epoch = 2, holder = 'sched-b'").await;
    late.commit().await.unwrap();
    assert_eq!(scene.rules().await, [Rule::OldEpoch]);
    let mut worker = scene.session_of("work-a").await;
    sqlx::raw_sql("update task set priority = 3").execute(&mut worker).await.unwrap();
    assert_eq!(scene.rules().await.len(), 1, "workers have no epoch");
}

#[tokio::test]
async fn changes_that_must_not_be_are_noted() {
    let mut scene = scene().await;
    scene.sql("update task set state = 'success'").await;
    assert_eq!(scene.rules().await, []);
    scene.sql("update task set state = 'failed'").await;
    assert_eq!(scene.rules().await, [Rule::IllegalChange], "an outcome never changes");
    scene.sql("update task set claim_token = 6").await;
    assert_eq!(scene.rules().await.len(), 2, "a token never goes back");
    scene.sql("insert into run (dag, version, trigger_kind, state, params, created_at) values ('d', 1, 'manual', 'failed', '{}', 0)").await;
    scene.sql("update run set state = 'queued'").await;
    assert_eq!(scene.rules().await.len(), 2, "a person may run it again");
    scene.sql("update run set state = 'failed'").await;
    scene.sql("update run set state = 'success'").await;
    assert_eq!(scene.rules().await.len(), 3);
}
