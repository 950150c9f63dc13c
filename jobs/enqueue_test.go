package jobs

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden file instead of comparing with it")

// TestApplyArgs_WireFormatStays protects the format of jobs in the queue. While processes of two
// versions run, a change of it would strand the other version's jobs.
func TestApplyArgs_WireFormatStays(t *testing.T) {
	t.Parallel()
	args := ApplyArgs{SvixIDs: []string{"msg_1", "msg_2"}}
	opts := args.InsertOpts()
	got, err := json.MarshalIndent(map[string]any{
		"kind": args.Kind(), "queues": []string{QueueApply, QueueRevocations}, "max_attempts": opts.MaxAttempts, "args": args,
		"prune": map[string]any{"kind": PruneArgs{}.Kind(), "queue": PruneArgs{}.InsertOpts().Queue, "args": PruneArgs{}},
	}, "", "  ")
	require.NoError(t, err)
	golden := filepath.Join("testdata", "apply_args.golden.json")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(got))

	var stored struct {
		Args ApplyArgs `json:"args"`
	}
	require.NoError(t, json.Unmarshal(want, &stored))
	require.Equal(t, args, stored.Args, "and it can be read again")
}
