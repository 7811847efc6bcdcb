-- Identities: who there is, how they prove it, and what their flows leave. Times are
-- microseconds since 1970, 0 is none; texts that name something are UUIDs.
-- +goose Up

-- One row for an identity. Lists that are read and written with it (addresses) are
-- JSON in it; what must be unique stands in identity_name as well.
CREATE TABLE identity (
	network         bigint NOT NULL,
	id              text COLLATE "C" NOT NULL,
	version         bigint NOT NULL,
	schema_id       text COLLATE "C" NOT NULL,
	state           text COLLATE "C" NOT NULL,
	state_changed   bigint NOT NULL,
	traits          text COLLATE "C" NOT NULL,
	metadata_public text COLLATE "C" NOT NULL,
	metadata_admin  text COLLATE "C" NOT NULL,
	external_id     text COLLATE "C" NOT NULL,
	organization_id text COLLATE "C" NOT NULL,
	available_aal   text COLLATE "C" NOT NULL,
	verifiable      text COLLATE "C" NOT NULL,
	recovery        text COLLATE "C" NOT NULL,
	created         bigint NOT NULL,
	updated         bigint NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX identity_by_organization ON identity (network, organization_id, id);

-- What is unique in a network: identifiers of credentials, addresses, external ids.
CREATE TABLE identity_name (
	network  bigint NOT NULL,
	kind     text COLLATE "C" NOT NULL,
	value    text COLLATE "C" NOT NULL,
	identity text COLLATE "C" NOT NULL,
	PRIMARY KEY (network, kind, value)
);
CREATE INDEX identity_name_by_identity ON identity_name (network, identity);

CREATE TABLE identity_credential (
	network     bigint NOT NULL,
	identity    text COLLATE "C" NOT NULL,
	type        text COLLATE "C" NOT NULL,
	config      text COLLATE "C" NOT NULL,
	identifiers text COLLATE "C" NOT NULL,
	version     bigint NOT NULL,
	created     bigint NOT NULL,
	updated     bigint NOT NULL,
	PRIMARY KEY (network, identity, type)
);

-- token is the hash of what the client shows, seen when it was shown last, roughly.
CREATE TABLE identity_session (
	network       bigint NOT NULL,
	id            text COLLATE "C" NOT NULL,
	version       bigint NOT NULL,
	token         bytea NOT NULL,
	identity      text COLLATE "C" NOT NULL,
	active        bigint NOT NULL,
	aal           text COLLATE "C" NOT NULL,
	methods       text COLLATE "C" NOT NULL,
	authenticated bigint NOT NULL,
	issued        bigint NOT NULL,
	expires       bigint NOT NULL,
	seen          bigint NOT NULL,
	devices       text COLLATE "C" NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE UNIQUE INDEX identity_session_by_token ON identity_session (network, token);
CREATE INDEX identity_session_by_identity ON identity_session (network, identity, active, issued, id);
CREATE INDEX identity_session_by_issued ON identity_session (network, issued, id);
CREATE INDEX identity_session_by_expires ON identity_session (network, expires);

-- Sessions that have ended, until others who rely on them know it; session is '' if the
-- identity itself is gone.
CREATE TABLE identity_ended (
	network  bigint NOT NULL,
	identity text COLLATE "C" NOT NULL,
	session  text COLLATE "C" NOT NULL,
	at       bigint NOT NULL,
	PRIMARY KEY (network, identity, session)
);

-- Flows that somebody has submitted; opening one leaves no row.
CREATE TABLE identity_flow (
	network bigint NOT NULL,
	id      text COLLATE "C" NOT NULL,
	version bigint NOT NULL,
	expires bigint NOT NULL,
	data    bytea NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX identity_flow_by_expires ON identity_flow (network, expires);

-- Codes and links that were sent, by their hashes. used is 0 until one is used.
CREATE TABLE identity_code (
	network  bigint NOT NULL,
	id       text COLLATE "C" NOT NULL,
	flow     text COLLATE "C" NOT NULL,
	purpose  text COLLATE "C" NOT NULL,
	hash     bytea NOT NULL,
	identity text COLLATE "C" NOT NULL,
	via      text COLLATE "C" NOT NULL,
	address  text COLLATE "C" NOT NULL,
	issued   bigint NOT NULL,
	expires  bigint NOT NULL,
	used     bigint NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX identity_code_by_flow ON identity_code (network, flow, purpose, hash);
CREATE INDEX identity_code_by_identity ON identity_code (network, identity);
CREATE INDEX identity_code_by_expires ON identity_code (network, expires);

-- How often something was tried: the next try is allowed at at + wait. The row means
-- nothing after until.
CREATE TABLE identity_attempt (
	network bigint NOT NULL,
	key     bytea NOT NULL,
	tries   bigint NOT NULL,
	at      bigint NOT NULL,
	wait    bigint NOT NULL,
	until   bigint NOT NULL,
	PRIMARY KEY (network, key)
);
CREATE INDEX identity_attempt_by_until ON identity_attempt (network, until);

-- The courier's queue, and what was sent.
CREATE TABLE identity_message (
	network    bigint NOT NULL,
	id         text COLLATE "C" NOT NULL,
	status     text COLLATE "C" NOT NULL,
	type       text COLLATE "C" NOT NULL,
	channel    text COLLATE "C" NOT NULL,
	recipient  text COLLATE "C" NOT NULL,
	template   text COLLATE "C" NOT NULL,
	data       text COLLATE "C" NOT NULL,
	send_count bigint NOT NULL,
	dispatches text COLLATE "C" NOT NULL,
	due        bigint NOT NULL,
	created    bigint NOT NULL,
	updated    bigint NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX identity_message_by_due ON identity_message (network, status, due);
CREATE INDEX identity_message_by_created ON identity_message (network, created, id);

-- What happened, in the order of the ids. Rows are only added.
CREATE TABLE identity_event (
	network  bigint NOT NULL,
	id       text COLLATE "C" NOT NULL,
	at       bigint NOT NULL,
	type     text COLLATE "C" NOT NULL,
	identity text COLLATE "C" NOT NULL,
	session  text COLLATE "C" NOT NULL,
	client   text COLLATE "C" NOT NULL,
	detail   text COLLATE "C" NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX identity_event_by_identity ON identity_event (network, identity, id);

-- Groups and organizations: what is known of them beside their members, which are tuples.
CREATE TABLE identity_group (
	network bigint NOT NULL,
	kind    text COLLATE "C" NOT NULL,
	id      text COLLATE "C" NOT NULL,
	version bigint NOT NULL,
	name    text COLLATE "C" NOT NULL,
	label   text COLLATE "C" NOT NULL,
	created bigint NOT NULL,
	updated bigint NOT NULL,
	PRIMARY KEY (network, kind, id)
);
CREATE UNIQUE INDEX identity_group_by_name ON identity_group (network, kind, name);

-- Invitations to groups, by the hashes of what is in their links. used is 0 until one is.
CREATE TABLE identity_invitation (
	network  bigint NOT NULL,
	id       text COLLATE "C" NOT NULL,
	kind     text COLLATE "C" NOT NULL,
	group_id text COLLATE "C" NOT NULL,
	via      text COLLATE "C" NOT NULL,
	address  text COLLATE "C" NOT NULL,
	hash     bytea NOT NULL,
	issued   bigint NOT NULL,
	expires  bigint NOT NULL,
	used     bigint NOT NULL,
	identity text COLLATE "C" NOT NULL,
	PRIMARY KEY (network, id)
);
CREATE INDEX identity_invitation_by_group ON identity_invitation (network, kind, group_id, id);
CREATE INDEX identity_invitation_by_expires ON identity_invitation (network, expires);
