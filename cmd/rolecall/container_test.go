package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// TestRollingRestart_OfContainers: two containers of the image, behind nginx over TLS, are
// restarted under load. It builds the image with buildah, and takes minutes if Go's cache is cold.
func TestRollingRestart_OfContainers(t *testing.T) {
	servicetest.NeedsSurroundings(t)
	t.Parallel()
	needsRoot(t)
	database := pgtest.NewCluster(t, nil).Migrated("contained")
	r := openRolling(t, database, asContainers)
	r.behindNginx(t)
	r.restartBoth(t, func(int) {})
}

// needsRoot skips a test that makes namespaces and mounts; in CI it fails.
func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		pgtest.Lacks(t, "the right to make namespaces, which root has,")
	}
}

// image is a built image: its files, and what its Containerfile says.
type image struct {
	files string
	OCIv1 struct {
		Config struct {
			User       string   `json:"User"`
			Env        []string `json:"Env"`
			Entrypoint []string `json:"Entrypoint"`
			Cmd        []string `json:"Cmd"`
			StopSignal string   `json:"StopSignal"`
		} `json:"config"`
	} `json:"OCIv1"`
}

// buildImage builds deploy/Containerfile. In place of the image golang, which a registry would
// have, the first stage has this machine's Go, its shell and its certificates.
func buildImage(t *testing.T) image {
	t.Helper()
	buildah := pgtest.FindProgram(t, "buildah")
	storage := t.TempDir()
	do := func(args ...string) string {
		command := exec.CommandContext(t.Context(), buildah, append([]string{
			"--root", filepath.Join(storage, "images"), "--runroot", filepath.Join(storage, "run"), "--storage-driver", "vfs",
		}, args...)...)
		var said strings.Builder
		command.Stderr = &said
		command.Dir = servicetest.InRepository(t, ".")
		out, err := command.Output()
		require.NoError(t, err, "%s\n%s", out, said.String())
		return strings.TrimSpace(string(out))
	}
	base := do("from", "scratch")
	files := do("mount", base)
	for _, folder := range []string{"usr", "etc/ssl/certs", "tmp", "root", "go", "dev", "proc"} {
		require.NoError(t, os.MkdirAll(filepath.Join(files, folder), 0o755))
	}
	for _, link := range []string{"bin", "lib", "lib64"} {
		require.NoError(t, os.Symlink("usr/"+link, filepath.Join(files, link)))
	}
	certificates, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(files, "etc/ssl/certs/ca-certificates.crt"), certificates, 0o644))
	settings := []string{"config", "--env", "PATH=/goroot/bin:/usr/bin", "--env", "GOPATH=/go", "--env", "GOTOOLCHAIN=local"}
	for _, name := range []string{"GOPROXY", "GOSUMDB", "GONOSUMDB"} {
		settings = append(settings, "--env", name+"="+goEnv(t, name))
	}
	do(append(settings, base)...)
	do("commit", "--quiet", base, "localhost/go")
	do("build", "--isolation", "chroot", "--network", "host", "--file", "deploy/Containerfile", "--tag", "localhost/rolecall",
		"--volume", "/usr:/usr:ro", "--volume", goEnv(t, "GOROOT")+":/goroot:ro",
		"--volume", goEnv(t, "GOMODCACHE")+":/go/pkg/mod", "--volume", goEnv(t, "GOCACHE")+":/root/.cache/go-build",
		"--build-arg", "BUILDER=localhost/go", "--build-arg", "VERSION=v1.2.3", ".")
	built := do("from", "localhost/rolecall")
	i := image{files: do("mount", built)}
	require.NoError(t, json.Unmarshal([]byte(do("inspect", built)), &i))
	return i
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// asContainers starts each instance in a container of its own.
func asContainers(t *testing.T, env [2]map[string]string) (instances [2]running) {
	t.Helper()
	i := buildImage(t)
	require.ElementsMatch(t, []string{"/usr/bin/rolecall", "/etc/ssl/certs/ca-certificates.crt"}, filesOf(t, i.files), "no shell, nothing else")
	runc := pgtest.FindProgram(t, "runc")
	for n := range env {
		c := &container{runc: runc, state: t.TempDir(), bundle: t.TempDir(), id: "rolecall-" + strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(n)}
		c.write(t, i, env[n])
		c.start(t, env[n])
		require.Contains(t, c.exec(t, "version"), "v1.2.3")
		instances[n] = c
	}
	return instances
}

