package bench_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// asFloor makes the test's binary serve the floor of reads, from the database that it names.
const asFloor = "ROLECALL_BENCH_FLOOR"

// floorConns is how many connections Rolecall reads with by default.
const floorConns = 16

// floorTables are what the floors read and write.
const floorTables = `
	CREATE TABLE public.floor_members (organization_id text, user_id text, role text NOT NULL, revision bigint NOT NULL, PRIMARY KEY (organization_id, user_id));
	CREATE TABLE public.floor_rows (id text PRIMARY KEY, body text NOT NULL)`

// floorAnswer has the fields of an answer of /v1/authorize.
type floorAnswer struct {
	Allowed     bool    `json:"allowed"`
	Reason      string  `json:"reason"`
	Role        string  `json:"role"`
	Permission  string  `json:"permission"`
	WorkspaceID string  `json:"workspace_id"`
	UserID      string  `json:"user_id"`
	Revision    int64   `json:"revision"`
	AsOf        *string `json:"as_of"` // null, as before the first sweep
}

// serveFloor answers as /v1/authorize does, from one indexed query of a member's row: without
// tokens, roles, tombstones or freshness. It ends when its standard input is closed, so that it
// never outlives the benchmark.
func serveFloor(url string) (exitCode int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return floorFailed(err)
	}
	config.MaxConns = floorConns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return floorFailed(err)
	}
	defer pool.Close()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return floorFailed(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		answer := floorAnswer{
			Allowed: true, Reason: "allowed", Permission: query.Get("permission"), WorkspaceID: query.Get("workspace_id"), UserID: query.Get("user_id"),
		}
		row := pool.QueryRow(r.Context(), `SELECT role, revision FROM public.floor_members WHERE organization_id = $1 AND user_id = $2`, answer.WorkspaceID, answer.UserID)
		if err := row.Scan(&answer.Role, &answer.Revision); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body, err := json.Marshal(answer)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // the caller may be gone
	})}
	fmt.Fprintln(os.Stdout, listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	_ = server.Serve(listener) // until it is closed
	return 0
}

func floorFailed(err error) (exitCode int) {
	fmt.Fprintln(os.Stderr, "floor:", err)
	return 1
}

// startFloor starts the floor of reads in a process of its own, and returns its address.
func startFloor(b *testing.B, url string) (addr string) {
	b.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(b.Context()), os.Args[0])
	cmd.Env = append(os.Environ(), asFloor+"="+url)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(b, err)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		require.NoError(b, in.Close())
		require.NoError(b, cmd.Wait())
	})
	addr, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(b, err)
	return strings.TrimSpace(addr)
}

// inserters are clients of Postgres that insert one row at a time, each in a transaction of its
// own: the least that keeps a delivery.
type inserters []*pgx.Conn

func openInserters(b *testing.B, url string, clients int) inserters {
	b.Helper()
	conns := make(inserters, clients)
	for i := range conns {
		conns[i] = connect(b, url)
	}
	return conns
}

func (i inserters) insert(ctx context.Context, client int, m clerksim.Message) error {
	_, err := i[client].Exec(ctx, `INSERT INTO public.floor_rows (id, body) VALUES ($1, $2)`, m.ID, string(m.Body))
	return err
}

// connect opens a connection that ends with the benchmark.
func connect(b *testing.B, url string) *pgx.Conn {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), url)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, conn.Close(context.WithoutCancel(b.Context()))) })
	return conn
}
