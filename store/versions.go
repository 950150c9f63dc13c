package store

import (
	"encoding/json"
	"fmt"

	clerksync "github.com/callmine/rolecall/sync"
)

// A row holds the version of the newest delivery that wrote it. It also holds, by name, the version
// of each field that another delivery wrote. Nearly every delivery writes all fields, so the second
// column is nearly always null.

// packVersions turns the versions of an object's registers into the two columns of its row.
func packVersions(registers []clerksync.Register) (version, fieldVersions json.RawMessage, err error) {
	newest := clerksync.Newest(registers)
	others := map[string]clerksync.Version{}
	for _, r := range registers {
		if *r.Version != newest {
			others[r.Name] = *r.Version
		}
	}
	if version, err = json.Marshal(newest); err != nil {
		return nil, nil, fmt.Errorf("pack version: %w", err)
	}
	if len(others) > 0 {
		if fieldVersions, err = json.Marshal(others); err != nil {
			return nil, nil, fmt.Errorf("pack field versions: %w", err)
		}
	}
	return version, fieldVersions, nil
}

// unpackVersions is the inverse of packVersions.
func unpackVersions(registers []clerksync.Register, version, fieldVersions json.RawMessage) error {
	var newest clerksync.Version
	if err := json.Unmarshal(version, &newest); err != nil {
		return fmt.Errorf("unpack version: %w", err)
	}
	others := map[string]clerksync.Version{}
	if fieldVersions != nil {
		if err := json.Unmarshal(fieldVersions, &others); err != nil {
			return fmt.Errorf("unpack field versions: %w", err)
		}
	}
	for _, r := range registers {
		*r.Version = newest
		if v, ok := others[r.Name]; ok {
			*r.Version = v
		}
	}
	return nil
}

// writtenAt returns the instant of a stored version, in epoch milliseconds: when the object was
// changed or, of an answer of Clerk's, when it was asked for. It is negative if there is none.
func writtenAt(version json.RawMessage) int64 {
	stored := struct {
		Kind       clerksync.Kind `json:"k"`
		UpdatedAt  *int64         `json:"u"`
		OccurredAt *int64         `json:"o"`
	}{}
	if json.Unmarshal(version, &stored) != nil {
		return -1
	}
	at := stored.UpdatedAt
	if stored.Kind == clerksync.KindObserved {
		at = stored.OccurredAt
	}
	if at == nil {
		return -1
	}
	return *at
}
