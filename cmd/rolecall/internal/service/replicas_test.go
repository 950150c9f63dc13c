package service_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/doctor"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/svixsim"
)

// replicaMaxLag is the bound of these tests.
const replicaMaxLag = 250 * time.Millisecond

// replicated is a service that reads from replicas, with a switch in each way.
type replicated struct {
	*servicetest.Bundle
	primary  *pgtest.Cluster
	replicas []*pgtest.Cluster
	streams  []*pgtest.Switch // from the primary to each replica
	ways     []*pgtest.Switch // from the service to each replica
	way      *pgtest.Switch   // and to the primary
}

func startReplicated(t *testing.T, n int, also ...func(*servicetest.Bundle, *config.Config)) *replicated {
	t.Helper()
	r := &replicated{primary: pgtest.NewCluster(t, map[string]string{"wal_retrieve_retry_interval": "20ms"})}
	target := r.primary.Migrated("rolecall")
	role, err := os.ReadFile(servicetest.InRepository(t, "deploy/read_only_role.sql"))
	require.NoError(t, err)
	r.primary.Exec("rolecall", string(role))
	r.way = pgtest.NewSwitch(t, r.primary.Addr())
	var urls []string
	for range n {
		stream := pgtest.NewSwitch(t, r.primary.Addr())
		standby := r.primary.Standby(stream)
		way := pgtest.NewSwitch(t, standby.Addr())
		r.streams, r.replicas, r.ways = append(r.streams, stream), append(r.replicas, standby), append(r.ways, way)
		urls = append(urls, asReader(t, way.URL(standby.URL("rolecall"))))
	}
	r.Bundle = servicetest.Start(t, r.way.URL(target), nil, config.Parts{Web: true, Workers: true}, append(also, func(_ *servicetest.Bundle, c *config.Config) {
		c.ReplicaURLs, c.ReplicaMaxLag = urls, replicaMaxLag
	})...)
	r.Open(t, target)
	return r
}

// asReader is a URL for the role of deploy/read_only_role.sql.
func asReader(t *testing.T, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	u.User = url.UserPassword("rolecall_api", "change-me")
	return u.String()
}

// answers returns how many reads were answered, by all replicas or by one.
func (r *replicated) answers(t *testing.T, of ...string) (n int) {
	t.Helper()
	_, text := r.Text(t, "/metrics")
	for line := range strings.Lines(text) {
		var count float64
		labels, value, ok := strings.Cut(strings.TrimPrefix(line, "rolecall_replica_answers_total"), "} ")
		if !ok || !strings.HasPrefix(line, "rolecall_replica_answers_total") || !strings.Contains(labels, `outcome="answered"`) ||
			len(of) > 0 && !strings.Contains(labels, of[0]) {
			continue
		}
		_, err := fmt.Sscan(value, &count)
		require.NoError(t, err)
		n += int(count)
	}
	return n
}

// byPrimary returns how many questions the primary answered that replicas could have answered.
func (r *replicated) byPrimary(t *testing.T) (n int) {
	t.Helper()
	_, text := r.Text(t, "/metrics")
	_, value, found := strings.Cut(text, "\nrolecall_primary_answers_total ")
	require.True(t, found)
	_, err := fmt.Sscan(value, &n)
	require.NoError(t, err)
	return n
}

// countsEachQuestionOnce: however many questions share a round trip, and however often one of them
// reads. One that is refused before it reads counts nowhere.
func (r *replicated) countsEachQuestionOnce(t *testing.T, reads []string, admin string) {
	t.Helper()
	sum := func() int { return r.answers(t) + r.byPrimary(t) }
	before := sum()
	const each = 8
	statuses := make(chan [2]int, each*len(reads))
	for _, path := range reads {
		for range each {
			go func() {
				admitted, _ := r.Get(t, r.Web(path), admin)
				refused, _ := r.Get(t, r.Web(path), "no token")
				statuses <- [2]int{admitted, refused}
			}()
		}
	}
	for range cap(statuses) {
		require.Equal(t, [2]int{http.StatusOK, http.StatusUnauthorized}, <-statuses)
	}
	require.Eventually(t, func() bool { return sum() == before+each*len(reads) }, 10*time.Second, 10*time.Millisecond, "%d", before)
}

