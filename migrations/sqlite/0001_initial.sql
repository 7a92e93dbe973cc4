-- Instants are microseconds since 1970 UTC. States are the words of the state machine. JSON is text.
-- Indexes are partial where only a few rows are ever looked for, because each one is paid for by every task.

-- Numbers that grow in the order of commits.
create table counter (
    name text primary key,
    value integer not null
) strict, without rowid;
insert into counter (name, value) values ('claim_token', 0);

-- The fence: a leader's transaction counts only under the epoch that stands here.
create table leader (
    id integer primary key check (id = 1),
    epoch integer not null,
    holder text,
    since integer
) strict;
insert into leader (id, epoch) values (1, 0);

create table dag (
    dag text primary key,
    version integer not null,
    path text not null,
    hash text not null,
    paused integer not null default 0,
    present integer not null default 1,
    cursor integer,
    next_slot integer,
    updated_at integer not null
) strict, without rowid;

create table dag_version (
    dag text not null,
    version integer not null,
    source text not null,
    hash text not null,
    created_at integer not null,
    primary key (dag, version)
) strict;

create table file_error (
    path text primary key,
    dag text,
    errors text not null,
    source text not null,
    seen_at integer not null
) strict;

create table run (
    id integer primary key autoincrement,
    dag text not null,
    version integer not null,
    slot integer,
    interval_start integer,
    trigger_kind text not null,
    state text not null,
    params text not null,
    reason text,
    idempotency_key text,
    created_at integer not null,
    started_at integer,
    finished_at integer,
    ending_state text,
    ending_reason text
) strict;
create unique index run_slot on run (dag, slot) where slot is not null;
create unique index run_idempotency_key on run (dag, idempotency_key) where idempotency_key is not null;
create index run_by_dag on run (dag, id);
create index run_active on run (id) where state in ('queued', 'running');
create index run_finished on run (finished_at) where finished_at is not null;

-- A task's current attempt. A task that waits has no row until its first attempt is queued.
create table task (
    run integer not null,
    task_no integer not null,
    map_index integer not null,
    name text not null,
    attempt integer not null,
    state text not null,
    queue text not null,
    priority integer not null,
    failures integer not null default 0,
    losses integer not null default 0,
    queued_at integer,
    started_at integer,
    finished_at integer,
    retry_at integer,
    worker text,
    incarnation integer,
    claim_token integer,
    claim_nonce blob,
    spawned_at integer,
    ended_at integer,
    exit_code integer,
    signal integer,
    error text,
    outputs text,
    cancel_requested integer not null default 0,
    primary key (run, task_no, map_index)
) strict, without rowid;
create index task_queued on task (queue, priority desc, queued_at) where state = 'queued';
create index task_running on task (incarnation, attempt) where state = 'running';
create index task_cancel on task (incarnation) where state = 'running' and cancel_requested;

-- Earlier attempts, with the same columns.
create table task_attempt (
    run integer not null,
    task_no integer not null,
    map_index integer not null,
    name text not null,
    attempt integer not null,
    state text not null,
    queue text not null,
    priority integer not null,
    failures integer not null,
    losses integer not null,
    queued_at integer,
    started_at integer,
    finished_at integer,
    retry_at integer,
    worker text,
    incarnation integer,
    claim_token integer,
    claim_nonce blob,
    spawned_at integer,
    ended_at integer,
    exit_code integer,
    signal integer,
    error text,
    outputs text,
    cancel_requested integer not null,
    primary key (run, task_no, map_index, attempt)
) strict, without rowid;

-- The ledger: what became of every due slot.
create table slot (
    dag text not null,
    slot integer not null,
    slot_to integer not null,
    slot_count integer not null,
    outcome text not null,
    reason text,
    run integer,
    decided_at integer not null,
    primary key (dag, slot)
) strict, without rowid;
create index slot_by_time on slot (slot);

create table intent (
    id integer primary key autoincrement,
    run integer not null,
    kind text not null,
    actor text not null,
    created_at integer not null,
    done_at integer,
    outcome text
) strict;
create index intent_pending on intent (id) where done_at is null;

create table audit (
    id integer primary key autoincrement,
    at integer not null,
    actor text not null,
    origin text not null,
    action text not null,
    subject text not null,
    outcome text,
    intent integer
) strict;
create index audit_by_time on audit (at);
create trigger audit_keeps_its_rows before delete on audit
begin
    select raise(abort, 'the audit log is append-only');
end;
create trigger audit_keeps_its_words before update on audit
begin
    select raise(abort, 'the audit log is append-only');
end;

-- One row per life of a worker. The lease is never null: a null would hide a dead worker for ever.
create table worker (
    incarnation integer primary key autoincrement,
    id text not null,
    host text not null,
    pid integer not null,
    version text not null,
    queues text not null,
    labels text not null,
    slots integer not null,
    running integer not null,
    state text not null,
    heartbeat_at integer not null,
    started_at integer not null,
    lease_until integer not null
) strict;
create index worker_alive on worker (id) where state in ('live', 'draining');

create table log_chunk (
    run integer not null,
    task_no integer not null,
    map_index integer not null,
    attempt integer not null,
    seq integer not null,
    body text not null,
    primary key (run, task_no, map_index, attempt, seq)
) strict, without rowid;
