package service_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
)

const (
	rulesFile     = "deploy/prometheus/rolecall.rules.yaml"
	rulesTests    = "deploy/prometheus/rolecall.rules.test.yaml"
	dashboardFile = "deploy/grafana/rolecall.json"
	watchdog      = "RolecallWatchdog" // the alert that always fires
)

// alertRule is a rule of the documented file.
type alertRule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Annotations map[string]string `yaml:"annotations"`
}

func alertRules(t *testing.T) (rules []alertRule) {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alertRule `yaml:"rules"`
		} `yaml:"groups"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(servicetest.Text(t, rulesFile)), &file))
	for _, group := range file.Groups {
		rules = append(rules, group.Rules...)
	}
	require.NotEmpty(t, rules)
	return rules
}

// dashboard is what the tests look at of Grafana's JSON.
type dashboard struct {
	Panels     []panel `json:"panels"`
	Templating struct {
		List []struct {
			Name  string          `json:"name"`
			Type  string          `json:"type"`
			Query json.RawMessage `json:"query"`
		} `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []struct {
			Datasource datasource `json:"datasource"`
		} `json:"list"`
	} `json:"annotations"`
}

type panel struct {
	ID         int        `json:"id"`
	Type       string     `json:"type"`
	Title      string     `json:"title"`
	Datasource datasource `json:"datasource"`
	GridPos    cells      `json:"gridPos"` //nolint:tagliatelle // Grafana's name
	Targets    []struct {
		RefID      string     `json:"refId"` //nolint:tagliatelle // Grafana's name
		Expr       string     `json:"expr"`
		Datasource datasource `json:"datasource"`
	} `json:"targets"`
}

// cells is where a panel is, on a grid of 24 columns.
type cells struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(servicetest.Text(t, dashboardFile)), &d))
	return d
}

// queries returns the dashboard's queries by their panels. The variables stand for everything.
func (d dashboard) queries(t *testing.T, rateInterval string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			query := strings.NewReplacer("$job", ".+", "$instance", ".+", "$__rate_interval", rateInterval).Replace(target.Expr)
			require.NotContains(t, query, "$", p.Title)
			found[p.Title+" "+target.RefID] = query
		}
	}
	require.NotEmpty(t, found)
	return found
}

// TestDashboard_HasGrafanasShape: panels have ids of their own and don't overlap, and all data come
// from the source that one chooses.
func TestDashboard_HasGrafanasShape(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	chosen := datasource{"prometheus", "${datasource}"}
	ids, titles, taken := map[int]bool{}, map[string]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], "two panels have the id %d", p.ID)
		require.False(t, titles[p.Title], "two panels are called %s", p.Title)
		ids[p.ID], titles[p.Title] = true, true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			require.Less(t, x, 24, p.Title)
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Empty(t, taken[[2]int{x, y}], "%s lies on it", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.Equal(t, chosen, p.Datasource, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			require.Equal(t, chosen, target.Datasource, p.Title)
			require.Contains(t, target.Expr, `{job=~"$job",instance=~"$instance"`, p.Title)
		}
	}
	names := []string{}
	for _, v := range d.Templating.List {
		names = append(names, v.Type+" "+v.Name)
	}
	require.Equal(t, []string{"datasource datasource", "query job", "query instance"}, names)
	for _, a := range d.Annotations.List {
		require.Equal(t, chosen, a.Datasource)
	}
}

// family is a metric as /metrics shows it.
type family struct {
	kind   string
	labels map[string]map[string]bool // the values of each label
}

var (
	typeLine   = regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`)
	sampleLine = regexp.MustCompile(`(?m)^([a-zA-Z_:][\w:]*)\{([^\n]*)\} \S+$`)
	labelPair  = regexp.MustCompile(`([a-zA-Z_]\w*)(=~|!~|!=|=)"([^"]*)"`)
	selector   = regexp.MustCompile(`\b(up|(?:rolecall|go|process|promhttp)_\w+)(?:\{([^}]*)\})?`)
	grouping   = regexp.MustCompile(`\b(?:by|without) \(([^)]*)\)`)
)

