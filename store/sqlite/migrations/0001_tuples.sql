-- Tuples, their history, the models and the identity of the store.
-- +goose Up

-- One row per life of a tuple: created is the revision that added it, removed
-- the one that took it away, or the largest integer while it lives. The key
-- keeps a living tuple unique and the table in the order of Tuple.Compare.
-- Text compares by bytes (the default collation, BINARY).
CREATE TABLE tuple (
	namespace         TEXT    NOT NULL,
	object            TEXT    NOT NULL,
	relation          TEXT    NOT NULL,
	subject_namespace TEXT    NOT NULL,
	subject_id        TEXT    NOT NULL,
	subject_relation  TEXT    NOT NULL,
	created           INTEGER NOT NULL,
	removed           INTEGER NOT NULL,
	PRIMARY KEY (namespace, object, relation, subject_namespace, subject_id, subject_relation, removed)
) WITHOUT ROWID;

-- With the two revisions, so that reading it needs no look into the table.
CREATE INDEX tuple_by_subject ON tuple
	(subject_namespace, subject_id, subject_relation, namespace, object, relation, removed, created);

-- The log: what came and what went, by revision.
CREATE INDEX tuple_by_created ON tuple
	(created, namespace, object, relation, subject_namespace, subject_id, subject_relation);
CREATE INDEX tuple_by_removed ON tuple
	(removed, namespace, object, relation, subject_namespace, subject_id, subject_relation)
	WHERE removed < 9223372036854775807;

-- When each revision was made, in microseconds since 1970, never decreasing, so
-- that a time is found by bisection. An index would cost every commit a page.
CREATE TABLE revision (
	revision INTEGER PRIMARY KEY,
	at       INTEGER NOT NULL
);

CREATE TABLE model (
	number   INTEGER PRIMARY KEY,
	revision INTEGER NOT NULL UNIQUE,
	at       INTEGER NOT NULL,
	source   TEXT    NOT NULL
);

-- One row: who this store is, how often it was restored from a copy, and the
-- oldest revision that can still be read.
CREATE TABLE meta (
	one    INTEGER PRIMARY KEY CHECK (one = 1),
	id     BLOB    NOT NULL,
	epoch  INTEGER NOT NULL,
	oldest INTEGER NOT NULL
);
INSERT INTO meta (one, id, epoch, oldest) VALUES (1, randomblob(16), 0, 0);
