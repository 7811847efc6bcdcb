-- Tuples, their history, the models, and the networks that they belong to.
-- +goose Up

-- Every other table is divided by network: nothing crosses. store is the random
-- part of the identity that tokens carry, oldest the oldest revision that can
-- still be read.
CREATE TABLE network (
	id     INTEGER PRIMARY KEY,
	name   TEXT    NOT NULL UNIQUE,
	store  BLOB    NOT NULL,
	oldest INTEGER NOT NULL
);
INSERT INTO network (name, store, oldest) VALUES ('default', randomblob(16), 0);

-- One row per life of a tuple: created is the revision that added it, removed
-- the one that took it away, or the largest integer while it lives. The key
-- keeps a living tuple unique and the table in the order of Tuple.Compare.
-- Text compares by bytes (the default collation, BINARY).
CREATE TABLE tuple (
	network           INTEGER NOT NULL,
	namespace         TEXT    NOT NULL,
	object            TEXT    NOT NULL,
	relation          TEXT    NOT NULL,
	subject_namespace TEXT    NOT NULL,
	subject_id        TEXT    NOT NULL,
	subject_relation  TEXT    NOT NULL,
	created           INTEGER NOT NULL,
	removed           INTEGER NOT NULL,
	PRIMARY KEY (network, namespace, object, relation, subject_namespace, subject_id, subject_relation, removed)
) WITHOUT ROWID;

-- With the two revisions, so that reading it needs no look into the table.
CREATE INDEX tuple_by_subject ON tuple
	(network, subject_namespace, subject_id, subject_relation, namespace, object, relation, removed, created);

-- The subject sets alone, which are few in the sets that have many members.
CREATE INDEX tuple_of_sets ON tuple
	(network, namespace, object, relation, subject_namespace, subject_id, subject_relation, removed, created)
	WHERE subject_relation <> '';

-- The log: what came and what went, by revision.
CREATE INDEX tuple_by_created ON tuple
	(network, created, namespace, object, relation, subject_namespace, subject_id, subject_relation);
CREATE INDEX tuple_by_removed ON tuple
	(network, removed, namespace, object, relation, subject_namespace, subject_id, subject_relation)
	WHERE removed < 9223372036854775807;

-- When each revision was made, in microseconds since 1970, never decreasing, so
-- that a time is found by bisection. An index would cost every commit a page.
-- The networks share one counter.
CREATE TABLE revision (
	revision INTEGER PRIMARY KEY,
	at       INTEGER NOT NULL
);

CREATE TABLE model (
	network  INTEGER NOT NULL,
	number   INTEGER NOT NULL,
	revision INTEGER NOT NULL,
	at       INTEGER NOT NULL,
	source   TEXT    NOT NULL,
	UNIQUE (network, number),
	UNIQUE (network, revision)
);

-- What the writes with a key did, so that a repeated one is told the same. hash
-- is of what the write asked for.
CREATE TABLE request (
	network  INTEGER NOT NULL,
	key      BLOB    NOT NULL,
	hash     BLOB    NOT NULL,
	revision INTEGER NOT NULL,
	inserted INTEGER NOT NULL,
	deleted  INTEGER NOT NULL,
	at       INTEGER NOT NULL,
	PRIMARY KEY (network, key)
) WITHOUT ROWID;
CREATE INDEX request_by_at ON request (at);

-- One row: how often the file was restored from a copy.
CREATE TABLE meta (
	one   INTEGER PRIMARY KEY CHECK (one = 1),
	epoch INTEGER NOT NULL
);
INSERT INTO meta (one, epoch) VALUES (1, 0);
