-- One database role per kind of process, each with the rights that its statements need and no others. Run it as the
-- database's owner after every `rota migrate`; it may be run any number of times:
--
--     psql "$OWNER_URL" -v ON_ERROR_STOP=1 -f roles.sql
--
-- The roles themselves are made once, by somebody who may:
--
--     create role rota_owner login password '...';        -- for rota migrate alone
--     create role rota_scheduler login password '...';
--     create role rota_worker login password '...';
--     create role rota_web login password '...';
--     create database rota owner rota_owner encoding 'UTF8' template template0;
--     \c rota
--     alter schema public owner to rota_owner;
begin;

revoke all on schema public from public;
grant usage on schema public to rota_scheduler, rota_worker, rota_web;
revoke all on all tables in schema public from rota_scheduler, rota_worker, rota_web;
revoke all on all sequences in schema public from rota_scheduler, rota_worker, rota_web;
grant select on _sqlx_migrations to rota_scheduler, rota_worker, rota_web;

-- Plans, and forgets what is old. It adds new versions of DAG files to the audit log, which nobody can change, and reads nothing
-- of it; it cannot write what a task has printed.
grant select, update on leader to rota_scheduler;
grant select, insert, update on term, dag to rota_scheduler;
grant select, insert on dag_version to rota_scheduler;
grant insert on audit to rota_scheduler;
grant select, insert, update, delete on run, task, file_error, replica, replica_file to rota_scheduler;
grant select, insert, delete on task_attempt, slot to rota_scheduler;
grant select, update, delete on worker to rota_scheduler;
grant select, update on intent to rota_scheduler;
grant select, delete on log_chunk to rota_scheduler;

-- Claims tasks and records how they ended. It cannot make a run or change a DAG.
grant select on run, dag, dag_version to rota_worker;
grant select, insert, update on worker to rota_worker;
grant select, update on task to rota_worker;
grant select, update (error) on task_attempt to rota_worker;
grant insert on log_chunk to rota_worker;
grant usage on sequence claim_token to rota_worker;

-- Shows everything and writes what people ask for, with a line in the audit log, which nobody can change.
grant select on leader, term, dag, dag_version, file_error, run, task, task_attempt, slot, intent, audit, worker, log_chunk,
    replica to rota_web;
grant insert on run, intent, audit to rota_web;
grant update (paused) on dag to rota_web;
grant update (drain_requested) on worker to rota_web;

commit;
