package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// saveMirror adds statements that write changed objects, in the order of kinds (see
// queries/mirror.sql).
func saveMirror(p *pipeline, locked Locked, changed clerksync.Mirror) error {
	lockCounts(p, locked.rows, changed)
	return errors.Join(
		saveKind(p, locked.rows, changed.Users, userRow, dbsqlc.AddUsers, dbsqlc.ChangeUsers),
		saveKind(p, locked.rows, changed.Memberships, membershipRow, dbsqlc.AddMemberships, dbsqlc.ChangeMemberships),
		saveKind(p, locked.rows, changed.Invitations, invitationRow, dbsqlc.AddInvitations, dbsqlc.ChangeInvitations),
		saveKind(p, locked.rows, changed.Domains, domainRow, dbsqlc.AddDomains, dbsqlc.ChangeDomains),
		saveKind(p, locked.rows, changed.Permissions, permissionRow, dbsqlc.AddPermissions, dbsqlc.ChangePermissions),
		saveKind(p, locked.rows, changed.Roles, roleRow, dbsqlc.AddRoles, dbsqlc.ChangeRoles),
		saveKind(p, locked.rows, changed.Organizations, organizationRow, dbsqlc.AddOrganizations, dbsqlc.ChangeOrganizations),
	)
}

// lockCounts adds a lock of the counts of members that saving will change, if users or memberships
// are added. A transaction that waits to add a row then waits for none that needs these counts (see
// queries/mirror.sql).
func lockCounts(p *pipeline, locked map[string]bool, changed clerksync.Mirror) {
	adds := false
	for id := range changed.Users {
		adds = adds || !locked[id]
	}
	organizations := map[string]struct{}{}
	for id, m := range changed.Memberships {
		adds = adds || !locked[id]
		organizations[m.OrganizationID] = struct{}{}
	}
	if adds && len(organizations) > 0 {
		p.exec(dbsqlc.LockCounts, nil, ids(organizations))
	}
}

// saveKind adds statements that write objects of one kind, in the order of ids. locked has the ids
// of the rows that are locked: those are changed, and all others added.
func saveKind[T, R any](p *pipeline, locked map[string]bool, objects map[string]T, row func(T) (R, error), add, change string) error {
	var added, changed []R
	for _, id := range ids(objects) {
		r, err := row(objects[id])
		switch {
		case err != nil:
			return fmt.Errorf("write %s: %w", id, err)
		case locked[id]:
			changed = append(changed, r)
		default:
			added = append(added, r)
		}
	}
	saveRows(p, add, added, func(inserted int64) error {
		if inserted < int64(len(added)) {
			return ErrRaced
		}
		return nil
	})
	saveRows(p, change, changed, nil)
	return nil
}

// saveRows adds a statement that takes rows as an array for each column, unless there are none.
func saveRows[R any](p *pipeline, sql string, rows []R, done func(written int64) error) {
	if len(rows) > 0 {
		p.exec(sql, done, columns(rows)...)
	}
}

// columns returns an array for each column of rows that a statement of queries/mirror.sql writes,
// in the order of the table's columns. JSON and lists become texts.
func columns[R any](rows []R) (arrays []any) {
	table := reflect.TypeFor[R]()
	for i := range table.NumField() {
		field := table.Field(i)
		if field.Name == "ChangedAt" || field.Name == "Followed" || field.Name == "Erased" { // set by Postgres itself, or by an erasure
			continue
		}
		switch reflect.Zero(field.Type).Interface().(type) {
		case json.RawMessage:
			arrays = append(arrays, column(rows, i, textOf))
		case []string:
			arrays = append(arrays, column(rows, i, listText))
		case *string:
			arrays = append(arrays, column(rows, i, asIs[*string]))
		case *int64:
			arrays = append(arrays, column(rows, i, asIs[*int64]))
		case *time.Time:
			arrays = append(arrays, column(rows, i, asIs[*time.Time]))
		case time.Time:
			arrays = append(arrays, column(rows, i, asIs[time.Time]))
		case bool:
			arrays = append(arrays, column(rows, i, asIs[bool]))
		default: // another type fails here
			arrays = append(arrays, column(rows, i, asIs[string]))
		}
	}
	return arrays
}

// column returns the values of one field of rows.
func column[R, V, A any](rows []R, field int, as func(V) A) pgtype.FlatArray[A] {
	values := make(pgtype.FlatArray[A], len(rows))
	for n := range rows {
		value, _ := reflect.TypeAssert[*V](reflect.ValueOf(&rows[n]).Elem().Field(field).Addr())
		values[n] = as(*value)
	}
	return values
}

func asIs[V any](v V) V { return v }

// listText writes a list as Postgres writes an array of texts.
func listText(list []string) string {
	quoted := make([]string, len(list))
	for i, text := range list {
		quoted[i] = `"` + strings.ReplaceAll(strings.ReplaceAll(text, `\`, `\\`), `"`, `\"`) + `"`
	}
	return "{" + strings.Join(quoted, ",") + "}"
}
