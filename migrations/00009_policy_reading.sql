-- Which policy counts for the SQL functions: an instance that couldn't save its own for a while can't tell from the grants alone
-- whether they were read before or after.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- When the policy in rolecall.grants was read by the instance that read it last, by the database's clock. One row; none until an instance
-- has saved its policy.
CREATE TABLE rolecall.policy_reading (
    one     boolean     PRIMARY KEY DEFAULT true CHECK (one),
    read_at timestamptz NOT NULL
);

-- +goose Down
DROP TABLE rolecall.policy_reading;
