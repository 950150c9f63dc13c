package pgpool

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// Share is a pool's part of the connections of a process.
type Share struct {
	Name string
	// Least is the smallest size with which the pool works; 0 if the process works without it.
	Least int
	// Usual is the size under the default cap.
	Usual int
}

// Split divides a cap among pools: each gets its least, then all grow alike up to their usual size.
// The rest goes to the pool named extra. Split refuses a cap below the sum of the least.
func Split(limit int, shares []Share, extra string) (map[string]int, error) {
	least, usual := 0, 0
	for _, s := range shares {
		least += s.Least
		usual += s.Usual
	}
	if limit < least {
		return nil, fmt.Errorf("%d connections are too few: this process needs at least %d", limit, least)
	}
	sizes, left := map[string]int{}, min(limit, usual)-least
	for _, s := range shares {
		grown := 0
		if usual > least {
			grown = (s.Usual - s.Least) * (min(limit, usual) - least) / (usual - least)
		}
		sizes[s.Name] = s.Least + grown
		left -= grown
	}
	for left > 0 { // the remainder goes to the pools that are farthest from their usual size
		far := slices.MaxFunc(shares, func(a, b Share) int {
			return (a.Usual-sizes[a.Name])*max(b.Usual, 1) - (b.Usual-sizes[b.Name])*max(a.Usual, 1)
		})
		sizes[far.Name]++
		left--
	}
	sizes[extra] += max(0, limit-usual)
	return sizes, nil
}

// MaxConnsOf returns the size of a pool that a URL names (pool_max_conns); 0 if it names none.
func MaxConnsOf(databaseURL string) (int, error) {
	cfg, err := pgx.ParseConfig(databaseURL) // unlike pgxpool's, it keeps the pool's parameters
	if err != nil {
		return 0, ErrURL
	}
	named, ok := cfg.RuntimeParams["pool_max_conns"]
	if !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(named)
	if err != nil || n < 1 {
		return 0, errors.New("has a pool_max_conns that is no positive number")
	}
	return n, nil
}
