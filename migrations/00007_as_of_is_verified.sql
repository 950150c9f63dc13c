-- The newest event of a workspace says nothing about another one that was lost: how fresh the mirror is follows from its sweeps.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- Nothing reads as_of any more but instances of an older version, which write it, too. To them 'epoch' is as old as it gets.
ALTER TABLE rolecall.revisions ALTER as_of SET DEFAULT 'epoch';

-- +goose Down
ALTER TABLE rolecall.revisions ALTER as_of DROP DEFAULT;
