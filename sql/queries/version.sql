-- What the schema says of itself.

-- name: schema_version()$
-- Return the newest migration this schema holds.
SELECT store.schema_version() AS schema_version;
