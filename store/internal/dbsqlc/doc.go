// Package dbsqlc has the queries of package store as Go functions. Each runs one statement of the
// folder queries as it is written there. sqlc writes everything but this file.
package dbsqlc
