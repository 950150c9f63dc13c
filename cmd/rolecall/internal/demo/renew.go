package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/internal/pgpool"
	"github.com/callmine/rolecall/migrations"
	"github.com/callmine/rolecall/store"
)

// instancePrefix begins the ids of simulated instances. 16 hexadecimal digits follow. Clerk's own
// ids have 27 characters after ins_, and can't be mistaken for these.
const instancePrefix = "ins_dev"

var simulatedInstance = regexp.MustCompile("^" + instancePrefix + "[0-9a-f]{16}$")

const (
	// renewPatience bounds the wait for whoever uses the old mirror.
	renewPatience = 3 * time.Second
	// aloneInterval is how often Postgres is asked who else is connected. It gives no signal.
	aloneInterval = 20 * time.Millisecond
)

// renew drops the mirror of an earlier simulated instance, so that each start begins its world
// anew. It refuses a mirror that may be of a real instance, one that another process uses, and one
// on which objects outside the schema rolecall depend. It changes nothing outside that schema.
// where says in messages which database it is.
func renew(ctx context.Context, databaseURL, where string) error {
	conn, err := pgpool.Connect(ctx, pgpool.Config{URL: databaseURL, Name: "rolecall dev", Needs: pgpool.Needs{Write: true}})
	if err != nil {
		if refused, ok := errors.AsType[*pgpool.RefusedError](err); ok {
			return refused
		}
		return errors.New("can't connect to the database " + where) // the error itself could print the URL
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the connection has nothing to lose
	if nothing, err := neverMigrated(ctx, conn); nothing || err != nil {
		return err
	}
	if err := awaitAlone(ctx, conn); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := lockMirror(ctx, tx); err != nil {
			return err
		}
		filled, err := refuseForeign(ctx, tx, where)
		if err != nil || !filled {
			return err
		}
		return dropMirror(ctx, tx)
	})
}

// neverMigrated reports whether there is no mirror: migrating never began, or was interrupted
// before there were all the tables by which a mirror's instance is known.
func neverMigrated(ctx context.Context, conn *pgx.Conn) (bool, error) {
	if err := migrations.Check(ctx, conn); errors.Is(err, migrations.ErrNoSchema) {
		return true, nil
	}
	var there []string
	if err := conn.QueryRow(ctx, `SELECT coalesce(array_agg(name), '{}') FROM unnest($1::text[]) name WHERE to_regclass(name) IS NOT NULL`,
		mirrorTables()).Scan(&there); err != nil {
		return false, fmt.Errorf("look for the mirror of an earlier run: %w", err)
	}
	if len(there) == len(mirrorTables()) {
		return false, nil
	}
	for _, table := range there {
		var filled bool
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+table+")").Scan(&filled); err != nil || filled {
			return false, cmp.Or(err, errors.New("the schema rolecall is incomplete, and has rows: name another database"))
		}
	}
	return true, nil
}

