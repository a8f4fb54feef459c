-- Events for other systems, written with the fact they tell.
-- depends: 0009_create_payments

CREATE FUNCTION store.order_payload(order_id bigint, seq integer, status text, total numeric, currency text) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN jsonb_build_object(
        'order_id', order_id,
        'number', store.order_number(order_id),
        'seq', seq,
        'status', status,
        'total', total::text,
        'currency', currency
    );

COMMENT ON FUNCTION store.order_payload(bigint, integer, text, numeric, text) IS 'What an event says of a step of an order: the one place that says so.';

CREATE TABLE store.outbox (
    key bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    topic text COLLATE "C" NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    claimed_until timestamptz,
    acknowledged_at timestamptz,
    CONSTRAINT outbox_pkey PRIMARY KEY (key, id),
    CONSTRAINT outbox_payload_is_object CHECK (jsonb_typeof(payload) = 'object'),
    CONSTRAINT outbox_timestamps_bounded CHECK (
        created_at >= '2000-01-01 00:00:00+00' AND created_at < '2200-01-01 00:00:00+00'
        AND claimed_until >= '2000-01-01 00:00:00+00' AND claimed_until < '2200-01-01 00:00:00+00'
        AND acknowledged_at >= '2000-01-01 00:00:00+00' AND acknowledged_at < '2200-01-01 00:00:00+00'
    ),
    CONSTRAINT outbox_topic_length CHECK (length(topic) BETWEEN 1 AND 100)
) WITH (fillfactor = 80);

CREATE INDEX outbox_acknowledged_at_idx ON store.outbox (acknowledged_at) WHERE acknowledged_at IS NOT NULL;
CREATE INDEX outbox_txid_id_idx ON store.outbox (txid, id);
CREATE INDEX outbox_unacknowledged_idx ON store.outbox (id) WHERE acknowledged_at IS NULL;

COMMENT ON TABLE store.outbox IS 'Events for other systems, in the transaction of the fact they tell.';
COMMENT ON COLUMN store.outbox.key IS 'The order it is about.';
COMMENT ON COLUMN store.outbox.txid IS 'The transaction that wrote it: what is below every running one can be read in order without losing a late committer.';
COMMENT ON COLUMN store.outbox.claimed_until IS 'A consumer has it until then; afterwards the next one may take it.';

REVOKE ALL ON FUNCTION store.order_payload(bigint, integer, text, numeric, text) FROM PUBLIC;

CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0010_create_outbox';
