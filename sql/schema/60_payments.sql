-- Money that moved, or may move, for an order. The amounts of a payment are the
-- sums of its events; the database refuses to capture more than was authorized
-- and to refund more than was captured. Events change under the order's lock,
-- and their idempotency keys are unique an order.

CREATE TABLE store.payments (
    order_id bigint NOT NULL CONSTRAINT payments_order_id_fkey REFERENCES store.orders (id),
    payment_no integer NOT NULL,
    provider text COLLATE "C" NOT NULL,
    provider_ref text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    authorized store.amount NOT NULL,
    captured store.amount NOT NULL DEFAULT 0,
    refunded store.amount NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payments_pkey PRIMARY KEY (order_id, payment_no),
    CONSTRAINT payments_amounts_fit_currency CHECK (
        store.fits_currency(authorized, currency)
        AND store.fits_currency(captured, currency)
        AND store.fits_currency(refunded, currency)
    ),
    CONSTRAINT payments_captured_within_authorized CHECK (captured <= authorized),
    CONSTRAINT payments_currency_is_code CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT payments_payment_no_positive CHECK (payment_no >= 1),
    CONSTRAINT payments_provider_length CHECK (length(provider) BETWEEN 1 AND 64 AND length(provider_ref) BETWEEN 1 AND 255),
    CONSTRAINT payments_provider_printable CHECK (store.is_printable(provider) AND store.is_printable(provider_ref)),
    CONSTRAINT payments_refunded_within_captured CHECK (refunded <= captured),
    CONSTRAINT payments_timestamps_bounded CHECK (
        created_at >= '2000-01-01 00:00:00+00' AND created_at < '2200-01-01 00:00:00+00'
        AND updated_at >= '2000-01-01 00:00:00+00' AND updated_at < '2200-01-01 00:00:00+00'
    )
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX payments_provider_ref_key ON store.payments (provider, provider_ref);

COMMENT ON TABLE store.payments IS 'One authorization at a payment provider, and what became of it.';
COMMENT ON COLUMN store.payments.provider_ref IS 'The name of this payment at the provider, unique there. Never a card number.';
COMMENT ON COLUMN store.payments.authorized IS 'What may be captured in all; voiding lowers it to what was.';

CREATE TABLE store.payment_events (
    order_id bigint NOT NULL,
    seq integer NOT NULL,
    payment_no integer NOT NULL,
    kind text COLLATE "C" NOT NULL,
    amount store.amount NOT NULL,
    authorized store.amount NOT NULL,
    captured store.amount NOT NULL,
    refunded store.amount NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    actor text,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payment_events_pkey PRIMARY KEY (order_id, seq),
    CONSTRAINT payment_events_actor_length CHECK (length(actor) BETWEEN 1 AND 100),
    CONSTRAINT payment_events_actor_printable CHECK (store.is_printable(actor)),
    CONSTRAINT payment_events_amount_positive CHECK (amount > 0),
    CONSTRAINT payment_events_at_bounded CHECK (at >= '2000-01-01 00:00:00+00' AND at < '2200-01-01 00:00:00+00'),
    CONSTRAINT payment_events_idempotency_key_length CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    CONSTRAINT payment_events_idempotency_key_printable CHECK (store.is_printable(idempotency_key)),
    CONSTRAINT payment_events_kind_known CHECK (kind IN ('authorize', 'capture', 'void', 'refund')),
    CONSTRAINT payment_events_payment_fkey FOREIGN KEY (order_id, payment_no)
        REFERENCES store.payments (order_id, payment_no),
    CONSTRAINT payment_events_seq_positive CHECK (seq >= 1)
);

CREATE UNIQUE INDEX payment_events_idempotency_key_key ON store.payment_events (order_id, idempotency_key);

COMMENT ON TABLE store.payment_events IS 'Every movement of money, append-only; a repeated call finds its first answer here.';
COMMENT ON COLUMN store.payment_events.authorized IS 'The payment after this event, as captured and refunded are.';
COMMENT ON COLUMN store.payment_events.idempotency_key IS 'Chosen by the caller: the same key is the same wish.';
