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
