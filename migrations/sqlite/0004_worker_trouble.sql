-- What keeps a worker from starting tasks, in words (null: nothing). It claims none meanwhile.
alter table worker add column trouble text;