func filesOf(t *testing.T, root string) (files []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, strings.TrimPrefix(path, root))
		}
		return err
	}))
	return files
}

// container is an instance under runc.
type container struct {
	*process

	runc, state, bundle, id string
}

// write makes the container's configuration: what the image says, under the limits of the
// Deployment in deploy/kubernetes. The network is this machine's, because Postgres and the proxy
// are there.
func (c *container) write(t *testing.T, i image, env map[string]string) {
	t.Helper()
	pod := manifests(t)["Deployment rolecall"].Spec.Template.Spec
	limits := pod.Containers[0].SecurityContext
	require.Equal(t, "65532:65532", i.OCIv1.Config.User)
	require.Equal(t, "SIGTERM", i.OCIv1.Config.StopSignal)
	require.Equal(t, []string{"serve"}, i.OCIv1.Config.Cmd)
	require.Equal(t, "256Mi", pod.Containers[0].Resources.Limits["memory"])
	variables := slices.Clone(i.OCIv1.Config.Env)
	secrets := t.TempDir()
	for name, value := range env {
		if file := name + "_FILE"; name == "DATABASE_URL" || name == "CLERK_WEBHOOK_SIGNING_SECRET" {
			require.NoError(t, os.WriteFile(filepath.Join(secrets, name), []byte(value+"\n"), 0o444))
			name, value = file, "/run/secrets/rolecall/"+name
		}
		variables = append(variables, name+"="+value)
	}
	none := []string{}
	type object = map[string]any
	spec, err := json.Marshal(object{
		"ociVersion": "1.0.2",
		"process": object{
			"user":            object{"uid": pod.SecurityContext.RunAsUser, "gid": pod.SecurityContext.RunAsGroup},
			"args":            slices.Concat(i.OCIv1.Config.Entrypoint, pod.Containers[0].Args),
			"env":             variables,
			"cwd":             "/",
			"capabilities":    object{"bounding": none, "effective": none, "permitted": none, "ambient": none, "inheritable": none},
			"noNewPrivileges": !*limits.AllowPrivilegeEscalation,
		},
		"root": object{"path": i.files, "readonly": limits.ReadOnlyRootFilesystem},
		"mounts": []object{
			{"destination": "/proc", "type": "proc", "source": "proc"},
			{"destination": "/run/secrets/rolecall", "type": "bind", "source": secrets, "options": []string{"rbind", "ro"}},
		},
		"linux": object{
			"namespaces":    []object{{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}},
			"resources":     object{"memory": object{"limit": 256 << 20}},
			"maskedPaths":   []string{"/proc/kcore", "/proc/keys"},
			"readonlyPaths": []string{"/proc/sys"},
		},
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(c.bundle, "config.json"), spec, 0o600))
}

// start runs the container, and waits until its health check is green.
func (c *container) start(t *testing.T, env map[string]string) {
	t.Helper()
	c.process = startBinary(t, c.runc, nil, "--root", c.state, "run", "--bundle", c.bundle, c.id)
	c.env = env
	t.Cleanup(func() { _ = c.command("delete", "--force", c.id).Run() }) // it may have ended
	c.untilReady(t)
	require.Equal(t, "ok", c.exec(t, "probe"))
}

// exec runs the program in the container, as a health check does.
func (c *container) exec(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.command(append([]string{"exec", c.id, "/usr/bin/rolecall"}, args...)...).CombinedOutput()
	require.NoError(t, err, string(out))
	return strings.TrimSpace(string(out))
}

func (c *container) command(args ...string) *exec.Cmd {
	return exec.Command(c.runc, append([]string{"--root", c.state}, args...)...) // runc ends by itself
}

func (c *container) restart(t *testing.T) {
	t.Helper()
	out, err := c.command("kill", c.id, "TERM").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, exitOK, c.exit(t, 30*time.Second), c.log.String())
	c.start(t, c.env)
}
