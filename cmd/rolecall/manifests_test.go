package main

import (
	"maps"
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

	"github.com/callmine/rolecall/api"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/service"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// manifest is a part of the manifests that tests look at. `make manifests` decodes them whole.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Template struct{ Spec podSpec }
	}
}

type podSpec struct {
	TerminationGracePeriodSeconds int `yaml:"terminationGracePeriodSeconds"`
	SecurityContext               struct {
		RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
		RunAsUser      int                   `yaml:"runAsUser"`
		RunAsGroup     int                   `yaml:"runAsGroup"`
		SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Containers []containerSpec
}

type containerSpec struct {
	Args  []string
	Env   []struct{ Name, Value string }
	Ports []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	StartupProbe    probeSpec `yaml:"startupProbe"`
	ReadinessProbe  probeSpec `yaml:"readinessProbe"`
	LivenessProbe   probeSpec `yaml:"livenessProbe"`
	SecurityContext struct {
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Add, Drop []string }
	} `yaml:"securityContext"`
	Resources struct{ Limits map[string]string }
}

type probeSpec struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// manifests reads deploy/kubernetes, by kind and name.
func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	files, err := filepath.Glob(servicetest.InRepository(t, "deploy/kubernetes") + "/*.yaml")
	require.NoError(t, err)
	found := map[string]manifest{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			var m manifest
			require.NoError(t, yaml.Unmarshal([]byte(document), &m), file)
			found[m.Kind+" "+m.Metadata.Name] = m
		}
	}
	return found
}

// settingNames are the names of all settings, and of the files for secrets.
func settingNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for line := range strings.SplitSeq(config.SettingsTable(), "\n") {
		for _, name := range regexp.MustCompile("`([A-Z]+_[A-Z_]+)`").FindAllStringSubmatch(line, -1) {
			names[name[1]] = true
		}
	}
	require.Contains(t, names, "DATABASE_URL_FILE")
	return names
}

// TestManifests_FitTheService: settings exist, probes ask the admin address, and a stop has time.
func TestManifests_FitTheService(t *testing.T) {
	t.Parallel()
	all := manifests(t)
	settings, names := all["ConfigMap rolecall"].Data, settingNames(t)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		require.Contains(t, names, name)
	}
	for _, kind := range []string{"Deployment rolecall", "Job rolecall-migrate"} {
		pod := all[kind].Spec.Template.Spec
		require.Len(t, pod.Containers, 1, kind)
		c := pod.Containers[0]
		for _, variable := range c.Env {
			require.Contains(t, names, variable.Name, kind)
		}
		require.True(t, pod.SecurityContext.RunAsNonRoot)
		require.Equal(t, "RuntimeDefault", pod.SecurityContext.SeccompProfile.Type)
		require.NotNil(t, c.SecurityContext.AllowPrivilegeEscalation)
		require.False(t, *c.SecurityContext.AllowPrivilegeEscalation)
		require.True(t, c.SecurityContext.ReadOnlyRootFilesystem)
		require.Equal(t, []string{"ALL"}, c.SecurityContext.Capabilities.Drop)
		require.Empty(t, c.SecurityContext.Capabilities.Add)
	}
	pod := all["Deployment rolecall"].Spec.Template.Spec
	c := pod.Containers[0]
	require.Equal(t, ":9090", settings["ROLECALL_ADMIN_ADDR"])
	for _, port := range c.Ports {
		require.Equal(t, map[string]int{"web": 8080, "admin": 9090}[port.Name], port.ContainerPort)
	}
	require.Equal(t, []probeSpec{
		{HTTPGet: struct{ Path, Port string }{"/healthz", "admin"}},
		{HTTPGet: struct{ Path, Port string }{"/readyz", "admin"}},
		{HTTPGet: struct{ Path, Port string }{"/healthz", "admin"}},
	}, []probeSpec{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe})
	delay, err := config.ParseDuration(settings["ROLECALL_STOP_DELAY"])
	require.NoError(t, err)
	require.Greater(t, time.Duration(pod.TerminationGracePeriodSeconds)*time.Second, delay+service.StopTimeout)
	require.Equal(t, servicetest.Text(t, "api/policy/policy.yaml"), all["ConfigMap rolecall-policy"].Data["policy.yaml"])
}

