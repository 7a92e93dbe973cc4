-- Scheduler replicas: who is there. A row per name, kept by the replica itself.
create table replica (
    id text primary key,
    host text not null,
    pid integer not null,
    version text not null,
    dags_dir text,
    state text not null,
    started_at integer not null,
    seen_at integer not null
) strict, without rowid;

-- Terms of leadership, one per epoch: who led, and until when.
create table term (
    epoch integer primary key,
    holder text not null,
    began_at integer not null,
    seen_at integer not null,
    ended_at integer
) strict;

-- A person wants this life of a worker to claim nothing more.
alter table worker add column drain_requested integer not null default 0;

-- What each scheduler replica saw last in its DAG directory: per DAG (kind `dag`), and per path of a file that cannot be
-- used (kind `file`). No hash: it is not there any more.
-- `prev_hash`: what it moved away from while the store had just that (empty: an absence).
create table replica_file (
    replica text not null,
    kind text not null check (kind in ('dag', 'file')),
    name text not null,
    path text not null,
    hash text,
    prev_hash text,
    seen_at integer not null,
    primary key (replica, kind, name)
) strict, without rowid;

-- The one scheduler that this file had so far: its directory was in step.
insert into replica_file (replica, kind, name, path, hash, seen_at)
select 'standalone', 'dag', dag, path, hash, updated_at from dag where present;
