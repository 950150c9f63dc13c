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
    size bigint;
    done integer := 0;
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
        PERFORM set_config('lock_timeout', '5s', true); -- a worker waits less long, so of the two it gives way, and tries again
        PERFORM rolecall.settle_pairs('{}', array_agg(p.organization_id), array_agg(p.user_id), array_agg(0))
        FROM (
            SELECT m.organization_id, m.user_id FROM rolecall.memberships m WHERE m.organization_id = ANY (ids)
            GROUP BY m.organization_id, m.user_id HAVING count(*) > 1
        ) AS p
        HAVING count(*) > 0;
        COMMIT; -- a transaction locks the counts of its workspaces once, in order
        PERFORM set_config('lock_timeout', '5s', true);
        PERFORM rolecall.add_members(ids, array_fill(0, ARRAY[cardinality(ids)]));
        COMMIT;
        RAISE NOTICE 'counted members of % of % workspaces', done, cardinality(all_ids);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down
SELECT; -- flags and counts go with their column and table
