//! A witness inside Postgres: triggers that look at every change of a task, a run, a slot or a cursor when it is
//! committed, and note those that must not be. Knows the states as `docs/states.md` draws them, and nothing of the code.

use super::check::{Rule, Violation};

/// What marks a session of a scheduler in its `application_name`: its replica's name, which begins like this.
pub const REPLICA_MARK: &str = "sched-";

/// Puts the triggers into a migrated database. They run as the last thing before each commit, so a commit that comes after
/// another replica's takeover is noticed however early its transaction began.
pub const INSTALL: &str = r#"
create table witness_commit (
    seq bigint generated always as identity,
    at timestamptz not null default clock_timestamp(),
    rule text not null,
    what text not null
);
create function witness_epoch() returns trigger language plpgsql as $$
declare
    session text := current_setting('application_name');
    leads text;
begin
    if session like '%sched-%' then
        select holder into leads from leader where id = 1;
        if session not like '%' || leads || '%' then
            insert into witness_commit (rule, what)
            values ('old_epoch', format('%s committed a %s of %s while %s led', session, tg_op, tg_table_name, leads));
        end if;
    end if;
    return null;
end $$;
create function witness_task() returns trigger language plpgsql as $$
begin
    if old.state <> new.state and old.state || '>' || new.state not in (
        'waiting>queued', 'waiting>skipped', 'waiting>upstream_failed', 'waiting>failed', 'waiting>cancelled',
        'queued>running', 'queued>cancelled',
        'running>success', 'running>failed', 'running>cancelled', 'running>up_for_retry',
        'failed>up_for_retry', 'up_for_retry>queued', 'up_for_retry>cancelled',
        'up_for_retry>waiting', 'success>waiting', 'failed>waiting', 'upstream_failed>waiting', 'skipped>waiting',
        'cancelled>waiting')
        and not (old.state = 'running' and new.state = 'queued' and new.attempt = old.attempt
            and new.claim_token is null and new.worker is null and new.started_at is null
            and old.spawned_at is null and old.ended_at is null and not old.cancel_requested)
        and not (old.state = 'up_for_retry' and new.state = 'success' and old.ended_at is null)
        and not (old.state = 'queued' and new.state = 'success' and exists (
            select 1 from task_attempt as lost
            where lost.run = new.run and lost.task_no = new.task_no and lost.map_index = new.map_index
                and lost.attempt = new.attempt - 1 and lost.state = 'failed' and lost.ended_at is null))
    then
        insert into witness_commit (rule, what)
        values ('illegal', format('run %s %s attempt %s went from %s to %s', new.run, new.name, old.attempt, old.state,
            new.state));
    end if;
    if new.claim_token < old.claim_token or new.attempt < old.attempt then
        insert into witness_commit (rule, what)
        values ('illegal', format('run %s %s: the token went from %s to %s, the attempt from %s to %s', new.run, new.name,
            old.claim_token, new.claim_token, old.attempt, new.attempt));
    end if;
    return null;
end $$;
create function witness_run() returns trigger language plpgsql as $$
begin
    if old.state in ('success', 'failed', 'cancelled') and new.state not in (old.state, 'queued') then
        insert into witness_commit (rule, what)
        values ('illegal', format('run %s went from %s to %s', new.id, old.state, new.state));
    end if;
    return null;
end $$;
create constraint trigger witness_epoch after insert or update on task deferrable initially deferred
    for each row execute function witness_epoch();
create constraint trigger witness_epoch after insert or update on run deferrable initially deferred
    for each row execute function witness_epoch();
create constraint trigger witness_epoch after insert on slot deferrable initially deferred
    for each row execute function witness_epoch();
create constraint trigger witness_epoch after update on dag deferrable initially deferred
    for each row execute function witness_epoch();
create trigger witness_task after update on task for each row execute function witness_task();
create trigger witness_run after update on run for each row execute function witness_run();
"#;

/// What the triggers noted, one line each.
pub const READ: &str = "select rule || '|' || what from witness_commit order by seq limit 1000";

/// Understands the lines.
#[must_use]
pub fn violations(lines: &str) -> Vec<Violation> {
    let notes = lines.lines().filter(|line| !line.is_empty());
    notes
        .map(|line| match line.split_once('|') {
            Some(("old_epoch", what)) => Violation::new(Rule::OldEpoch, what),
            Some((_, what)) => Violation::new(Rule::IllegalChange, what),
            None => Violation::new(Rule::NoEvidence, format!("this note cannot be read: {line:?}")),
        })
        .collect()
}
