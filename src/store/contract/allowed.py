"""
The built-in functions and operators that never make a NULL of values, by name: numbers differ between versions.

`proisstrict` says the opposite thing: what becomes of a NULL. Left out on purpose: `extract` and `date_part` (NULL for a field
of infinity), `to_char` and the cast to `time` (NULL for infinity), `scale` (NULL for NaN), `lower` and `upper` of a range (NULL
for no bound), `substring` by pattern, `array_length` (NULL for an empty array), `->` and `->>`, casts of jsonb (NULL for its
null, since 18).
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


OPERATORS = _words(
    """
    = <> < <= > >= + - * / % ^ || ~ ~* !~ !~* ~~ ~~* !~~ !~~* @> <@ && ? ?| ?& << >> & | -|- &< &> ^@
    """
)
"""Of the schema pg_catalog."""

ALWAYS = _words(
    """
    clock_timestamp() concat(any) daterange(date,date) daterange(date,date,text) gen_random_uuid() int4range(integer,integer)
    int4range(integer,integer,text) int8range(bigint,bigint) int8range(bigint,bigint,text) json_build_array()
    json_build_array(any) json_build_object() json_build_object(any) jsonb_build_array() jsonb_build_array(any)
    jsonb_build_object() jsonb_build_object(any) now() numrange(numeric,numeric) numrange(numeric,numeric,text)
    pg_backend_pid() pg_current_snapshot() pg_current_xact_id() random() statement_timestamp() timeofday()
    transaction_timestamp() txid_current() uuidv4() uuidv7() version()
    """
) | {
    f"{name}(timestamp {zone} time zone,timestamp {zone} time zone{flags})"
    for name, zone in (("tsrange", "without"), ("tstzrange", "with"))
    for flags in ("", ",text")
}
"""Not NULL whatever the arguments are, by signature; none of them called with VARIADIC."""

EXCEPTIONS = frozenset(["path_add"])
"""What stands behind an operator of the list and makes NULL of values: + of closed paths."""

FIRST = frozenset(["concat_ws", "format"])
"""Not NULL where the first argument is not."""

FUNCTIONS = _words(
    """
    abs acos age array_append array_cat array_prepend array_remove array_replace array_reverse array_sort
    array_to_json array_to_string ascii asin atan atan2 bit_count bit_length bool bpchar btrim cardinality casefold
    cbrt ceil ceiling char_length character_length chr convert_from convert_to cos cot currval date date_bin
    date_trunc daterange_subdiff decode degrees div encode exp factorial float4 float8 floor gcd hashtext
    hashtextextended hostmask initcap int2 int4 int8 interval isempty isfinite json_array_length json_typeof
    jsonb_array_length jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_typeof justify_days justify_hours
    justify_interval lcm left length ln log log10 lower_inc lower_inf lpad ltrim make_date make_interval make_time
    make_timestamp make_timestamptz md5 mod name network nextval ntile numeric octet_length pg_snapshot_xmax
    pg_snapshot_xmin pg_try_advisory_lock pg_try_advisory_xact_lock phraseto_tsquery pi plainto_tsquery pow power
    random
    quote_ident quote_literal radians range_merge regexp_count regexp_like regexp_replace repeat replace reverse
    right round row_to_json rpad rtrim setval setweight sha224 sha256 sha384 sha512 sign sin split_part sqrt
    starts_with string_to_array strpos substr tan text timestamp timestamptz timezone to_date to_hex to_json
    to_jsonb to_timestamp to_tsquery to_tsvector translate trim_array trim_scale trunc ts_headline ts_rank
    ts_rank_cd upper_inc upper_inf uuidv7 varchar websearch_to_tsquery width_bucket xid xid8
    """
)
"""Not NULL where no argument is, whatever the types; a cast of jsonb is no cast here."""

SIGNATURES = frozenset(
    [
        "lower(text)",
        "upper(text)",
        "overlay(text,text,integer)",
        "overlay(text,text,integer,integer)",
        "position(text,text)",
        "substring(text,integer)",
        "substring(text,integer,integer)",
    ]
)
"""The same, for names that mean several things."""

ROWS = {
    "generate_series": {1},
    "generate_subscripts": {1},
    "json_array_elements": {1},
    "json_each": {1, 2},
    "json_each_text": {1},
    "json_object_keys": {1},
    "jsonb_array_elements": {1},
    "jsonb_each": {1, 2},
    "jsonb_each_text": {1},
    "jsonb_object_keys": {1},
    "regexp_matches": {1},
    "regexp_split_to_table": {1},
}
"""Functions that return sets: which of their columns are never NULL."""

MATCHES = frozenset(["ts_match_qv", "ts_match_tq", "ts_match_tt", "ts_match_vq"])
"""What stands behind @@ for texts; behind that for JSON paths stands one that is NULL instead of an error."""

COUNTS = frozenset(["count", "regr_count"])
"""Aggregates that say 0 where there is nothing."""

COLLECTORS = frozenset(["array_agg", "json_agg", "json_object_agg", "jsonb_agg", "jsonb_object_agg"])
"""Aggregates that are NULL only where there is no row."""

FOLDS = frozenset(["avg", "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or", "every", "max", "min", "string_agg", "sum"])
"""Aggregates that are NULL only where their first argument is NULL in every row."""

WINDOWS = frozenset(["cume_dist", "dense_rank", "percent_rank", "rank", "row_number"])
"""Window functions that look at no value."""

ENDS = frozenset(["first_value", "last_value"])
"""Window functions that give a value of the frame."""

HARMLESS = frozenset(
    ["clock_timestamp", "gen_random_uuid", "pg_sleep", "random", "random_normal", "timeofday", "uuidv4", "uuidv7"]
)
"""Volatile built-in functions that change nothing."""
