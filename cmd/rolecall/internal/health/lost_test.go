package health

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
)

func TestTellLost_CountsInWords(t *testing.T) {
	t.Parallel()
	for want, lost := range map[string]store.Lost{
		"1 delivery is missing":                                       {Deliveries: 1},
		"1 command is missing":                                        {Commands: 1},
		"1 entry of a service in the audit log is missing":            {Entries: 1},
		"2 deliveries are missing":                                    {Deliveries: 2},
		"1 delivery, 1 command are missing":                           {Deliveries: 1, Commands: 1},
		"at least 2 entries of services in the audit log are missing": {Entries: 2, More: true},
	} {
		require.Equal(t, want, TellLost(lost))
	}
}
