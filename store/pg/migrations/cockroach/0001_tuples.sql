-- Tuples, their history, the models, and the networks that they belong to. Each
-- statement can be repeated, since they do not run in one transaction.
-- +goose NO TRANSACTION
-- +goose Up

-- Every other table is divided by network: nothing crosses. store is the random
-- part of the identity that tokens carry. Revisions before oldest can no longer be
-- read, see also purged.
CREATE TABLE IF NOT EXISTS network (
	id     INT8    NOT NULL PRIMARY KEY,
	name   TEXT    NOT NULL UNIQUE,
	store  BYTES   NOT NULL,
	oldest DECIMAL NOT NULL
);

-- One row per life of a tuple: created is the time of the transaction that added
-- it, removed that of the one that took it away, or the largest number while it
-- lives. The key keeps a living tuple unique and sorts as Tuple.Compare does.
-- There are no partial indexes on the oldest servers, so that of the subject sets
-- has the relation in front, where an empty one is passed over.
CREATE TABLE IF NOT EXISTS tuple (
	network           INT8    NOT NULL,
	namespace         TEXT    NOT NULL,
	object            TEXT    NOT NULL,
	relation          TEXT    NOT NULL,
	subject_namespace TEXT    NOT NULL,
	subject_id        TEXT    NOT NULL,
	subject_relation  TEXT    NOT NULL,
	created           DECIMAL NOT NULL,
	removed           DECIMAL NOT NULL,
	removed_at        TIMESTAMPTZ,
	PRIMARY KEY (network, namespace, object, relation, subject_namespace, subject_id, subject_relation, removed),
	INDEX tuple_by_subject (network, subject_namespace, subject_id, subject_relation, namespace, object, relation, removed) STORING (created),
	INDEX tuple_of_sets (network, namespace, object, relation, subject_relation, subject_namespace, subject_id, removed) STORING (created),
	INDEX tuple_by_created (network, created),
	INDEX tuple_by_removed (network, removed) STORING (created, removed_at)
);

-- The newest transactions after oldest whose removals were purged.
CREATE TABLE IF NOT EXISTS purged (
	network INT8    NOT NULL,
	removed DECIMAL NOT NULL,
	PRIMARY KEY (network, removed)
);

-- revision is the first that shows the model.
CREATE TABLE IF NOT EXISTS model (
	network  INT8        NOT NULL,
	number   INT8        NOT NULL,
	created  DECIMAL     NOT NULL,
	revision TEXT        NOT NULL,
	at       TIMESTAMPTZ NOT NULL,
	source   TEXT        NOT NULL,
	PRIMARY KEY (network, number),
	INDEX model_by_created (network, created)
);

-- What the writes with a key did, so that a repeated one is told the same. hash
-- is of what the write asked for.
CREATE TABLE IF NOT EXISTS request (
	network  INT8        NOT NULL,
	key      BYTES       NOT NULL,
	hash     BYTES       NOT NULL,
	revision TEXT        NOT NULL,
	inserted INT8        NOT NULL,
	deleted  INT8        NOT NULL,
	at       TIMESTAMPTZ NOT NULL,
	PRIMARY KEY (network, key),
	INDEX request_by_at (at)
);

-- One row: how often the database was restored from a copy.
CREATE TABLE IF NOT EXISTS meta (
	one   INT8 NOT NULL PRIMARY KEY,
	epoch INT8 NOT NULL
);
INSERT INTO meta (one, epoch) VALUES (1, 0) ON CONFLICT DO NOTHING;
