package service_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/testlog"
)

const alertmanagerFile = "deploy/prometheus/alertmanager.yaml"

// TestAlertmanager_SendsEachAlertToItsReceiver: somebody hears of each severity, and the watchdog
// goes to whoever calls when it stops.
func TestAlertmanager_SendsEachAlertToItsReceiver(t *testing.T) {
	t.Parallel()
	pgtest.NeedsProgram(t, "amtool")
	file := servicetest.InRepository(t, alertmanagerFile)
	run := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "amtool", args...).Output()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	run("check-config", file)
	for severity, receiver := range map[string]string{"page": "pages", "ticket": "tickets", "info": "weekly"} {
		require.Equal(t, receiver, run("config", "routes", "test", "--config.file="+file, "alertname=RolecallX", "severity="+severity))
	}
	require.Equal(t, "heartbeat", run("config", "routes", "test", "--config.file="+file, "alertname="+watchdog, "severity=info"))
}

// heard is what receivers were told: the alerts, by the paths of the receivers.
type heard struct {
	mu sync.Mutex
	of map[string]map[string]bool
}

// ServeHTTP takes what Alertmanager sends.
func (h *heard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Alerts []struct {
			Labels map[string]string `json:"labels"`
		} `json:"alerts"`
	}
	if json.NewDecoder(r.Body).Decode(&body) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of[r.URL.Path] == nil {
		h.of[r.URL.Path] = map[string]bool{}
	}
	for _, alert := range body.Alerts {
		h.of[r.URL.Path][alert.Labels["alertname"]+" of "+alert.Labels["job"]] = true
	}
}

func (h *heard) has(path, alert string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.of[path][alert]
}

// TestAlertmanager_TellsTheCause: a real Alertmanager sends the alert that names the cause of an
// outage, and not what follows from it. Neither another installation nor the watchdog is silenced.
func TestAlertmanager_TellsTheCause(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	told := heard{of: map[string]map[string]bool{}}
	receiver := httptest.NewServer(&told)
	t.Cleanup(receiver.Close)
	at := startAlertmanager(t, receiver.URL)
	post := func(alerts ...map[string]string) {
		var all []map[string]any
		for _, labels := range alerts {
			all = append(all, map[string]any{"labels": labels})
		}
		body, err := json.Marshal(all)
		require.NoError(t, err)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at+"/api/v2/alerts", bytes.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusOK, answer.StatusCode)
	}
	post(map[string]string{"alertname": "RolecallDatabaseAway", "job": "rolecall", "severity": "page"})
	servicetest.Eventually(t, func() bool { return told.has("/pages", "RolecallDatabaseAway of rolecall") }, "the cause is told")
	post(
		map[string]string{"alertname": "RolecallErrors", "job": "rolecall", "severity": "page"},
		map[string]string{"alertname": "RolecallLag", "job": "rolecall", "severity": "ticket"},
		map[string]string{"alertname": "RolecallErrors", "job": "another", "severity": "page"},
		map[string]string{"alertname": "RolecallSlow", "job": "rolecall", "environment": "another", "severity": "page"},
		map[string]string{"alertname": watchdog, "severity": "info"},
	)
	servicetest.Eventually(t, func() bool { return told.has("/pages", "RolecallErrors of another") }, "another installation is told of")
	servicetest.Eventually(t, func() bool { return told.has("/pages", "RolecallSlow of rolecall") }, "so is one with another environment")
	servicetest.Eventually(t, func() bool { return told.has("/rolecall", watchdog+" of ") }, "the heart beats")
	silenced := map[string]bool{}
	servicetest.Eventually(t, func() bool {
		var alerts []struct {
			Labels map[string]string `json:"labels"`
			Status struct {
				InhibitedBy []string `json:"inhibitedBy"` //nolint:tagliatelle // Alertmanager's name
			} `json:"status"`
		}
		_, text := servicetest.Fetch(t.Context(), http.DefaultClient, at+"/api/v2/alerts")
		if json.Unmarshal([]byte(text), &alerts) != nil {
			return false
		}
		for _, alert := range alerts {
			silenced[alert.Labels["alertname"]+" of "+alert.Labels["job"]] = len(alert.Status.InhibitedBy) > 0
		}
		return silenced["RolecallErrors of rolecall"] && silenced["RolecallLag of rolecall"]
	}, "what follows from it is silenced")
	require.Equal(t, map[string]bool{
		"RolecallDatabaseAway of rolecall": false, "RolecallErrors of rolecall": true, "RolecallLag of rolecall": true,
		"RolecallErrors of another": false, "RolecallSlow of rolecall": false, watchdog + " of ": false,
	}, silenced)
}

// startAlertmanager runs an Alertmanager with the documented file. It sends at once, to a server of
// the test. startAlertmanager returns its address.
func startAlertmanager(t *testing.T, receiver string) string {
	t.Helper()
	program := pgtest.FindProgram(t, "prometheus-alertmanager")
	dir := t.TempDir()
	text := servicetest.Text(t, alertmanagerFile)
	text = regexp.MustCompile(`https://[a-z]+\.example\.com`).ReplaceAllString(text, receiver)
	text = regexp.MustCompile(`group_wait: \w+`).ReplaceAllString(text, "group_wait: 0s")
	require.Equal(t, 4, strings.Count(text, receiver))
	file := filepath.Join(dir, "alertmanager.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	at := servicetest.FreeAddr(t)
	command := exec.CommandContext(t.Context(), program, "--config.file="+file, "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+at, "--cluster.listen-address=")
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
	}, "Alertmanager is ready")
	return "http://" + at
}