// families reads /metrics.
func families(text string) map[string]*family {
	found := map[string]*family{"up": {kind: "gauge"}}
	for _, m := range typeLine.FindAllStringSubmatch(text, -1) {
		found[m[1]] = &family{kind: m[2], labels: map[string]map[string]bool{}}
	}
	for _, m := range sampleLine.FindAllStringSubmatch(text, -1) {
		f := familyOf(found, m[1])
		for _, pair := range labelPair.FindAllStringSubmatch(m[2], -1) {
			if f.labels[pair[1]] == nil {
				f.labels[pair[1]] = map[string]bool{}
			}
			f.labels[pair[1]][pair[3]] = true
		}
	}
	return found
}

// familyOf returns the family of a series, or nil.
func familyOf(known map[string]*family, series string) *family {
	if f := known[series]; f != nil && f.kind != "histogram" {
		return f
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		name, ok := strings.CutSuffix(series, suffix)
		if f := known[name]; ok && f != nil && f.kind == "histogram" {
			return f
		}
	}
	return nil
}

// ofTarget are labels that Prometheus adds.
func ofTarget(label string) bool {
	return slices.Contains([]string{"job", "instance", "pod", "node"}, label)
}

// unknownIn returns what a query names that no process shows: metrics, labels, and values.
func unknownIn(known map[string]*family, query string) (unknown []string) {
	labels := map[string]bool{}
	for _, m := range selector.FindAllStringSubmatch(query, -1) {
		f := familyOf(known, m[1])
		if f == nil {
			unknown = append(unknown, m[1])
			continue
		}
		for label := range f.labels {
			labels[label] = true
		}
		for _, matcher := range labelPair.FindAllStringSubmatch(m[2], -1) {
			label := matcher[1]
			values, shown := f.labels[label]
			switch {
			case ofTarget(label):
				continue
			case !shown:
				unknown = append(unknown, m[1]+"{"+label+"}")
				continue
			case label == "status": // any number may come
				continue
			}
			for value := range strings.SplitSeq(matcher[3], "|") {
				if !anyMatches(values, value) {
					unknown = append(unknown, m[1]+"{"+label+"="+value+"}")
				}
			}
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(m[1], ", ") {
			if !labels[label] && !ofTarget(label) {
				unknown = append(unknown, "label "+label)
			}
		}
	}
	return unknown
}

// anyMatches reports whether one of the values is as a matcher's pattern says. A plain value, as a
// pattern, means itself.
func anyMatches(values map[string]bool, pattern string) bool {
	whole := regexp.MustCompile("^(?:" + pattern + ")$")
	return values[pattern] || slices.ContainsFunc(slices.Collect(maps.Keys(values)), whole.MatchString)
}

// TestUnknownIn finds what doesn't exist.
func TestUnknownIn(t *testing.T) {
	t.Parallel()
	known := families("# TYPE rolecall_x_seconds histogram\n" + `rolecall_x_seconds_bucket{pool="a",le="1"} 3` + "\n# TYPE rolecall_y gauge\nrolecall_y 1\n")
	for query, want := range map[string][]string{
		`sum by (pool, le) (rate(rolecall_x_seconds_bucket{job="x",pool=~"a"}[5m])) + rolecall_y + up`: nil,
		`rolecall_x_seconds`:                  {"rolecall_x_seconds"},
		`rolecall_z`:                          {"rolecall_z"},
		`rolecall_y_count`:                    {"rolecall_y_count"},
		`rolecall_x_seconds_count{pol="a"}`:   {"rolecall_x_seconds_count{pol}"},
		`rolecall_x_seconds_sum{pool!~"a|b"}`: {"rolecall_x_seconds_sum{pool=b}"},
		`sum without (kind) (rolecall_y)`:     {"label kind"},
		`rolecall_x_seconds_sum{pool=~".|b"}`: {"rolecall_x_seconds_sum{pool=b}"},
	} {
		require.Equal(t, want, unknownIn(known, query), query)
	}
}

// usedService starts a service, and uses what the rules and the dashboard look at.
func usedService(t *testing.T) *servicetest.Bundle {
	t.Helper()
	url := pgtest.URL(t)
	b := servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, servicetest.AsksClerk, func(_ *servicetest.Bundle, c *config.Config) {
		c.ReplicaURLs, c.ReplicaMaxLag = []string{"postgres://nobody@127.0.0.1:1/rolecall"}, replicaMaxLag // it is down
	})
	b.Open(t, url)
	useAll(t, b)
	return b
}

