-- A replayed delivery came when it came: told otherwise, nobody sees any more when the endpoint was last heard of.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- When the delivery was put back among those that wait; null if it never was.
ALTER TABLE rolecall.deliveries ADD replayed_at timestamptz;

-- +goose Down
ALTER TABLE rolecall.deliveries DROP replayed_at;
