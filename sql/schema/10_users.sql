-- A user is a person who can log in. The e-mail address is stored in its
-- canonical form (NFKC, ASCII, lower case), so equality is identity. The
-- password hash never leaves through SELECT: store.credentials() is its one door.

CREATE TABLE store.users (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT users_pkey PRIMARY KEY,
    username text COLLATE "C" NOT NULL,
    email text COLLATE "C" NOT NULL,
    password_hash text COLLATE "C" NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_email_canonical CHECK (email ~ '^[!-?\[-~]+@[a-z0-9-]+(\.[a-z0-9-]+)*$'),
    CONSTRAINT users_email_length CHECK (length(email) BETWEEN 3 AND 254),
    CONSTRAINT users_password_hash_is_hash CHECK (
        password_hash ~ '^\$[a-z0-9-]+\$[!-~]+$' AND length(password_hash) BETWEEN 20 AND 512
    ),
    CONSTRAINT users_timestamps_bounded CHECK (
        created_at >= '2000-01-01 00:00:00+00' AND created_at < '2200-01-01 00:00:00+00'
        AND updated_at >= '2000-01-01 00:00:00+00' AND updated_at < '2200-01-01 00:00:00+00'
    ),
    CONSTRAINT users_username_characters CHECK (username ~ '^[A-Za-z0-9][A-Za-z0-9._-]*$'),
    CONSTRAINT users_username_length CHECK (length(username) BETWEEN 3 AND 64)
) WITH (fillfactor = 90);

CREATE UNIQUE INDEX users_email_key ON store.users (email);
CREATE UNIQUE INDEX users_username_key ON store.users (lower(username));

COMMENT ON TABLE store.users IS 'People who can log in.';
COMMENT ON COLUMN store.users.username IS 'ASCII letters, digits, dot, underscore, dash; unique without regard to case.';
COMMENT ON COLUMN store.users.email IS 'Canonical: NFKC, ASCII, lower case; a domain outside ASCII in its xn-- form.';
COMMENT ON COLUMN store.users.password_hash IS 'A hash in the $name$… notation; a plain password is refused. Readable only through store.credentials().';
COMMENT ON COLUMN store.users.is_active IS 'False: may not log in. The row and its history stay.';

-- SECURITY DEFINER, because no role may SELECT the column itself.
CREATE FUNCTION store.credentials(login text) RETURNS TABLE (user_id bigint, password_hash text)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 1
    SET search_path = pg_catalog, store, pg_temp
    AS $$
        SELECT u.id, u.password_hash
        FROM store.users AS u
        WHERE u.email = lower(login COLLATE "C")
            OR lower(u.username) = lower(login COLLATE "C");
    $$;

COMMENT ON FUNCTION store.credentials(text) IS 'The one reader of password hashes: whose login (user name or e-mail address) this is, and the hash to verify.';

REVOKE ALL ON FUNCTION store.credentials(text) FROM PUBLIC;
