-- +goose NO TRANSACTION
-- Flags and counts for the memberships from before migration 00021, while instances of older versions write on. It may be cut off
-- anywhere, and run again.

-- +goose Up
-- +goose StatementBegin
DO $$
DECLARE
    batch CONSTANT bigint := 5000; -- memberships, unless a single workspace has more
    all_ids text[];
    all_sizes bigint[];
    ids text[];
    organizations text[];
    users text[];
    size bigint;
    done integer := 0;
    told timestamptz := clock_timestamp();
BEGIN
    SELECT array_agg(o.id ORDER BY o.id), array_agg(o.size ORDER BY o.id) INTO all_ids, all_sizes
    FROM (SELECT m.organization_id, count(*) FROM rolecall.memberships m GROUP BY m.organization_id) AS o (id, size);
    WHILE done < coalesce(cardinality(all_ids), 0) LOOP
        ids := '{}';
        size := 0;
        WHILE done < cardinality(all_ids) AND (ids = '{}' OR size + all_sizes[done + 1] <= batch) LOOP
            done := done + 1;
            ids := ids || all_ids[done];
            size := size + all_sizes[done];
        END LOOP;
        FOR step IN 1 .. 2 LOOP
            FOR try IN 1 .. 10 LOOP
                BEGIN
                    PERFORM set_config('lock_timeout', '5s', true); -- a worker waits less long, so of the two it gives way, and tries again
                    IF step = 1 THEN
                        SELECT array_agg(p.organization_id), array_agg(p.user_id) INTO organizations, users FROM (
                            SELECT m.organization_id, m.user_id FROM rolecall.memberships m WHERE m.organization_id = ANY (ids)
                            GROUP BY m.organization_id, m.user_id HAVING count(*) > 1 ORDER BY hashtext(m.user_id)
                        ) p;
                        IF users IS NOT NULL THEN
                            PERFORM FROM rolecall.memberships m WHERE m.id = ANY (rolecall.stale_flags(organizations, users))
                            ORDER BY m.id FOR NO KEY UPDATE;
                            PERFORM rolecall.settle_pairs(organizations, users, array_fill(0, ARRAY[cardinality(users)]));
                        END IF;
                    ELSE
                        INSERT INTO rolecall.member_counts (organization_id, members)
                        SELECT o.id, 0 FROM unnest(ids) AS o (id) ORDER BY o.id
                        ON CONFLICT DO NOTHING; -- the trigger counts
                    END IF;
                    EXIT;
                EXCEPTION WHEN deadlock_detected THEN -- with a writer that waits longer; the step is undone, so that the writer goes on
                    IF try = 10 THEN
                        RAISE;
                    END IF;
                    PERFORM pg_sleep(0.1 * try);
                END;
            END LOOP;
            COMMIT; -- a transaction locks the counts of its workspaces once, in order
        END LOOP;
        IF clock_timestamp() > told + interval '1 second' OR done = cardinality(all_ids) THEN
            RAISE INFO 'counted the members of % of % workspaces', done, cardinality(all_ids);
            told := clock_timestamp();
        END IF;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
SELECT; -- flags and counts go with their column and table
