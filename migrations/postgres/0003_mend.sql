-- Ranges of slots by their end: few rows, looked for by whoever counts slots within a window that a range reaches into.
create index slot_ranges on slot (slot_to) where slot_count > 1;

-- What a scheduler says of itself: when its planner last completed a turn (null while it stands by), and what keeps it from
-- doing its part, in words (null: nothing).
alter table replica add column turned_at bigint;
alter table replica add column trouble text;

-- The version of the time zone data that a scheduler replica goes by; empty for a rota that does not say it.
alter table replica add column zones text not null default '';
