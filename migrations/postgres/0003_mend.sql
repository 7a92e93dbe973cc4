-- Ranges of slots by their end: few rows, looked for by whoever counts slots within a window that a range reaches into.
create index slot_ranges on slot (slot_to) where slot_count > 1;