func useAll(t *testing.T, b *servicetest.Bundle) {
	t.Helper()
	workspace, admin, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	require.Equal(t, http.StatusOK, b.May(t, b.Token(t, admin), workspace, "reports:read"))
	require.Equal(t, http.StatusNotFound, b.May(t, b.Token(t, admin), "org_unknown", "reports:read"), "Clerk is asked")
	for _, path := range []string{"/v1/forward-auth", "/v1/ext-authz/reports", "/v1/changes", "/openapi.yaml", "/.well-known/authzen-configuration", "/nothing"} {
		b.Get(t, b.Web(path), "")
	}
	for _, path := range []string{"/access/v1/evaluation", "/access/v1/evaluations"} {
		question, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.Web(path), http.NoBody)
		require.NoError(t, err)
		b.Do(t, question, "")
	}
}

// TestAlertsAndDashboard_NameWhatIsThere: each query names metrics, labels and values that a
// process shows.
func TestAlertsAndDashboard_NameWhatIsThere(t *testing.T) {
	t.Parallel()
	b := usedService(t)
	status, text := b.Text(t, "/metrics")
	require.Equal(t, http.StatusOK, status)
	known := families(text)
	for _, rule := range alertRules(t) {
		require.Empty(t, unknownIn(known, rule.Expr), rule.Alert)
	}
	d := readDashboard(t)
	queries := d.queries(t, "1m")
	for name, query := range queries {
		require.Empty(t, unknownIn(known, query), name)
	}
	shown := strings.Join(slices.Collect(maps.Values(queries)), "\n")
	hidden := []string{}
	for name := range known {
		if strings.HasPrefix(name, "rolecall_") && !strings.Contains(shown, name) {
			hidden = append(hidden, name)
		}
	}
	require.Empty(t, hidden, "the dashboard doesn't show them")
	for _, v := range d.Templating.List {
		require.Empty(t, unknownIn(known, string(v.Query)), v.Name)
	}
}

// TestAlerts_AreTestedBothWays: for each alert, there is a moment at which it fires, and one in the
// same world at which it doesn't. What its texts say of labels is there.
func TestAlerts_AreTestedBothWays(t *testing.T) {
	t.Parallel()
	var file struct {
		Tests []struct {
			Name    string `yaml:"name"`
			Moments []struct {
				Expr string `yaml:"expr"`
				Want []struct {
					Labels string  `yaml:"labels"`
					Value  float64 `yaml:"value"`
				} `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		} `yaml:"tests"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(servicetest.Text(t, rulesTests)), &file))
	fires, quiet := map[string]string{}, map[string]bool{} // the labels; whether it was quiet in such a world, too
	for _, world := range file.Tests {
		times := map[string]int{}
		for _, moment := range world.Moments {
			if world.Name == watchdog {
				require.Equal(t, `ALERTS{alertstate="firing"}`, moment.Expr)
			} else {
				require.Equal(t, `ALERTS{alertstate="firing",alertname!="`+watchdog+`"}`, moment.Expr, world.Name)
			}
			for _, sample := range moment.Want {
				require.InDelta(t, 1, sample.Value, 0, world.Name)
				for _, pair := range labelPair.FindAllStringSubmatch(sample.Labels, -1) {
					if pair[1] == "alertname" {
						fires[pair[3]] = sample.Labels
						times[pair[3]]++
					}
				}
			}
		}
		for alert, n := range times {
			quiet[alert] = quiet[alert] || n < len(world.Moments)
		}
	}
	labels := regexp.MustCompile(`\$labels\.(\w+)`)
	for _, rule := range alertRules(t) {
		require.Contains(t, fires, rule.Alert, "no test in which it fires")
		require.Equal(t, rule.Alert != watchdog, quiet[rule.Alert], "%s: no test in which it doesn't fire", rule.Alert)
		for _, annotation := range rule.Annotations {
			for _, label := range labels.FindAllStringSubmatch(annotation, -1) {
				require.Contains(t, fires[rule.Alert], label[1]+`="`, rule.Alert)
			}
		}
	}
}

// promtool runs Prometheus' tool.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	pgtest.NeedsProgram(t, "promtool")
	command := exec.CommandContext(t.Context(), "promtool", args...)
	command.Dir = filepath.Dir(servicetest.InRepository(t, rulesFile))
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
}

