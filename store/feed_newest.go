package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
)

// BeforeNewest returns the place before the newest changes that a query selects, as many as it has
// on a page. Its place doesn't count.
func BeforeNewest(ctx context.Context, tx DBTX, q FeedQuery) (FeedPlace, error) {
	q.After, q.Latest = FeedPlace{}, true
	page, err := ReadFeed(ctx, tx, q)
	if err != nil {
		return FeedPlace{}, err
	}
	var row dbsqlc.NewestOfAllRow
	if q.OrganizationIDs == nil {
		row, err = queries().NewestOfAll(ctx, tx, pageSize(q.Limit))
	} else {
		var one dbsqlc.NewestOfRow
		one, err = queries().NewestOf(ctx, tx, dbsqlc.NewestOfParams{
			OrganizationIds: append([]string{allOrganizations}, q.OrganizationIDs...), Newest: pageSize(q.Limit),
		})
		row = dbsqlc.NewestOfAllRow(one)
	}
	if errors.Is(err, pgx.ErrNoRows) { // there are no more than these
		return FeedPlace{}, nil
	}
	if err != nil {
		return FeedPlace{}, fmt.Errorf("find the newest changes: %w", err)
	}
	place := page.Next
	place.Number, place.PublishedAt = row.Number, row.PublishedAt.UTC()
	return place, nil
}