// TestCompose_FitsTheService: settings exist, and a stop has time.
func TestCompose_FitsTheService(t *testing.T) {
	t.Parallel()
	var file struct {
		Services map[string]struct {
			Build struct{ Args map[string]string }
			Ports []string
			// EnvFile has settings that this file doesn't name.
			EnvFile []struct {
				Path     string
				Required bool
			} `yaml:"env_file"`
			Environment     map[string]string
			StopGracePeriod string `yaml:"stop_grace_period"`
			ReadOnly        bool   `yaml:"read_only"`
			Healthcheck     struct{ Test []string }
		}
	}
	require.NoError(t, yaml.UnmarshalWithOptions([]byte(servicetest.Text(t, "deploy/compose.yaml")), &file, yaml.AllowDuplicateMapKey()))
	names := settingNames(t)
	for _, service := range []string{"migrate", "rolecall-a", "rolecall-b"} {
		require.NotEmpty(t, file.Services[service].Environment, service)
		for name := range file.Services[service].Environment {
			require.Contains(t, names, name, service)
		}
		require.True(t, file.Services[service].ReadOnly)
	}
	instance := file.Services["rolecall-a"]
	second := file.Services["rolecall-b"]
	second.Ports = instance.Ports
	require.Equal(t, second, instance)
	for name, service := range file.Services {
		for _, port := range service.Ports {
			require.True(t, name == "proxy" || strings.HasPrefix(port, "127.0.0.1:"), "%s faces strangers: %s", name, port)
		}
	}
	for name := range instance.Build.Args {
		require.Contains(t, servicetest.Text(t, "deploy/Containerfile"), "\nARG "+name+"=")
	}
	require.Len(t, instance.EnvFile, 1)
	require.False(t, instance.EnvFile[0].Required)
	for _, ignored := range []string{".gitignore", ".dockerignore"} {
		require.Regexp(t, `(?m)^/?deploy/`+regexp.QuoteMeta(instance.EnvFile[0].Path)+`$`, servicetest.Text(t, ignored))
	}
	for _, setting := range []string{"ROLECALL_SERVICE_TOKEN_HASHES", "ROLECALL_OPERATOR_TOKEN_HASHES"} {
		require.Contains(t, instance.Environment, setting)
	}
	require.Contains(t, file.Services, "alertmanager")
	require.Contains(t, servicetest.Text(t, "deploy/prometheus/prometheus.yaml"), `"alertmanager:9093"`)
	require.Equal(t, []string{"CMD", "/usr/bin/rolecall", "probe"}, instance.Healthcheck.Test)
	delay, err := config.ParseDuration(instance.Environment["ROLECALL_STOP_DELAY"])
	require.NoError(t, err)
	grace, err := time.ParseDuration(instance.StopGracePeriod)
	require.NoError(t, err)
	require.Greater(t, grace, delay+service.StopTimeout)
	for name := range strings.SplitSeq(file.Services["proxy"].Environment["ROLECALL_UPSTREAMS"], " ") {
		require.Contains(t, []string{"rolecall-a:8080", "rolecall-b:8080"}, name)
		require.Contains(t, servicetest.Text(t, "deploy/prometheus/prometheus.yaml"), `"`+strings.Replace(name, "8080", "9090", 1)+`"`)
	}
}

// TestCompose_FindsItsFiles: whoever follows the guide word by word has each file and folder that
// the containers get.
func TestCompose_FindsItsFiles(t *testing.T) {
	t.Parallel()
	guide := regexp.MustCompile(`(?s)\n## Start it with Compose\n.*?\n` + "```sh" + `\n(.*?)\nexport ROLECALL_VERSION=`).FindStringSubmatch(servicetest.Text(t, "docs/deploy.md"))
	require.NotNil(t, guide)
	steps := strings.ReplaceAll(guide[1], "openssl rand -hex 24", "echo 5eed")
	require.NotContains(t, steps, "openssl")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "deploy/prometheus"), os.DirFS(servicetest.InRepository(t, "deploy/prometheus"))))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "deploy/proxy"), os.DirFS(servicetest.InRepository(t, "deploy/proxy"))))
	for file, text := range map[string]string{
		"deploy/compose.env.example":           servicetest.Text(t, "deploy/compose.env.example"),
		"secrets/CLERK_SECRET_KEY":             "sk_test_1",
		"secrets/CLERK_WEBHOOK_SIGNING_SECRET": "whsec_1",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
	}
	follow := exec.CommandContext(t.Context(), "sh", "-euc", steps)
	follow.Dir, follow.Env = dir, append(os.Environ(), "EDITOR=true")
	out, err := follow.CombinedOutput()
	require.NoError(t, err, string(out))
	require.FileExists(t, filepath.Join(dir, "deploy/.env"))
	needed := regexp.MustCompile(`(?:\{file: |["-] ?)\./([^:}"]+)`).FindAllStringSubmatch(servicetest.Text(t, "deploy/compose.yaml"), -1)
	require.Len(t, needed, 8)
	for _, file := range needed {
		_, err := os.Stat(filepath.Join(dir, "deploy", file[1]))
		require.NoError(t, err)
	}
}

