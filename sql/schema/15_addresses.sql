-- Where people live. An address book for convenience: an order keeps its own
-- copy, so that moving house changes no invoice.

CREATE TABLE store.addresses (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT addresses_pkey PRIMARY KEY,
    user_id bigint NOT NULL CONSTRAINT addresses_user_id_fkey REFERENCES store.users (id) ON DELETE CASCADE,
    name text NOT NULL,
    line1 text NOT NULL,
    line2 text,
    city text NOT NULL,
    region text,
    postal_code text,
    country text COLLATE "C" NOT NULL,
    phone text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT addresses_country_is_code CHECK (country ~ '^[A-Z]{2}$'),
    CONSTRAINT addresses_lengths CHECK (
        length(name) BETWEEN 1 AND 255
        AND length(line1) BETWEEN 1 AND 255
        AND length(line2) BETWEEN 1 AND 255
        AND length(city) BETWEEN 1 AND 255
        AND length(region) BETWEEN 1 AND 255
        AND length(postal_code) BETWEEN 1 AND 32
        AND length(phone) BETWEEN 1 AND 32
    ),
    CONSTRAINT addresses_texts_not_blank CHECK (
        NOT (
            store.is_blank(name)
            OR store.is_blank(line1)
            OR store.is_blank(line2)
            OR store.is_blank(city)
            OR store.is_blank(region)
            OR store.is_blank(postal_code)
            OR store.is_blank(phone)
        )
    ),
    CONSTRAINT addresses_texts_printable CHECK (
        store.is_printable(name)
        AND store.is_printable(line1)
        AND store.is_printable(line2)
        AND store.is_printable(city)
        AND store.is_printable(region)
        AND store.is_printable(postal_code)
        AND store.is_printable(phone)
    ),
    CONSTRAINT addresses_timestamps_bounded CHECK (
        created_at >= '2000-01-01 00:00:00+00' AND created_at < '2200-01-01 00:00:00+00'
        AND updated_at >= '2000-01-01 00:00:00+00' AND updated_at < '2200-01-01 00:00:00+00'
    )
);

CREATE INDEX addresses_user_id_id_idx ON store.addresses (user_id, id);

COMMENT ON TABLE store.addresses IS 'The address book of a user; orders keep copies of their own.';
COMMENT ON COLUMN store.addresses.country IS 'ISO 3166-1, two letters.';
