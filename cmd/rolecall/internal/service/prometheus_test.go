package service_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestPrometheus_IsConfigured: Prometheus can read its configuration as it stands, and as
// docs/deploy.md changes it for a machine without Compose.
func TestPrometheus_IsConfigured(t *testing.T) {
	t.Parallel()
	const file = "deploy/prometheus/prometheus.yaml"
	promtool(t, "check", "config", servicetest.InRepository(t, file))
	script := regexp.MustCompile(`(?m)^sed '([^']+)' \\\n +` + file).FindStringSubmatch(servicetest.Text(t, "docs/deploy.md"))
	require.NotNil(t, script)
	changed, err := exec.CommandContext(t.Context(), "sed", script[1], servicetest.InRepository(t, file)).Output()
	require.NoError(t, err)
	for _, target := range []string{`"127.0.0.1:9090", "127.0.0.2:9090"`, `"127.0.0.1:9093"`} {
		require.Contains(t, string(changed), target)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), changed, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(rulesFile)), []byte(servicetest.Text(t, rulesFile)), 0o600))
	promtool(t, "check", "config", filepath.Join(dir, "prometheus.yml"))
}

// TestPrometheus_FindsPods: in Kubernetes, it scrapes each pod that serves, at its admin port, in
// the job by which the rules go, and gives it no label that tells two versions apart. Debian's
// Prometheus knows nothing of Kubernetes: the pods come from a list, with the labels of a cluster.
func TestPrometheus_FindsPods(t *testing.T) {
	t.Parallel()
	pgtest.NeedsProgram(t, "promtool")
	discovery := regexp.MustCompile(`(?m)^    kubernetes_sd_configs:\n      - role: pod\n        namespaces: \{names: \[rolecall\]\}\n`)
	text := servicetest.Text(t, "deploy/prometheus/prometheus.kubernetes.yaml")
	require.Regexp(t, discovery, text)
	pods := ""
	for address, labels := range map[string]string{
		"10.0.0.1:9090": `__meta_kubernetes_pod_name: "a", __meta_kubernetes_pod_container_port_name: "admin", __meta_kubernetes_pod_phase: "Running"`,
		"10.0.0.1:8080": `__meta_kubernetes_pod_name: "a", __meta_kubernetes_pod_container_port_name: "web", __meta_kubernetes_pod_phase: "Running"`,
		"10.0.0.2:9090": `__meta_kubernetes_pod_name: "b", __meta_kubernetes_pod_container_port_name: "admin", __meta_kubernetes_pod_phase: "Failed"`,
		"10.0.0.3":      `__meta_kubernetes_pod_name: "migrate", __meta_kubernetes_pod_phase: "Running"`,
	} {
		pods += `      - {targets: ["` + address + `"], labels: {` + labels + `, __meta_kubernetes_pod_node_name: "n", ` +
			`__meta_kubernetes_pod_label_app_kubernetes_io_name: "rolecall", __meta_kubernetes_pod_label_pod_template_hash: "4f"}}` + "\n"
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(file, []byte(discovery.ReplaceAllLiteralString(text, "    static_configs:\n"+pods)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(rulesFile)), []byte(servicetest.Text(t, rulesFile)), 0o600))
	promtool(t, "check", "config", file)
	out, err := exec.CommandContext(t.Context(), "promtool", "check", "service-discovery", "--timeout=10s", file, "rolecall").Output()
	require.NoError(t, err)
	var found []struct {
		Labels map[string]string `json:"labels"`
	}
	require.NoError(t, json.Unmarshal(out, &found), string(out))
	var scraped []map[string]string
	for _, target := range found {
		if len(target.Labels) == 0 {
			continue // dropped
		}
		visible := map[string]string{}
		for name, value := range target.Labels {
			if !regexp.MustCompile(`^__(scheme|metrics_path|scrape_interval|scrape_timeout)__$`).MatchString(name) {
				visible[name] = value
			}
		}
		scraped = append(scraped, visible)
	}
	require.Equal(t, []map[string]string{{
		"__address__": "10.0.0.1:9090", "instance": "10.0.0.1:9090", "job": "rolecall", "pod": "a", "node": "n",
	}}, scraped)
}