// answering waits until the replicas answer, and returns the instant before the last question: the
// state that its answer shows is older by the bound at most.
func (r *replicated) answering(t *testing.T, token, workspace string) (asked time.Time) {
	t.Helper()
	for i := range r.ways {
		before := r.answers(t, r.ways[i].Addr())
		require.Eventually(t, func() bool {
			asked = time.Now()
			r.May(t, token, workspace, "reports:read")
			return r.answers(t, r.ways[i].Addr()) > before
		}, 20*time.Second, time.Millisecond, "%s", r.Log)
	}
	return asked
}

// TestReplicas_AnswerReads: decisions and lists come from replicas and equal the primary's. What
// isn't there yet comes from the primary.
func TestReplicas_AnswerReads(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	r := startReplicated(t, 2)
	workspace, admin, member, messages := servicetest.Team(t, r.Bundle)
	r.Send(t, messages...)
	token, admins := r.Token(t, member), r.Token(t, admin)
	r.answering(t, token, workspace)
	reads := []string{
		"/v1/me", "/v1/workspaces/" + workspace, "/v1/workspaces/" + workspace + "/me", "/v1/workspaces/" + workspace + "/members",
		"/v1/workspaces/" + workspace + "/invitations", "/v1/authorize?permission=members:manage&workspace_id=" + workspace,
	}
	fromReplicas := map[string]string{}
	for _, path := range reads {
		require.Eventually(t, func() bool { // once the machine is quick enough
			before := r.answers(t)
			status, body := r.Get(t, r.Web(path), admins)
			require.Equal(t, http.StatusOK, status, path)
			fromReplicas[path] = inJSON(t, body)
			return r.answers(t) > before
		}, 20*time.Second, time.Millisecond, path)
	}
	_, page := r.Text(t, "/")
	require.Contains(t, page, "Replicas of this process")
	require.Contains(t, page, r.ways[0].Addr())
	require.Contains(t, page, "that replicas could have answered")
	r.countsEachQuestionOnce(t, reads, admins)

	for _, replica := range r.replicas {
		replica.PauseReplay()
	}
	require.NoError(t, r.Clerk.RemoveMember(workspace, member))
	r.Send(t, r.Clerk.Drain()...)
	user, err := r.Clerk.CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	_, err = r.Clerk.AddMember(workspace, user.ID, clerksim.RoleMember)
	require.NoError(t, err)
	r.Send(t, r.Clerk.Drain()...)
	require.Equal(t, http.StatusOK, r.May(t, r.Token(t, user.ID), workspace, "reports:read"), "a stranger on the replica is read from the primary")
	status, body := r.Get(t, r.Web("/v1/authorize?permission=reports:read&workspace_id="+workspace), admins)
	require.Equal(t, http.StatusOK, status)
	revision := int(body["revision"].(float64))
	status, _ = r.Get(t, r.Web(fmt.Sprintf("/v1/workspaces/%s/members?min_revision=%d", workspace, revision)), admins)
	require.Equal(t, http.StatusOK, status, "what a replica hasn't reached is the primary's")
	for _, replica := range r.replicas {
		replica.ResumeReplay()
	}
	r.answering(t, admins, workspace)
	_, page = r.Text(t, "/")
	require.Regexp(t, `data-label="Left to others"><div>[0-9]+ [a-z_]+`, page, "also after they answer again")
	require.NotEqual(t, fromReplicas[reads[3]], func() string { _, body := r.Get(t, r.Web(reads[3]), admins); return inJSON(t, body) }())
}

func inJSON(t *testing.T, body any) string {
	t.Helper()
	text, err := json.Marshal(body)
	require.NoError(t, err)
	return string(text)
}

// enforced is what the primary answers a user since an instant.
type enforced struct {
	status int
	since  time.Time // when its webhook had been applied
}

// within reports whether an answer to a question was in force within the bound before it.
func within(all []enforced, asked time.Time, status int) bool {
	for i, e := range all {
		over := i+1 < len(all) && !all[i+1].since.After(asked.Add(-replicaMaxLag))
		if e.status == status && !over {
			return true
		}
	}
	return false
}

// boundHistory is a user whose rights change while the servers misbehave.
type boundHistory struct {
	*replicated
	t                         *testing.T
	workspace, user, token    string
	isMember, manages, banned bool
	all                       []enforced
	cutAt                     time.Time // when the sessions with the primary were cut last
}

