package clerksim_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/gob"
	"encoding/hex"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// TestSigningKeyFromSeed_IsTheSameEverywhere: a token that one process made is valid in the next.
func TestSigningKeyFromSeed_IsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	for seed, want := range map[uint64]string{
		1: "fce00d51570928e99fc46582101e67cdedaedcf00c58b4429d628861c85043de",
		2: "b5c10ce15fae6a03d97f0741922a33bf842f8ee76011375eae03f30f9c35f973",
	} {
		key, err := clerksim.SigningKeyFromSeed(seed)
		require.NoError(t, err)
		require.Equal(t, 2048, key.N.BitLen())
		digest := sha256.Sum256(x509.MarshalPKCS1PrivateKey(key))
		require.Equal(t, want, hex.EncodeToString(digest[:]), "seed %d", seed)
	}
}

// childOutput is set in a second process of this test program, and names the file for its result.
const childOutput = "CLERKSIM_TEST_CHILD_OUTPUT"

// relic is what one process leaves to the next.
type relic struct {
	SecretKey string
	Messages  []clerksim.Message
	Token     string
}

// TestWorld_IsTheSameInTwoProcesses: ids, keys, secrets and messages. The second process takes a
// token of the first.
func TestWorld_IsTheSameInTwoProcesses(t *testing.T) {
	t.Parallel()
	key, err := clerksim.SigningKeyFromSeed(3)
	require.NoError(t, err)
	w, c := newWorld(t, clerksim.Config{Seed: 3, SigningKey: key})
	live(t, w, c)
	made := relic{SecretKey: w.SecretKey(), Messages: w.Drain(), Token: mint(t, w, "user_any", clerksim.TokenOptions{})}
	if output := os.Getenv(childOutput); output != "" {
		file, err := os.Create(output)
		require.NoError(t, err)
		require.NoError(t, gob.NewEncoder(file).Encode(made))
		require.NoError(t, file.Close())
		return
	}
	output := t.TempDir() + "/relic"
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), childOutput+"="+output)
	printed, err := child.CombinedOutput()
	require.NoError(t, err, "%s", printed)
	file, err := os.Open(output)
	require.NoError(t, err)
	var found relic
	require.NoError(t, gob.NewDecoder(file).Decode(&found))
	require.NoError(t, file.Close())
	require.Equal(t, made, found)
	require.Equal(t, "user_any", requireClaims(t, w, found.Token)["sub"])
}
