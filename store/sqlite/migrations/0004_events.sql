-- The log of what happened is only added to, whoever has the connection.
-- +goose Up

-- +goose StatementBegin
CREATE TRIGGER identity_event_kept BEFORE DELETE ON identity_event
BEGIN
	SELECT RAISE(ABORT, 'rows of identity_event are only added');
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER identity_event_unchanged BEFORE UPDATE ON identity_event
BEGIN
	SELECT RAISE(ABORT, 'rows of identity_event are only added');
END;
-- +goose StatementEnd
