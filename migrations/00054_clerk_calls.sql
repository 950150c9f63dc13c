-- The processes of one database share what Clerk accepts from the instance. Each writes down which calls it has sent, and leases
-- the next ones before it sends them. All others count both. So a killed process's calls are counted until they no longer matter.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

CREATE TABLE rolecall.clerk_calls (
    client     bigint        PRIMARY KEY,      -- a number that the client of Clerk's API drew when it began
    turn       bigint        NOT NULL,         -- rises with each write of the client; a late one changes nothing
    sent_at    timestamptz[] NOT NULL,         -- when calls were sent, by the database's clock
    sent       bigint[]      NOT NULL,         -- how many at each of these times
    held       bigint        NOT NULL,         -- calls that are leased and weren't sent yet
    held_until timestamptz   NOT NULL          -- after which the client sends none of them any more
);

-- One row: its lock makes the leases one after the other.
CREATE TABLE rolecall.clerk_pace (
    one            boolean     PRIMARY KEY DEFAULT true CHECK (one),
    background_due timestamptz NOT NULL DEFAULT 'epoch',     -- when the background calls that were leased would be through at their rate
    strangers_due  timestamptz NOT NULL DEFAULT 'epoch',     -- the same for look-ups of strangers
    charged_due    timestamptz NOT NULL DEFAULT 'epoch'      -- the same for interactive calls that background calls pay for
);
INSERT INTO rolecall.clerk_pace DEFAULT VALUES;

-- How long Clerk asked calls to pause.
CREATE TABLE rolecall.clerk_pauses (
    purpose integer     PRIMARY KEY, -- as package clerkapi numbers them; 0 for background calls
    until   timestamptz NOT NULL
);

-- +goose Down
DROP TABLE rolecall.clerk_pauses, rolecall.clerk_pace, rolecall.clerk_calls;
