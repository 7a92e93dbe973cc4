-- Scheduler replicas: who is there. A row per name, kept by the replica itself.
create table replica (
    id text primary key,
    host text not null,
    pid bigint not null,
    version text not null,
    dags_dir text,
    state text not null,
    started_at bigint not null,
    seen_at bigint not null
);

-- Terms of leadership, one per epoch: who led, and until when.
create table term (
    epoch bigint primary key,
    holder text not null,
    began_at bigint not null,
    seen_at bigint not null,
    ended_at bigint
);

-- A person wants this life of a worker to claim nothing more.
alter table worker add column drain_requested boolean not null default false;
