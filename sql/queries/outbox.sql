-- Events for other systems. Consumers either compete (claim, acknowledge: each event
-- goes to one of them, again when it does not acknowledge in time), or read in order
-- (read_events: up to the oldest transaction that still runs, so that none that
-- commits late is passed over). A transaction left open in any database of the cluster
-- holds the reader back; and a position (txid, id) means something in this cluster only,
-- so that it does not survive a dump and restore into another one.

-- name: acknowledge_events(ids, claimed_until)!
-- Mark events as dealt with; once is enough. With claimed_until only what this claim still holds.
-- Locks: the events, ascending id, as claim_events does.
WITH open_events AS (
    SELECT
        e.key,
        e.id
    FROM store.outbox AS e
    WHERE
        e.id = ANY(:ids::bigint[])
        AND e.acknowledged_at IS NULL
        /*? claimed_until */ AND e.claimed_until = :claimed_until::timestamptz /*?*/
    ORDER BY e.id ASC
    FOR NO KEY UPDATE OF e
)

UPDATE store.outbox AS o
SET acknowledged_at = now()
FROM open_events AS e
WHERE
    o.key = e.key
    AND o.id = e.id;

-- name: claim_events(batch, seconds)
-- Take the oldest events that nobody has dealt with or is dealing with, for so many seconds.
-- row: ClaimedEvent
-- Locks: the events, skipping those that another consumer takes at this moment.
WITH due AS (
    SELECT
        d.key,
        d.id
    FROM store.outbox AS d
    WHERE
        d.acknowledged_at IS NULL
        AND (d.claimed_until IS NULL OR d.claimed_until <= now())
    ORDER BY d.id ASC
    LIMIT least(:batch::bigint, 1000)
    FOR NO KEY UPDATE OF d SKIP LOCKED
)

UPDATE store.outbox AS o
SET claimed_until = now() + make_interval(secs => :seconds::bigint)
FROM due
WHERE
    o.key = due.key
    AND o.id = due.id
RETURNING o.key, o.id, o.txid::text::bigint AS txid, o.topic, o.payload, o.created_at, o.claimed_until AS "claimed_until!";

-- name: read_events(after_txid, after_id, batch)
-- Return the next events behind a position, in an order in which none can appear before it any more.
-- row: OutboxEvent
SELECT
    o.key,
    o.id,
    o.txid::text::bigint AS txid,
    o.topic,
    o.payload,
    o.created_at
FROM store.outbox AS o
WHERE
    (o.txid, o.id) > (:after_txid::text::xid8, :after_id::bigint)
    AND o.txid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY o.txid ASC, o.id ASC
LIMIT least(:batch::bigint, 1000);
