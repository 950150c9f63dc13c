package simulator_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/simulator"
)

// TestWriteEnvironment_EveryReaderReadsTheSame: a shell, a library and Node.
func TestWriteEnvironment_EveryReaderReadsTheSame(t *testing.T) {
	t.Parallel()
	s := start(t, simulator.Config{})
	alone, err := s.Environment()
	require.NoError(t, err)
	cast, err := s.Populate()
	require.NoError(t, err)
	variables, err := s.Environment()
	require.NoError(t, err)
	require.Len(t, variables[len(alone):], len(cast.Workspaces)+2*len(cast.People))
	variables = append(variables, simulator.Variable{Name: "WITH_BLANK", Value: "two words # no comment"})
	wanted := map[string]string{}
	for _, v := range variables {
		wanted[v.Name] = v.Value
	}
	require.Contains(t, wanted["CLERK_JWT_KEY"], "\n")
	require.Equal(t, "1", wanted["CLERK_TELEMETRY_DISABLED"], "the SDKs' reports would leave this machine")

	path := filepath.Join(t.TempDir(), "clerk.env")
	require.NoError(t, os.WriteFile(path, []byte("# Written by rolecall before\nOLD=1"), 0o644))
	require.NoError(t, simulator.WriteEnvironment(path, "a test.", variables))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "even if others could read the old one")
	read, err := godotenv.Read(path)
	require.NoError(t, err)
	require.Equal(t, wanted, read)
	names, err := json.Marshal(slices.Collect(maps.Keys(wanted)))
	require.NoError(t, err)
	for program, args := range map[string][]string{
		"sh":   {"-c", "set -a; . '" + path + "'; exec env -0"},
		"bash": {"-c", "set -a; . '" + path + "'; exec env -0"},
		"dash": {"-c", "set -a; . '" + path + "'; exec env -0"},
		"node": {"--env-file=" + path, "-e", `for (const name of JSON.parse(process.argv[1])) process.stdout.write(name + "=" + process.env[name] + "\0")`, string(names)},
	} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			pgtest.NeedsProgram(t, program)
			if program == "node" {
				pgtest.NeedsNode(t)
			}
			out, err := exec.CommandContext(t.Context(), program, args...).Output()
			require.NoError(t, err)
			for name, value := range wanted {
				require.Contains(t, string(out), name+"="+value+"\x00")
			}
		})
	}
}

// TestWriteEnvironment_LeavesTheOldFileOnAnError, and nothing else.
func TestWriteEnvironment_LeavesTheOldFileOnAnError(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "clerk.env")
	require.NoError(t, simulator.WriteEnvironment(path, "a test.", []simulator.Variable{{Name: "A", Value: "1"}}))
	for _, value := range []string{"it's", `"`, "`id`", "$HOME", `\n`} {
		require.ErrorContains(t, simulator.WriteEnvironment(path, "a test.", []simulator.Variable{{Name: "B", Value: value}}), "the value of B")
	}
	require.NoError(t, os.Mkdir(filepath.Join(folder, "taken"), 0o755))
	require.Error(t, simulator.WriteEnvironment(filepath.Join(folder, "taken"), "a test.", nil))
	require.Error(t, simulator.WriteEnvironment(filepath.Join(folder, "nowhere", "clerk.env"), "a test.", nil))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "# Written by rolecall a test.\nA=1\n", string(text))
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

// TestWriteEnvironment_ReplacesOnlyItsOwn: the real keys in an application's .env are safe, and so
// are devices, folders and what links lead to.
func TestWriteEnvironment_ReplacesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	theirs, link, device := filepath.Join(folder, ".env"), filepath.Join(folder, "link"), filepath.Join(folder, "device")
	const keys = "CLERK_SECRET_KEY=sk_live_the_only_copy\n"
	require.NoError(t, os.WriteFile(theirs, []byte(keys), 0o600))
	require.NoError(t, os.Symlink(theirs, link))
	require.NoError(t, os.Symlink(os.DevNull, device))
	for _, path := range []string{theirs, link, device, folder} {
		require.ErrorContains(t, simulator.WriteEnvironment(path, "a test.", nil), "name another", path)
	}
	text, err := os.ReadFile(theirs)
	require.NoError(t, err)
	require.Equal(t, keys, string(text))
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 3)

	empty := filepath.Join(folder, "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o644))
	for range 2 {
		require.NoError(t, simulator.WriteEnvironment(empty, "a test.", nil))
	}
}

// TestEnvironment_OpensTheAPI, with and without its version in the address.
func TestEnvironment_OpensTheAPI(t *testing.T) {
	t.Parallel()
	s := start(t, simulator.Config{})
	variables, err := s.Environment()
	require.NoError(t, err)
	values := map[string]string{}
	for _, v := range variables {
		values[v.Name] = v.Value
	}
	for _, path := range []string{"/v1/instance", "/instance"} {
		status, answer := call(t, "GET", values["CLERK_API_URL"]+path, "", "Authorization", "Bearer "+values["CLERK_SECRET_KEY"])
		require.Equal(t, 200, status, path)
		require.Equal(t, values["CLERK_INSTANCE_ID"], answer["id"])
	}
	status, _ := call(t, "GET", values["CLERK_JWKS_URL"], "")
	require.Equal(t, 200, status)
	status, _ = call(t, "GET", values["SIMULATOR_URL"]+"/state", "")
	require.Equal(t, 200, status)
	world, err := clerksim.New(clerksim.Config{})
	require.NoError(t, err)
	require.Equal(t, world.PublishableKey(), values["CLERK_PUBLISHABLE_KEY"])
}
