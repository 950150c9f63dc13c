package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store/internal/dbsqlc"
	clerksync "github.com/callmine/rolecall/sync"
)

// LockedRow is a row that another transaction has locked.
type LockedRow = dbsqlc.LockedRowsRow

// LockedRows returns, of the rows with the given ids, those that another transaction has locked
// now, each with that transaction. The rows are deliveries, objects of the mirror, and the counts,
// counters and chains of organizations. LockedRows locks the free ones, so the caller rolls tx
// back.
func LockedRows(ctx context.Context, tx pgx.Tx, ids []string) ([]LockedRow, error) {
	rows, err := queries().LockedRows(ctx, tx, ids)
	if err != nil {
		return nil, fmt.Errorf("find locked rows: %w", err)
	}
	return rows, nil
}

// ReadReceived is [LockReceived] without a lock: a worker may have finished any of the deliveries
// meanwhile.
func ReadReceived(ctx context.Context, db DBTX, svixIDs []string) ([]clerksync.Delivery, error) {
	rows, err := queries().ReadReceivedDeliveries(ctx, db, svixIDs)
	if err != nil {
		return nil, fmt.Errorf("read waiting deliveries: %w", err)
	}
	deliveries := make([]clerksync.Delivery, len(rows))
	for i, r := range rows {
		deliveries[i] = received(dbsqlc.LockReceivedDeliveriesRow{
			SvixID: r.SvixID, EventType: r.EventType, InstanceID: r.InstanceID, OccurredAt: r.OccurredAt,
			ReceivedAt: r.ReceivedAt, Body: r.Body,
		})
	}
	return deliveries, nil
}

// received is a delivery that waits to be applied.
func received(r dbsqlc.LockReceivedDeliveriesRow) clerksync.Delivery {
	d := clerksync.Delivery{
		ID: r.SvixID, Type: clerksync.EventType(r.EventType), InstanceID: r.InstanceID,
		OccurredAt: r.OccurredAt.UnixMilli(), ReceivedAt: r.ReceivedAt, WaitsSince: r.WaitsSince, State: clerksync.StateReceived,
	}
	if r.Body != nil {
		d.Body = []byte(*r.Body)
	}
	return d
}

// OrganizationsOfUsers returns the organizations that each user is or was in.
func OrganizationsOfUsers(ctx context.Context, db DBTX, userIDs []string) (map[string][]string, error) {
	rows, err := queries().OrganizationsOfUsers(ctx, db, userIDs)
	if err != nil {
		return nil, fmt.Errorf("read organizations of users: %w", err)
	}
	of := map[string][]string{}
	for _, r := range rows {
		of[r.UserID] = append(of[r.UserID], r.OrganizationID)
	}
	return of, nil
}