// TestIngress_HasItsCertificate: the guide makes the Secret that the Ingress names.
func TestIngress_HasItsCertificate(t *testing.T) {
	t.Parallel()
	found := regexp.MustCompile(`(?m)^ +secretName: (\S+)$`).FindStringSubmatch(servicetest.Text(t, "deploy/kubernetes/ingress.yaml"))
	require.NotNil(t, found)
	require.Contains(t, servicetest.Text(t, "docs/deploy.md"), "kubectl create secret tls "+found[1]+" ")
}

// TestUnit_HasSettingsThatExist, in the unit and in its example of an environment.
func TestUnit_HasSettingsThatExist(t *testing.T) {
	t.Parallel()
	names := settingNames(t)
	used := regexp.MustCompile(`(?m)^(?:Environment=|#?)([A-Z][A-Z_]+)=`).FindAllStringSubmatch(
		servicetest.Text(t, "deploy/systemd/rolecall.service")+servicetest.Text(t, "deploy/systemd/rolecall.env"), -1)
	require.Greater(t, len(used), 8)
	for _, name := range used {
		require.Contains(t, names, name[1])
	}
}

// TestGuide_HandsOverSettingsThatExist: each variable for a file, in the guide.
func TestGuide_HandsOverSettingsThatExist(t *testing.T) {
	t.Parallel()
	names := settingNames(t)
	used := regexp.MustCompile(`\b[A-Z_]+_FILE\b`).FindAllString(servicetest.Text(t, "docs/deploy.md"), -1)
	require.Contains(t, used, "ROLECALL_REPLICA_DATABASE_URLS_FILE")
	for _, name := range used {
		require.Contains(t, names, name)
	}
}

// TestInstancesOfOneMachine_FitTheProxies: both proxies find the two instances of docs/deploy.md,
// and Caddy finds the admin side of each.
func TestInstancesOfOneMachine_FitTheProxies(t *testing.T) {
	t.Parallel()
	var all []string
	for _, where := range []string{"deploy/systemd/rolecall.env", "docs/deploy.md"} {
		var addresses [2]string
		for n, setting := range []string{"LISTEN", "ADMIN"} {
			found := regexp.MustCompile(`ROLECALL_` + setting + `_ADDR=([0-9.]+):(\d+)(?:\\n|\n)`).FindStringSubmatch(servicetest.Text(t, where))
			require.NotNil(t, found, where)
			require.Equal(t, []string{"8080", "9090"}[n], found[2], where)
			addresses[n] = found[1]
		}
		require.Equal(t, addresses[0], addresses[1], "Caddy asks the host of the upstream")
		all = append(all, addresses[0]+":8080")
		require.Contains(t, servicetest.Text(t, "deploy/proxy/nginx.conf"), "server "+addresses[0]+":8080 ")
	}
	require.Contains(t, servicetest.Text(t, "deploy/proxy/Caddyfile"), "health_port 9090\n")
	require.Contains(t, servicetest.Text(t, "docs/deploy.md"), "'"+strings.Join(all, " ")+"'")
}

// TestProxies_CutNoWait: a poll of the change feed may last longer than any other request.
func TestProxies_CutNoWait(t *testing.T) {
	t.Parallel()
	for file, pattern := range map[string]string{
		"deploy/proxy/nginx.conf": `location = /v1/changes \{[^}]*proxy_read_timeout (\w+);`,
		"deploy/proxy/Caddyfile":  `response_header_timeout (\w+) `,
	} {
		found := regexp.MustCompile(pattern).FindStringSubmatch(servicetest.Text(t, file))
		require.NotNil(t, found, file)
		patience, err := time.ParseDuration(found[1])
		require.NoError(t, err)
		require.Greater(t, patience, api.LongestPoll, file)
	}
}

// TestSecretsOfTheGuide_AreIgnored: neither a commit nor the build of an image takes them along.
func TestSecretsOfTheGuide_AreIgnored(t *testing.T) {
	t.Parallel()
	guide := servicetest.Text(t, "docs/deploy.md")
	for _, folder := range []string{"secrets", "deploy/secrets"} {
		require.Contains(t, guide, "mkdir -m 700 "+folder)
		require.Contains(t, servicetest.Text(t, ".gitignore"), "\n/"+folder+"/\n")
		require.Contains(t, servicetest.Text(t, ".dockerignore"), "\n"+folder+"\n")
	}
}
