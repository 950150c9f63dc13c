package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
)

// TestAuthZEN_OpenFGAAnswersAlike runs the table against another implementation of the standard,
// with the same fixture. So the table isn't cut to fit ours. A case may say why the two differ; it
// must not if they agree.
func TestAuthZEN_OpenFGAAnswersAlike(t *testing.T) {
	t.Parallel()
	pgtest.NeedsProgram(t, "openfga")
	fga := setupOpenFGA(t)
	for _, c := range slices.Concat(evaluationCases(), evaluationsCases(), searchCases()) {
		status, answer := fga.send("/access/v1/"+c.path, c.body, cmp.Or(c.media, "application/json"))
		agrees := status == cmp.Or(c.status, http.StatusOK) && (status != http.StatusOK || common(t, answer) == asJSON(t, json.RawMessage(c.want)))
		require.Equal(t, c.own == "", agrees, "%s: %s: %d %s (%s)", c.name, c.body, status, answer, c.own)
	}
}

// openFGA is an OpenFGA server with the fixture.
type openFGA struct {
	t     *testing.T
	store string // its URL
}

// setupOpenFGA starts a server and writes the fixture. A port that was free may be taken by then,
// so it tries again.
func setupOpenFGA(t *testing.T) openFGA {
	t.Helper()
	for range 3 {
		if base, ok := startOpenFGA(t); ok {
			return writeFixture(t, base)
		}
	}
	require.FailNow(t, "openfga found no port that is free")
	return openFGA{}
}

func startOpenFGA(t *testing.T) (base string, ok bool) {
	t.Helper()
	addrs := [2]string{}
	for i := range addrs {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		addrs[i] = listener.Addr().String()
		require.NoError(t, listener.Close())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, "openfga", "run", "--experimentals=authzen", "--datastore-engine=memory", "--authn-method=preshared",
		"--authn-preshared-keys="+serviceToken, "--http-addr="+addrs[0], "--grpc-addr="+addrs[1], "--playground-enabled=false", "--metrics-enabled=false")
	var said testlog.Lines
	command.Stdout, command.Stderr = &said, &said
	require.NoError(t, command.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait() // it is killed
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Log(said.String())
		}
	})
	base = "http://" + addrs[0]
	require.Eventually(t, func() bool { // it gives no signal
		select {
		case <-ended:
			return true
		default:
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/healthz", http.NoBody)
		require.NoError(t, err)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		ok = answer.StatusCode == http.StatusOK
		return answer.Body.Close() == nil && ok
	}, 30*time.Second, 20*time.Millisecond)
	return base, ok
}

func writeFixture(t *testing.T, base string) openFGA {
	t.Helper()
	fga := openFGA{t: t, store: base}
	var made struct {
		ID string `json:"id"`
	}
	require.NoError(t, json.Unmarshal(fga.must("/stores", `{"name":"fixture"}`), &made))
	fga.store += "/stores/" + made.ID
	const byUsers = `{"directly_related_user_types":[{"type":"user"}]}`
	fga.must("/authorization-models", `{"schema_version":"1.1","type_definitions":[{"type":"user"},{"type":"record",
		"relations":{"read":{"this":{}},"write":{"this":{}}},"metadata":{"relations":{"read":`+byUsers+`,"write":`+byUsers+`}}}]}`)
	keys := []string{}
	for _, k := range [][3]string{{"alice", "read", "1"}, {"alice", "write", "1"}, {"alice", "read", "2"}, {"bob", "read", "1"}} {
		keys = append(keys, `{"user":"user:`+k[0]+`","relation":"`+k[1]+`","object":"record:record-`+k[2]+`"}`)
	}
	fga.must("/write", `{"writes":{"tuple_keys":[`+strings.Join(keys, ",")+`]}}`)
	return fga
}

func (f openFGA) must(path, body string) []byte {
	f.t.Helper()
	status, answer := f.send(path, body, "application/json")
	require.Less(f.t, status, http.StatusMultipleChoices, "%s", answer)
	return answer
}

func (f openFGA) send(path, body, media string) (status int, answer []byte) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.store+path, bytes.NewReader([]byte(body)))
	require.NoError(f.t, err)
	request.Header.Set("Authorization", "Bearer "+serviceToken)
	request.Header.Set("Content-Type", media)
	response, err := http.DefaultClient.Do(request)
	require.NoError(f.t, err)
	defer func() { require.NoError(f.t, response.Body.Close()) }()
	answer, err = io.ReadAll(response.Body)
	require.NoError(f.t, err)
	return response.StatusCode, answer
}