// awaitAlone waits until no other process of Rolecall is connected to the database: the sessions of
// one that has just ended may still be ending.
func awaitAlone(ctx context.Context, conn *pgx.Conn) error {
	ticker := time.NewTicker(aloneInterval)
	defer ticker.Stop()
	patience := time.After(renewPatience)
	for {
		var users []string
		if err := conn.QueryRow(ctx, `SELECT coalesce(array_agg(DISTINCT application_name ORDER BY application_name), '{}')
			FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name ~ '^rolecall'`).Scan(&users); err != nil {
			return fmt.Errorf("look who uses the database: %w", err)
		}
		if len(users) == 0 {
			return nil
		}
		select {
		case <-ticker.C:
		case <-patience:
			return fmt.Errorf("another process of Rolecall uses this database (%s), and dev empties it: end that process, or name another database",
				strings.Join(users, ", "))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// mirrorTables are those by which a mirror's instance is known.
func mirrorTables() []string {
	return []string{"rolecall.sweeps", "rolecall.deliveries", "rolecall.organizations", "rolecall.users"}
}

// lockMirror keeps every other session from these tables until the transaction ends. So the mirror
// that was judged is the one that is dropped.
func lockMirror(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = %d", renewPatience.Milliseconds())); err != nil {
		return fmt.Errorf("limit the wait for locks: %w", err)
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE "+strings.Join(mirrorTables(), ", ")); err != nil {
		return fmt.Errorf("lock the mirror of an earlier run, to empty it: %w", err)
	}
	return nil
}

// refuseForeign keeps dev out of the mirror of a real Clerk. It reports whether the mirror holds
// anything; then that is of simulated instances only.
func refuseForeign(ctx context.Context, db store.DBTX, where string) (filled bool, err error) {
	known, err := store.KnownInstance(ctx, db)
	if err != nil {
		return false, err
	}
	if known == "" { // nothing was ever compared, and no webhook is kept
		empty, err := store.IsEmpty(ctx, db)
		if err != nil || empty {
			return false, err
		}
		known = "(unknown)"
	}
	if simulatedInstance.MatchString(known) {
		all, err := instancesOf(ctx, db)
		if err != nil {
			return false, err
		}
		foreign := slices.IndexFunc(all, func(id string) bool { return !simulatedInstance.MatchString(id) })
		if foreign < 0 {
			return true, nil
		}
		known = all[foreign]
	}
	return false, fmt.Errorf("the database %s is the mirror of the Clerk instance %s, and dev would empty it: name another one",
		where, known)
}

// instancesOf returns every instance that a mirror was compared with, or has deliveries of.
func instancesOf(ctx context.Context, db store.DBTX) ([]string, error) {
	rows, err := db.Query(ctx, `SELECT instance_id FROM rolecall.sweeps WHERE instance_id <> '' UNION
		SELECT instance_id FROM rolecall.deliveries WHERE instance_id <> ''`)
	if err != nil {
		return nil, fmt.Errorf("read the instances of the mirror: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the instances of the mirror: %w", err)
	}
	return all, nil
}

// outsideQuery lists what is outside the schema rolecall and may depend on it: tables and views
// first, then their columns, then what belongs to them, such as a view's type.
const outsideQuery = `WITH relations AS (
		SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname NOT IN ('rolecall', 'pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_(toast_)?temp_'
	), found (catalog, id, part) AS (
		SELECT 'pg_class'::regclass, oid, 0 FROM relations
		UNION ALL SELECT 'pg_class'::regclass, a.attrelid, a.attnum FROM pg_attribute a JOIN relations r ON r.oid = a.attrelid
			WHERE a.attnum > 0 AND NOT a.attisdropped
		UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, 0 FROM pg_attrdef d JOIN relations r ON r.oid = d.adrelid
		UNION ALL SELECT 'pg_constraint'::regclass, c.oid, 0 FROM pg_constraint c JOIN relations r ON r.oid = c.conrelid
		UNION ALL SELECT 'pg_trigger'::regclass, t.oid, 0 FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
		UNION ALL SELECT 'pg_policy'::regclass, p.oid, 0 FROM pg_policy p JOIN relations r ON r.oid = p.polrelid
		UNION ALL SELECT 'pg_proc'::regclass, p.oid, 0 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
			WHERE n.nspname NOT IN ('rolecall', 'pg_catalog', 'information_schema')
		UNION ALL SELECT 'pg_type'::regclass, t.oid, 0 FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
			WHERE n.nspname NOT IN ('rolecall', 'pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_(toast_)?temp_'
		UNION ALL SELECT 'pg_rewrite'::regclass, w.oid, 0 FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class
		UNION ALL SELECT 'pg_publication_rel'::regclass, p.oid, 0 FROM pg_publication_rel p
		UNION ALL SELECT 'pg_event_trigger'::regclass, e.oid, 0 FROM pg_event_trigger e
	)
	SELECT pg_describe_object(catalog, id, part) AS name FROM found ORDER BY catalog <> 'pg_class'::regclass, part > 0, name`

// dropMirror drops the schema, unless that would drop something outside of it.
func dropMirror(ctx context.Context, tx pgx.Tx) error {
	var mayCreate bool
	if err := tx.QueryRow(ctx, "SELECT has_database_privilege(current_database(), 'CREATE')").Scan(&mayCreate); err != nil {
		return fmt.Errorf("read the rights of the role: %w", err)
	}
	if !mayCreate {
		return errors.New("dev drops and creates the schema rolecall at each start, and this role may not create it: " +
			"GRANT CREATE ON DATABASE to it, or name another database")
	}
	before, err := outside(ctx, tx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "DROP SCHEMA rolecall CASCADE"); err != nil {
		return fmt.Errorf("drop the mirror of an earlier run: %w", err)
	}
	after, err := outside(ctx, tx)
	if err != nil {
		return err
	}
	stayed := make(map[string]bool, len(after))
	for _, name := range after {
		stayed[name] = true
	}
	for _, name := range before {
		if !stayed[name] {
			return fmt.Errorf("dev drops the mirror at each start, and that would drop your %s, which depends on it: "+
				"drop it yourself, or name another database", name)
		}
	}
	return nil
}

func outside(ctx context.Context, tx pgx.Tx) ([]string, error) {
	rows, err := tx.Query(ctx, outsideQuery)
	if err != nil {
		return nil, fmt.Errorf("look what depends on the mirror: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look what depends on the mirror: %w", err)
	}
	return names, nil
}