// TestAlertsAndDashboard_AreValid: Prometheus can read the rules and each query of the dashboard.
func TestAlertsAndDashboard_AreValid(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", servicetest.InRepository(t, rulesFile))
	var rules strings.Builder
	rules.WriteString("groups:\n- name: queries\n  rules:\n")
	n := 0
	for name, query := range readDashboard(t).queries(t, "1m") {
		n++
		fmt.Fprintf(&rules, "  - {record: 'query_%d', labels: {panel: %q}, expr: '%s'}\n", n, name, query)
	}
	queries := filepath.Join(t.TempDir(), "queries.yaml")
	require.NoError(t, os.WriteFile(queries, []byte(rules.String()), 0o600))
	promtool(t, "check", "rules", queries)
}

// TestAlerts_FireWhenTheyShould runs the documented tests of the rules. It takes some 15 s of
// processor time.
func TestAlerts_FireWhenTheyShould(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	promtool(t, "test", "rules", servicetest.InRepository(t, rulesTests))
}

// TestAlertsAndDashboard_InPrometheus: a real Prometheus scrapes a service, evaluates each rule,
// and answers each query of the dashboard. It takes some 15 s.
func TestAlertsAndDashboard_InPrometheus(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	pgtest.NeedsProgram(t, "prometheus")
	b := usedService(t)
	at := startPrometheus(t, b.Service.AdminAddr)
	var missing []string
	servicetest.Eventually(t, func() bool { // a rate needs several scrapes
		useAll(t, b)
		missing = nil
		for name, query := range readDashboard(t).queries(t, "10s") {
			var answer struct {
				Data struct {
					Result []json.RawMessage `json:"result"`
				} `json:"data"`
			}
			status, text := servicetest.Fetch(t.Context(), b.Client, at+"/api/v1/query?query="+url.QueryEscape(query))
			if status != http.StatusOK || json.Unmarshal([]byte(text), &answer) != nil || len(answer.Data.Result) == 0 {
				missing = append(missing, name+": "+text)
			}
		}
		return len(missing) == 0
	}, "each query has an answer")
	require.Empty(t, missing)

	var rules struct {
		Data struct {
			Groups []struct {
				Rules []struct {
					Name      string `json:"name"`
					Health    string `json:"health"`
					State     string `json:"state"`
					LastError string `json:"lastError"` //nolint:tagliatelle // Prometheus' name
				} `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	servicetest.Eventually(t, func() bool {
		_, text := servicetest.Fetch(t.Context(), b.Client, at+"/api/v1/rules")
		return json.Unmarshal([]byte(text), &rules) == nil && !strings.Contains(text, `"health":"unknown"`) && strings.Contains(text, `"health":"ok"`)
	}, "each rule was evaluated")
	n := 0
	for _, group := range rules.Data.Groups {
		for _, rule := range group.Rules {
			n++
			require.Equal(t, "ok", rule.Health, "%s: %s", rule.Name, rule.LastError)
			require.Equal(t, rule.Name == watchdog, rule.State == "firing", rule.Name)
		}
	}
	require.Len(t, alertRules(t), n)
}

// startPrometheus runs a Prometheus with the documented rules, which scrapes one process very
// often. It returns its address.
func startPrometheus(t *testing.T, target string) string {
	t.Helper()
	dir := t.TempDir()
	configuration := fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [%q]\n"+
		"scrape_configs:\n- job_name: rolecall\n  static_configs: [{targets: [%q]}]\n", servicetest.InRepository(t, rulesFile), target)
	file := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(file, []byte(configuration), 0o600))
	at := servicetest.FreeAddr(t)
	command := exec.CommandContext(t.Context(), "prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+at)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 10 * time.Second
	var said testlog.Lines
	command.Stdout, command.Stderr = &said, &said
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Wait() // ended by us
		if t.Failed() {
			t.Log(said.String())
		}
	})
	servicetest.Eventually(t, func() bool {
		status, _ := servicetest.Fetch(t.Context(), http.DefaultClient, "http://"+at+"/-/ready")
		return status == http.StatusOK
	}, "Prometheus is ready")
	return "http://" + at
}
