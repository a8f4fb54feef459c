-- Takes the empty schema away again.

DROP FUNCTION store.schema_version();
DROP FUNCTION store.is_blank(text);
DROP FUNCTION store.is_printable(jsonb);
DROP FUNCTION store.is_printable(text);
DROP FUNCTION store.in_scope(bigint, uuid, text, bigint, uuid);
DROP FUNCTION store.line_total(integer, numeric, numeric, text);
DROP FUNCTION store.minor_units(text);
DROP DOMAIN store.amount;
DROP SCHEMA store;
