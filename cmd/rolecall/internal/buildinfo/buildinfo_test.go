package buildinfo

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInfo_IsWhatTheBuildStamped(t *testing.T) {
	t.Parallel()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	stamped := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	of, changed := debug.BuildSetting{Key: "vcs.revision", Value: commit}, debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	about := runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH + ")"
	for name, test := range map[string]struct {
		module            *debug.BuildInfo
		version, revision string
		want              string
	}{
		"a tag":                  {stamped("v1.2.3", of), "", "", "v1.2.3 (commit 0123456789ab, " + about},
		"changed":                {stamped("v1.2.3+dirty", of, changed), "", "", "v1.2.3+dirty (commit 0123456789ab, changed since, " + about},
		"go install of a tag":    {stamped("v1.2.3"), "", "", "v1.2.3 (" + about},
		"without a history":      {stamped("(devel)"), "", "", "devel (" + about},
		"set by the linker":      {stamped("(devel)"), "v1.2.3", "abc", "v1.2.3 (commit abc, " + about},
		"both":                   {stamped("v1.0.0", of), "v1.2.3", "abc", "v1.2.3 (commit abc, " + about},
		"another build system's": {nil, "", "", "devel (" + about},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, read(test.module, test.version, test.revision).String())
		})
	}
}

// TestInfo_OfRealBuilds: in a clone, at a tag, with a change, of an archive, and of a module.
func TestInfo_OfRealBuilds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source, err := os.ReadFile("buildinfo.go")
	require.NoError(t, err)
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	write("go.mod", "module example.com/sample\n\ngo 1.26.0\n")
	write("buildinfo/buildinfo.go", string(source))
	write("main.go", "package main\n\nimport \"example.com/sample/buildinfo\"\n\nfunc main() { println(buildinfo.Read().String()) }\n")
	environment := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") }) // a hook of git names its repository there
	environment = append(environment, "GOFLAGS=-buildvcs=true", "GOWORK=off", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir, cmd.Env = dir, environment
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	built := func(args ...string) string {
		t.Helper()
		run("go", append([]string{"build", "-o", "bin/sample"}, args...)...)
		return run("bin/sample")
	}
	require.Regexp(t, `^devel \(go`, built(), "no clone")
	require.Regexp(t, `^v7.0.0 \(commit abc, go`, built("-ldflags", "-X example.com/sample/buildinfo.version=v7.0.0 -X example.com/sample/buildinfo.revision=abc"))
	write(".gitignore", "bin\n")
	run("git", "init", "-q")
	run("git", "add", ".")
	commit := func() string {
		run("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "c")
		return run("git", "rev-parse", "--short=12", "HEAD")
	}
	first := commit()
	require.Regexp(t, `^v0\.0\.0-[0-9]{14}-`+first+` \(commit `+first+`, go`, built())
	run("git", "tag", "v0.1.0")
	require.Regexp(t, `^v0\.1\.0 \(commit `+first+`, go`, built())
	write("new.txt", "x")
	require.Regexp(t, `^v0\.1\.0\+dirty \(commit `+first+`, changed since, go`, built())
	run("git", "add", ".")
	second := commit()
	require.Regexp(t, `^v0\.1\.1-0\.[0-9]{14}-`+second+` \(commit `+second+`, go`, built())
}