// expected is what the primary answers the user who asks to manage members.
func (h *boundHistory) expected() int {
	switch {
	case h.banned:
		return http.StatusForbidden
	case !h.isMember:
		return http.StatusNotFound
	case !h.manages:
		return http.StatusForbidden
	}
	return http.StatusOK
}

// apply lets a change take effect on the primary.
func (h *boundHistory) apply(err error) {
	h.t.Helper()
	require.NoError(h.t, err)
	for _, m := range h.Clerk.Drain() {
		require.Eventually(h.t, func() bool { // a cut session costs a try
			result, err := h.Courier.Send(h.t.Context(), m)
			return err == nil && result.Outcome == svixsim.Delivered
		}, 10*time.Second, time.Millisecond)
	}
	h.Applied(h.t)
	h.all = append(h.all, enforced{h.expected(), time.Now()})
}

// ask requires that an answer is within the bound.
func (h *boundHistory) ask() {
	h.t.Helper()
	asked := time.Now()
	status := h.May(h.t, h.token, h.workspace, "members:manage")
	if status == http.StatusServiceUnavailable && asked.Sub(h.cutAt) < 5*time.Second {
		return
	}
	require.True(h.t, within(h.all, asked, status), "%d isn't among %v, asked at %v", status, h.all, asked)
}

// step takes one random step.
func (h *boundHistory) step(rng *rand.Rand) {
	i := rng.IntN(len(h.replicas))
	switch rng.IntN(10) {
	case 0:
		var err error
		if h.isMember, h.manages = !h.isMember, false; h.isMember {
			_, err = h.Clerk.AddMember(h.workspace, h.user, clerksim.RoleMember)
		} else {
			err = h.Clerk.RemoveMember(h.workspace, h.user)
		}
		h.apply(err)
	case 1:
		if h.isMember {
			h.manages = !h.manages
			_, err := h.Clerk.SetRole(h.workspace, h.user, map[bool]string{true: clerksim.RoleAdmin, false: clerksim.RoleMember}[h.manages])
			h.apply(err)
		}
	case 2:
		var err error
		if h.banned = !h.banned; h.banned {
			_, err = h.Clerk.BanUser(h.user)
		} else {
			_, err = h.Clerk.UnbanUser(h.user)
		}
		h.apply(err)
	case 3:
		for began := time.Now(); time.Since(began) < replicaMaxLag; {
			h.ask()
		}
	case 4:
		h.replicas[i].PauseReplay()
	case 5:
		h.replicas[i].ResumeReplay()
	case 6:
		h.streams[i].Turn([]string{"127.0.0.1:1", h.primary.Addr()}[rng.IntN(2)])
		h.streams[i].Cut()
	case 7:
		h.ways[i].Turn([]string{"127.0.0.1:1", h.replicas[i].Addr()}[rng.IntN(2)])
		h.ways[i].Cut()
	case 8:
		h.cutAt = time.Now()
		h.way.Cut() // sessions are opened again
	}
	h.ask()
}

// TestReplicas_EnforceWithinTheBound: whatever happens to the replicas, removals, new members,
// roles and bans are enforced within the bound.
func TestReplicas_EnforceWithinTheBound(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	r := startReplicated(t, 2)
	workspace, admin, member, messages := servicetest.Team(t, r.Bundle)
	r.Send(t, messages...)
	h := &boundHistory{replicated: r, t: t, workspace: workspace, user: member, token: r.Token(t, member), isMember: true}
	h.all = []enforced{{h.expected(), time.Now()}}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	admins := r.Token(t, admin) // the member may be a stranger by then, who is looked for on the primary
	for range 4 {
		for i, replica := range r.replicas {
			replica.ResumeReplay()
			r.streams[i].Turn(r.primary.Addr())
			r.ways[i].Turn(replica.Addr())
		}
		r.answering(t, admins, workspace)
		for range 25 {
			h.step(rng)
		}
	}
}

