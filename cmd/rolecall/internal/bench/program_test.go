package bench_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
	"github.com/callmine/rolecall/internal/testlog"
)

// build builds the program as for production, and returns its path.
func build(b *testing.B) (binary string) {
	b.Helper()
	binary = filepath.Join(b.TempDir(), "rolecall")
	out, err := exec.CommandContext(b.Context(), "go", "build", "-tags", "nodev", "-o", binary, "github.com/callmine/rolecall/cmd/rolecall").CombinedOutput()
	require.NoError(b, err, string(out))
	return binary
}

// clerk is a simulated Clerk that publishes its keys, and the settings of programs that trust it.
type clerk struct {
	*clerksim.World

	secret       string // of the webhooks
	serviceToken string // of a service that asks about any user
	settings     []string
}

// startClerk starts one for the benchmark. The program gets no key of its API, so it never sweeps.
func startClerk(b *testing.B) *clerk {
	b.Helper()
	key, err := clerksim.NewSigningKey()
	require.NoError(b, err)
	c := &clerk{secret: svixsim.NewSecret(rand.New(rand.NewPCG(1, 2)))}
	c.World, err = clerksim.New(clerksim.Config{SigningKey: key})
	require.NoError(b, err)
	simulator, err := clerksim.Listen(b.Context(), "", c.Handler())
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, simulator.Close(context.WithoutCancel(b.Context()))) })
	token, hash, err := auth.NewServiceToken(strings.NewReader(strings.Repeat("entropy ", 8)))
	require.NoError(b, err)
	c.serviceToken = token
	c.settings = []string{
		"CLERK_WEBHOOK_SIGNING_SECRET=" + c.secret, "CLERK_ISSUER=" + c.Issuer(), "CLERK_JWKS_URL=" + simulator.URL + "/.well-known/jwks.json",
		"CLERK_INSTANCE_ID=" + c.InstanceID(), "CLERK_AUTHORIZED_PARTIES=" + c.AuthorizedParty(),
		"ROLECALL_SERVICE_TOKEN_HASHES=bench:" + hash, "ROLECALL_LISTEN_ADDR=127.0.0.1:0", "ROLECALL_ADMIN_ADDR=127.0.0.1:0", "ROLECALL_STOP_DELAY=0s",
	}
	return c
}

// with returns the same Clerk with further settings of programs. The last of two values counts.
func (c *clerk) with(settings ...string) *clerk {
	more := *c
	more.settings = slices.Concat(c.settings, settings)
	return &more
}

// token makes a session token that outlives the benchmark.
func (c *clerk) token(b *testing.B, userID string) string {
	b.Helper()
	token, err := c.SessionToken(userID, clerksim.TokenOptions{Lifetime: time.Hour})
	require.NoError(b, err)
	return token
}

// program is a `rolecall serve` in a process of its own.
type program struct {
	cmd   *exec.Cmd
	log   testlog.Lines
	ended chan struct{}
	addr  string // of the public side
	admin string // of the operators' side
}

// serve starts the program and waits until it serves. It ends with the benchmark.
func (s *suite) serve(b *testing.B, c *clerk, database string, flags ...string) *program {
	b.Helper()
	p := &program{ended: make(chan struct{})}
	p.cmd = exec.CommandContext(context.WithoutCancel(b.Context()), s.binary, append([]string{"serve"}, flags...)...)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "DATABASE_URL=" + database}, c.settings...)
	p.cmd.Stderr = &p.log
	require.NoError(b, p.cmd.Start())
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // stop looks at the result
	}()
	b.Cleanup(func() { p.stop(b) })
	var line struct {
		Msg   string `json:"msg"`
		Web   string `json:"web"`
		Admin string `json:"admin"`
	}
	require.Eventually(b, func() bool {
		for text := range strings.Lines(p.log.String()) {
			if json.Unmarshal([]byte(text), &line) == nil && line.Msg == "serving" {
				return true
			}
		}
		return p.hasEnded()
	}, 30*time.Second, 5*time.Millisecond)
	require.False(b, p.hasEnded(), p.log.String())
	p.addr, p.admin = line.Web, line.Admin
	return p
}

func (p *program) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// stop ends the program in order, if it still runs.
func (p *program) stop(b *testing.B) {
	b.Helper()
	if p.hasEnded() {
		return
	}
	require.NoError(b, p.cmd.Process.Signal(syscall.SIGTERM))
	<-p.ended
	require.Zero(b, p.cmd.ProcessState.ExitCode(), p.log.String())
}
