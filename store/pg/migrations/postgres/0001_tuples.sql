-- Tuples, their history, the models, and the networks that they belong to.
-- +goose Up

-- Every other table is divided by network: nothing crosses. store is the random
-- part of the identity that tokens carry. Revisions that do not show all
-- transactions up to oldest can no longer be read, see also purged.
CREATE TABLE network (
	id     int   PRIMARY KEY,
	name   text  COLLATE "C" NOT NULL UNIQUE,
	store  bytea NOT NULL,
	oldest xid8  NOT NULL
);

-- One row per life of a tuple: created is the transaction that added it, removed
-- the one that took it away, or the largest number while it lives. The key keeps
-- a living tuple unique and sorts as Tuple.Compare does.
CREATE TABLE tuple (
	network           int  NOT NULL,
	namespace         text COLLATE "C" NOT NULL,
	object            text COLLATE "C" NOT NULL,
	relation          text COLLATE "C" NOT NULL,
	subject_namespace text COLLATE "C" NOT NULL,
	subject_id        text COLLATE "C" NOT NULL,
	subject_relation  text COLLATE "C" NOT NULL,
	created           xid8 NOT NULL,
	removed           xid8 NOT NULL,
	removed_at        timestamptz,
	PRIMARY KEY (network, namespace, object, relation, subject_namespace, subject_id, subject_relation, removed) INCLUDE (created)
);

-- With both transactions, so that reading it needs no look into the table.
CREATE INDEX tuple_by_subject ON tuple
	(network, subject_namespace, subject_id, subject_relation, namespace, object, relation, removed, created);

-- The subject sets alone, which are few in the sets that have many members.
CREATE INDEX tuple_of_sets ON tuple
	(network, namespace, object, relation, subject_relation, subject_namespace, subject_id, removed, created)
	WHERE subject_relation <> '';

-- The log: what came and what went, by transaction.
CREATE INDEX tuple_by_created ON tuple (network, created);
CREATE INDEX tuple_by_removed ON tuple (network, removed) WHERE removed < '18446744073709551615';

-- The newest transactions after oldest whose removals were purged. A revision that
-- does not show all of them can no longer be read.
CREATE TABLE purged (
	network int  NOT NULL,
	removed xid8 NOT NULL,
	PRIMARY KEY (network, removed)
);

-- revision is the first that shows the model.
CREATE TABLE model (
	network  int         NOT NULL,
	number   bigint      NOT NULL,
	created  xid8        NOT NULL,
	revision text        NOT NULL,
	at       timestamptz NOT NULL,
	source   text        NOT NULL,
	PRIMARY KEY (network, number)
);
CREATE INDEX model_by_created ON model (network, created);

-- What the writes with a key did, so that a repeated one is told the same. hash
-- is of what the write asked for.
CREATE TABLE request (
	network  int         NOT NULL,
	key      bytea       NOT NULL,
	hash     bytea       NOT NULL,
	revision text        NOT NULL,
	inserted bigint      NOT NULL,
	deleted  bigint      NOT NULL,
	at       timestamptz NOT NULL,
	PRIMARY KEY (network, key)
);
CREATE INDEX request_by_at ON request (at);

-- One row: how often the database was restored from a copy.
CREATE TABLE meta (
	one   int    PRIMARY KEY CHECK (one = 1),
	epoch bigint NOT NULL
);
INSERT INTO meta (one, epoch) VALUES (1, 0);
