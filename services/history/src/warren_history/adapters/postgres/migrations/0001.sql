-- From nothing to version 1. Times are Unix milliseconds. Once released this file does not change: a new
-- form is a new file. A function that changes gets a new name, as processes of the version before go on
-- calling the old one while an upgrade is under way.

-- A stream that begins anew gets a new id, so whatever its predecessor left behind is out of reach at once
-- and can be removed at leisure. Sessions take ids in advance: gaps do not matter, log records do.
CREATE SEQUENCE warren_history.stream_ids CACHE 1000;

CREATE TABLE warren_history.streams (
    channel text COLLATE "C" PRIMARY KEY,
    id bigint NOT NULL,
    epoch text NOT NULL,
    top bigint NOT NULL,      -- offset of the newest publication; 0 for none
    expires bigint NOT NULL,  -- when the newest publication expires
    dies bigint NOT NULL,     -- when epoch and top are forgotten; never before "expires"
    due bigint NOT NULL       -- when trimming looks whether it has died; never after "dies"
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
-- Of "due", which an append leaves alone, and not of "dies": so appends update streams without touching an
-- index, in the room that the fill factor leaves on the page.
CREATE INDEX streams_by_due ON warren_history.streams (due);

-- "expires" never falls along a stream, whatever becomes of the namespace's history_ttl: so what has
-- expired is always the beginning of a stream, and what is left has no gaps.
CREATE TABLE warren_history.publications (
    stream bigint NOT NULL,
    "offset" bigint NOT NULL,
    "time" bigint NOT NULL,
    expires bigint NOT NULL,
    "binary" boolean NOT NULL,
    data bytea NOT NULL,
    content_type bytea,  -- bytes, as text of PostgreSQL cannot hold a zero byte
    info text,           -- JSON
    tags text,           -- JSON object; NULL for none
    PRIMARY KEY (stream, "offset")
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
        autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX publications_by_expiry ON warren_history.publications (expires);

CREATE TABLE warren_history.message_ids (
    stream bigint NOT NULL,
    message_id bytea NOT NULL,
    "offset" bigint NOT NULL,
    "time" bigint NOT NULL,
    age bigint NOT NULL,  -- the store's age (see clock) when it was stored
    PRIMARY KEY (stream, message_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
        autovacuum_analyze_scale_factor = 0.02);
CREATE INDEX message_ids_by_age ON warren_history.message_ids (age);

-- One row: how long the store has been in use, and when that was last brought up to date.
CREATE TABLE warren_history.clock (age bigint NOT NULL, seen bigint NOT NULL) WITH (fillfactor = 10);
INSERT INTO warren_history.clock (age, seen) VALUES (0, 0);

-- How many rows there are: the sum of these. Several, so that transactions need not wait for one another.
CREATE TABLE warren_history.counts (
    shard integer PRIMARY KEY,
    streams bigint NOT NULL,
    publications bigint NOT NULL,
    message_ids bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO warren_history.counts SELECT shard, 0, 0, 0 FROM generate_series(0, 31) AS shard;


CREATE FUNCTION warren_history.count_1(p_streams bigint, p_publications bigint, p_message_ids bigint)
RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    -- The last thing a transaction locks, so nobody waits for anything while holding it.
    UPDATE warren_history.counts
    SET streams = streams + p_streams,
        publications = publications + p_publications,
        message_ids = message_ids + p_message_ids
    WHERE shard = pg_backend_pid() % 32;
END
$$;


-- What a commit waits for. With p_flush: the disk, as far as the server allows to choose.
CREATE FUNCTION warren_history.begin_1(p_flush boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Each statement must see what was committed before it, above all after it has waited for a lock.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'the isolation level must be read committed';
    END IF;
    IF NOT p_flush THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    ELSIF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END
$$;


-- The store's age. It is written down when it has moved by p_step, by whoever comes first: others do not
-- wait for the row, and reckon from what it says.
CREATE FUNCTION warren_history.age_1(p_clock bigint, p_step bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_clock bigint := coalesce(p_clock, (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
    v_age bigint;
    v_seen bigint;
BEGIN
    SELECT age, seen INTO STRICT v_age, v_seen FROM warren_history.clock;
    IF abs(v_clock - v_seen) >= p_step THEN
        PERFORM FROM warren_history.clock FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            -- As domain.idempotency.aged: time in which nobody used the store does not count.
            UPDATE warren_history.clock
            SET age = age + least(greatest(v_clock - seen, 0), 60000), seen = v_clock
            WHERE abs(v_clock - seen) >= p_step;
            SELECT age, seen INTO STRICT v_age, v_seen FROM warren_history.clock;
        END IF;
    END IF;
    RETURN v_age + least(greatest(v_clock - v_seen, 0), 60000);
END
$$;


-- Appends a batch: the whole transaction, in one call. The arrays up to p_meta_ttls are of channels, in
-- ascending order; those after it of publications, in theirs, p_streams being indices of p_channels. No
-- message id comes twice for a channel.
--
-- Returned are each channel's epoch and the offset its new publications follow on, and, in the arrays
-- known_*, which publications are none as their message id is known. They have data if that is still kept.
CREATE FUNCTION warren_history.append_1(
    p_now bigint, p_clock bigint, p_clock_step bigint, p_window bigint, p_flush boolean, p_surplus bigint,
    p_channels text[], p_epochs text[], p_meta_ttls bigint[],
    p_streams integer[], p_message_ids bytea[], p_item_sizes bigint[], p_item_ttls bigint[],
    p_item_meta_ttls bigint[], p_data bytea[], p_binary boolean[], p_content_types bytea[], p_infos text[],
    p_tags text[],
    OUT epochs text[], OUT tops bigint[],
    OUT known_items bigint[], OUT known_offsets bigint[], OUT known_times bigint[], OUT known_data bytea[],
    OUT known_binary boolean[], OUT known_content_types bytea[], OUT known_infos text[], OUT known_tags text[],
    OUT more_streams bigint, OUT more_publications bigint, OUT more_message_ids bigint
)
LANGUAGE plpgsql
-- Plans are made once, maybe while the tables are empty, and must suit them when they are full: whatever
-- is asked of a table below can only be done row by row through its key, and LIMIT keeps it so.
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_age bigint;
    v_over_ids bigint[];
    v_over_offsets bigint[];
    v_over_limits bigint[];
    v_trimmed bigint;
BEGIN
    PERFORM warren_history.begin_1(p_flush);

    -- Locks the rows of all streams, in the order of their channels, which is everybody's order: who comes
    -- second waits here, and no two wait for one another. A row that is missing is made, a dead one begins
    -- anew; of those that live nothing changes.
    WITH begun AS (
        INSERT INTO warren_history.streams AS stream (channel, id, epoch, top, expires, dies, due)
        SELECT channel, nextval('warren_history.stream_ids'), epoch, 0, 0, p_now + meta_ttl, p_now + meta_ttl
        FROM unnest(p_channels, p_epochs, p_meta_ttls) AS wanted (channel, epoch, meta_ttl)
        ON CONFLICT (channel) DO UPDATE
        SET id = excluded.id, epoch = excluded.epoch, top = 0, expires = 0,
            dies = excluded.dies, due = excluded.due
        WHERE stream.dies <= p_now
        RETURNING xmax = 0 AS new
    )
    SELECT count(*) FILTER (WHERE new) INTO more_streams FROM begun;

    v_age := warren_history.age_1(p_clock, p_clock_step);

    -- From here on nobody else changes these streams; a new statement sees what the last holder left.
    WITH held AS MATERIALIZED (
        SELECT number, stream.*
        FROM unnest(p_channels) WITH ORDINALITY AS wanted (channel, number)
        CROSS JOIN LATERAL (
            SELECT id, channel, epoch, top, expires, dies, due
            FROM warren_history.streams WHERE channel = wanted.channel LIMIT 1
        ) AS stream
    ), item AS MATERIALIZED (
        SELECT given.*, held.id, held.top, held.expires
        FROM unnest(
            p_streams, p_message_ids, p_item_sizes, p_item_ttls, p_item_meta_ttls,
            p_data, p_binary, p_content_types, p_infos, p_tags
        ) WITH ORDINALITY AS given (
            stream, message_id, size, ttl, meta_ttl, data, "binary", content_type, info, tags, number
        )
        JOIN held ON held.number = given.stream
    ), remembered AS MATERIALIZED (
        SELECT item.number, item.id, id_row."offset", id_row."time", id_row.age > v_age - p_window AS known
        FROM item CROSS JOIN LATERAL (
            SELECT "offset", "time", age FROM warren_history.message_ids
            WHERE stream = item.id AND message_id = item.message_id LIMIT 1
        ) AS id_row
        WHERE item.message_id IS NOT NULL
    ), fresh AS MATERIALIZED (
        SELECT item.*,
            item.top + row_number() OVER before AS "offset",
            greatest(item.expires, max(p_now + item.ttl) OVER before) AS expires_now
        FROM item LEFT JOIN remembered ON remembered.number = item.number AND remembered.known
        WHERE remembered.number IS NULL
        WINDOW before AS (PARTITION BY item.stream ORDER BY item.number)
    ), grown AS MATERIALIZED (
        SELECT DISTINCT ON (stream) stream, id, "offset" AS top, expires_now AS expires, size,
            greatest(p_now + meta_ttl, expires_now) AS dies, "offset" - top AS more
        FROM fresh ORDER BY stream, number DESC
    ), stored AS (
        -- What is over the stream's size at once would be trimmed at once.
        INSERT INTO warren_history.publications
            (stream, "offset", "time", expires, "binary", data, content_type, info, tags)
        SELECT fresh.id, fresh."offset", p_now, fresh.expires_now, fresh."binary", fresh.data,
            fresh.content_type, fresh.info, fresh.tags
        FROM fresh JOIN grown USING (stream)
        WHERE fresh."offset" > grown.top - grown.size
        ORDER BY fresh.number
        RETURNING 1
    ), noted AS (
        INSERT INTO warren_history.message_ids AS id_row (stream, message_id, "offset", "time", age)
        SELECT id, message_id, "offset", p_now, v_age FROM fresh WHERE message_id IS NOT NULL
        ON CONFLICT (stream, message_id) DO UPDATE
        SET "offset" = excluded."offset", "time" = excluded."time", age = excluded.age
        RETURNING xmax = 0 AS new
    ), moved AS (
        -- Always a conflict: an UPDATE with a join would leave the planner a choice.
        INSERT INTO warren_history.streams AS stream (channel, id, epoch, top, expires, dies, due)
        SELECT held.channel, held.id, held.epoch, grown.top, grown.expires, grown.dies, held.due
        FROM grown JOIN held ON held.number = grown.stream
        ON CONFLICT (channel) DO UPDATE
        SET top = excluded.top, expires = excluded.expires, dies = excluded.dies,
            due = least(stream.due, excluded.dies)
    ), found AS MATERIALIZED (
        SELECT remembered.number, remembered."offset", remembered."time",
            kept.data, kept."binary", kept.content_type, kept.info, kept.tags
        FROM remembered LEFT JOIN LATERAL (
            SELECT data, "binary", content_type, info, tags FROM warren_history.publications
            WHERE stream = remembered.id AND "offset" = remembered."offset" LIMIT 1
        ) AS kept ON true
        WHERE remembered.known
    )
    SELECT
        (SELECT array_agg(epoch ORDER BY number) FROM held),
        (SELECT array_agg(top ORDER BY number) FROM held),
        all_found.*,
        (SELECT count(*) FROM stored),
        (SELECT count(*) FILTER (WHERE new) FROM noted),
        over_size.*
    INTO epochs, tops,
        known_items, known_offsets, known_times, known_data, known_binary, known_content_types, known_infos, known_tags,
        more_publications, more_message_ids,
        v_over_ids, v_over_offsets, v_over_limits
    FROM (
        SELECT array_agg(number), array_agg("offset"), array_agg("time"), array_agg(data), array_agg("binary"),
            array_agg(content_type), array_agg(info), array_agg(tags)
        FROM found
    ) AS all_found, (
        SELECT array_agg(id), array_agg(top - size), array_agg(more + p_surplus) FROM grown WHERE top > size
    ) AS over_size;

    -- Trimming to size, a bounded part at a time. What expiry is removing just now is left to it.
    DELETE FROM warren_history.publications WHERE ctid = ANY (ARRAY(
        SELECT over.tid FROM unnest(v_over_ids, v_over_offsets, v_over_limits) AS stream (id, last, most)
        CROSS JOIN LATERAL (
            SELECT ctid AS tid FROM warren_history.publications
            WHERE stream = id AND "offset" <= last ORDER BY "offset" LIMIT most FOR UPDATE SKIP LOCKED
        ) AS over
    ));
    GET DIAGNOSTICS v_trimmed = ROW_COUNT;
    more_publications := more_publications - v_trimmed;

    PERFORM warren_history.count_1(more_streams, more_publications, more_message_ids);
END
$$;


-- Begins those streams that do not live, and renews those that do. Returns how many there are more.
CREATE FUNCTION warren_history.open_1(
    p_now bigint, p_flush boolean, p_channels text[], p_epochs text[], p_meta_ttls bigint[]
) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_more bigint;
BEGIN
    PERFORM warren_history.begin_1(p_flush);
    WITH opened AS (
        INSERT INTO warren_history.streams AS stream (channel, id, epoch, top, expires, dies, due)
        SELECT channel, nextval('warren_history.stream_ids'), epoch, 0, 0, p_now + meta_ttl, p_now + meta_ttl
        FROM unnest(p_channels, p_epochs, p_meta_ttls) AS wanted (channel, epoch, meta_ttl)
        ON CONFLICT (channel) DO UPDATE SET
            id = CASE WHEN stream.dies <= p_now THEN excluded.id ELSE stream.id END,
            epoch = CASE WHEN stream.dies <= p_now THEN excluded.epoch ELSE stream.epoch END,
            top = CASE WHEN stream.dies <= p_now THEN 0 ELSE stream.top END,
            expires = CASE WHEN stream.dies <= p_now THEN 0 ELSE stream.expires END,
            dies = CASE WHEN stream.dies <= p_now THEN excluded.dies ELSE greatest(stream.dies, excluded.dies) END,
            due = CASE WHEN stream.dies <= p_now THEN excluded.due ELSE stream.due END
        RETURNING xmax = 0 AS new
    )
    SELECT count(*) FILTER (WHERE new) INTO v_more FROM opened;
    PERFORM warren_history.count_1(v_more, 0, 0);
    RETURN v_more;
END
$$;


-- Reads a page: a row for each publication, or one without if there is none; no row if the stream does not
-- live. One statement, so one snapshot. p_above and p_below are exclusive.
CREATE FUNCTION warren_history.read_1(
    p_now bigint, p_channel text, p_size bigint, p_above bigint, p_below bigint, p_limit bigint,
    p_max_bytes bigint, p_reverse boolean
) RETURNS TABLE (
    epoch text, top bigint, dies bigint, "offset" bigint, "time" bigint, data bytea, "binary" boolean,
    content_type bytea, info text, tags text
)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    -- Rows are weighed before they are fetched: what does not fit is never read.
    IF p_reverse THEN
        RETURN QUERY
        SELECT home.epoch, home.top, home.dies, page."offset", page."time", page.data, page."binary",
            page.content_type, page.info, page.tags
        FROM warren_history.streams AS home LEFT JOIN LATERAL (
            SELECT row.*, sum(octet_length(row.data)) OVER sofar AS bytes, row_number() OVER sofar AS number
            FROM (
                SELECT publications.* FROM warren_history.publications
                WHERE stream = home.id AND "offset" > greatest(p_above, home.top - p_size)
                    AND "offset" < p_below AND expires > p_now
                ORDER BY "offset" DESC LIMIT p_limit
            ) AS row
            WINDOW sofar AS (ORDER BY row."offset" DESC ROWS UNBOUNDED PRECEDING)
        ) AS page ON page.bytes <= p_max_bytes OR page.number = 1
        WHERE home.channel = p_channel AND home.dies > p_now;
    ELSE
        RETURN QUERY
        SELECT home.epoch, home.top, home.dies, page."offset", page."time", page.data, page."binary",
            page.content_type, page.info, page.tags
        FROM warren_history.streams AS home LEFT JOIN LATERAL (
            SELECT row.*, sum(octet_length(row.data)) OVER sofar AS bytes, row_number() OVER sofar AS number
            FROM (
                SELECT publications.* FROM warren_history.publications
                WHERE stream = home.id AND "offset" > greatest(p_above, home.top - p_size)
                    AND "offset" < p_below AND expires > p_now
                ORDER BY "offset" LIMIT p_limit
            ) AS row
            WINDOW sofar AS (ORDER BY row."offset" ROWS UNBOUNDED PRECEDING)
        ) AS page ON page.bytes <= p_max_bytes OR page.number = 1
        WHERE home.channel = p_channel AND home.dies > p_now;
    END IF;
END
$$;


-- Removes a slice of what has expired. One process at a time does it; others return at once. It takes no
-- row that somebody else holds, so nobody waits for anybody, and its commit waits for no disk: what a
-- crash brings back is removed again.
CREATE FUNCTION warren_history.trim_1(
    p_now bigint, p_clock bigint, p_clock_step bigint, p_window bigint, p_limit bigint,
    OUT publications bigint, OUT message_ids bigint, OUT streams bigint, OUT more boolean
)
LANGUAGE plpgsql
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    v_age bigint;
    v_due text[];
BEGIN
    publications := 0; message_ids := 0; streams := 0; more := false;
    PERFORM warren_history.begin_1(false);
    IF NOT pg_try_advisory_xact_lock(hashtext('warren_history'), 2) THEN
        RETURN;
    END IF;
    v_age := warren_history.age_1(p_clock, p_clock_step);

    -- In the order of expiry, then of storing: what goes is always the beginning of a stream.
    DELETE FROM warren_history.publications WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM warren_history.publications WHERE expires <= p_now
        ORDER BY expires, stream, "offset" LIMIT p_limit FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS publications = ROW_COUNT;

    DELETE FROM warren_history.message_ids WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM warren_history.message_ids WHERE age <= v_age - p_window
        ORDER BY age LIMIT p_limit FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS message_ids = ROW_COUNT;

    v_due := ARRAY(
        SELECT channel FROM warren_history.streams WHERE due <= p_now
        ORDER BY due LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    DELETE FROM warren_history.streams WHERE channel = ANY (v_due) AND dies <= p_now;
    GET DIAGNOSTICS streams = ROW_COUNT;
    UPDATE warren_history.streams SET due = dies WHERE channel = ANY (v_due) AND dies > p_now;

    PERFORM warren_history.count_1(-streams, -publications, -message_ids);
    more := p_limit IN (publications, message_ids, cardinality(v_due));
END
$$;
