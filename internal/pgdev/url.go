package pgdev

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

func orDefault(database string) string {
	if database == "" {
		return defaultDatabase
	}
	return database
}

// socketURL sets every parameter that PGHOST, PGPORT, PGUSER or PGSSLMODE in the reader's
// environment would otherwise decide.
func socketURL(dir string, port int, database string) string {
	u := url.URL{
		Scheme: "postgres",
		User:   url.User(superuser),
		Path:   "/" + orDefault(database),
		RawQuery: url.Values{
			"host":    {dir},
			"port":    {strconv.Itoa(port)},
			"sslmode": {"disable"},
		}.Encode(),
	}
	return u.String()
}

// replaceDatabase returns the given URL or keyword/value string with another database; unchanged if
// the name is empty.
func replaceDatabase(given, database string) string {
	if database == "" {
		return given
	}
	if strings.HasPrefix(given, "postgres://") || strings.HasPrefix(given, "postgresql://") {
		u, err := url.Parse(given)
		if err == nil {
			u.Path, u.RawPath = "/"+database, ""
			q := u.Query()
			q.Del("dbname") // it would win over the path
			q.Del("database")
			u.RawQuery = q.Encode()
			return u.String()
		}
	}
	// In keyword/value form the last mention of a keyword counts.
	return given + " dbname='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(database) + "'"
}

func serverVersion(ctx context.Context, connString string) (string, error) {
	conn, err := pgx.Connect(ctx, connString)
	if err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var version string
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version')").Scan(&version); err != nil {
		return "", fmt.Errorf("ask for the version: %w", err)
	}
	return version, nil
}