// TestReplicas_NobodyAnswersWithoutThePrimary: when the primary is gone, replicas answer as long as
// the bound lasts. Then a read is refused within a second, and says how old the last certain state
// is.
func TestReplicas_NobodyAnswersWithoutThePrimary(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	r := startReplicated(t, 1)
	workspace, admin, _, messages := servicetest.Team(t, r.Bundle)
	r.Send(t, messages...)
	admins := r.Token(t, admin)
	certain := r.answering(t, admins, workspace).Add(-replicaMaxLag)
	killed := time.Now()
	r.primary.Crash()
	for _, path := range []string{"/v1/authorize?permission=reports:read&workspace_id=" + workspace, "/v1/me", "/v1/workspaces/" + workspace + "/members"} {
		require.Eventually(t, func() bool {
			asked := time.Now()
			status, body := r.Get(t, r.Web(path), admins)
			require.Less(t, time.Since(asked), 1500*time.Millisecond, path) // a second, and what the machine adds
			if status == http.StatusOK {
				require.Less(t, asked.Sub(killed), 5*time.Second)
				return false
			}
			require.Equal(t, http.StatusServiceUnavailable, status)
			asOf, err := time.Parse(time.RFC3339Nano, fmt.Sprint(body["as_of"]))
			require.NoError(t, err)
			require.WithinRange(t, asOf, certain, time.Now())
			return true
		}, 10*time.Second, time.Millisecond)
	}
	r.primary.Restart()
	r.answering(t, admins, workspace)
}

// TestReplicas_AtTheStart: a replica may be down, and joins later. What can never be one is
// refused, by doctor, too.
func TestReplicas_AtTheStart(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	r := startReplicated(t, 1)
	workspace, admin, _, messages := servicetest.Team(t, r.Bundle)
	r.Send(t, messages...)
	admins := r.Token(t, admin)
	cfg := r.Config
	r.ways[0].Turn("127.0.0.1:1")
	r.ways[0].Cut()
	r.Restart(t, cfg, config.Parts{Web: true, Workers: true})
	require.Contains(t, r.Log.String(), "the replica can't answer: the primary does until it can")
	require.Equal(t, http.StatusOK, r.May(t, admins, workspace, "reports:read"))
	r.ways[0].Turn(r.replicas[0].Addr())
	r.answering(t, admins, workspace)

	other := pgtest.NewCluster(t, nil)
	otherURL := other.Migrated("rolecall")
	otherReplica := other.Standby()
	r.primary.Exec("", "CREATE DATABASE another")
	r.replicas[0].CatchUp(r.primary)
	for fault, url := range map[string]string{
		"of another cluster":        otherReplica.URL("rolecall"),
		"it leads to the database":  r.replicas[0].URL("another"),
		"there is a pooler between": pgtest.PgBouncer(t, r.replicas[0].URL("rolecall"), pgtest.SessionPooling),
		"the server is of another":  otherURL,
	} {
		cfg.ReplicaURLs = []string{url}
		cfg.ListenAddr, cfg.AdminAddr = "127.0.0.1:0", "127.0.0.1:0"
		_, err := service.Start(t.Context(), cfg, config.Parts{Web: true}, r.Logger)
		require.ErrorContains(t, err, fault)
		require.ErrorContains(t, err, "ROLECALL_REPLICA_DATABASE_URLS")
		found := doctor.Examine(t.Context(), cfg, config.Parts{Web: true}, nil, nil).Checks
		require.True(t, slices.ContainsFunc(found, func(f doctor.Finding) bool {
			return f.State == doctor.VerdictWrong && f.Check == config.ReplicaSetting() && strings.Contains(f.Detail, fault)
		}), "%v", found)
	}
	cfg.ReplicaURLs = []string{r.primary.URL("rolecall")} // as after a failover, if the primary was a replica
	r.Restart(t, cfg, config.Parts{Web: true, Workers: true})
	require.Contains(t, r.Log.String(), "it is a primary, and no replica")
	require.Equal(t, http.StatusOK, r.May(t, admins, workspace, "reports:read"))
	cfg.ReplicaURLs = []string{r.ways[0].URL(r.replicas[0].URL("rolecall"))}
	require.True(t, slices.ContainsFunc(doctor.Examine(context.WithoutCancel(t.Context()), cfg, config.Parts{Web: true}, nil, nil).Checks, func(f doctor.Finding) bool {
		return f.State == doctor.VerdictOK && f.Check == config.ReplicaSetting()
	}))
}
