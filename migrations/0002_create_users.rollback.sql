-- Destructive: every user is lost.

DROP FUNCTION store.credentials(text);
DROP TABLE store.users;

CREATE OR REPLACE FUNCTION store.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0001_create_schema';
