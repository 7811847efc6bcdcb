package people

import (
	"context"
	"fmt"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/script"
)

// Write implements identity.Writer.
func (s *Store) Write(ctx context.Context, ops ...identity.Op) error {
	if len(ops) == 0 {
		return ctx.Err()
	}
	return s.run.Write(ctx, Doing, func(sc *script.Script) { s.Add(sc, ops...) })
}

// Doing is what ops do, as script.Runner wants to know it.
const Doing = "write an identity"

// Add adds ops to a script of the same network.
func (s *Store) Add(sc *script.Script, ops ...identity.Op) {
	for _, op := range ops {
		s.add(sc, op)
	}
}

func (s *Store) add(sc *script.Script, op identity.Op) {
	n := s.run.Network()
	switch op := op.(type) {
	case identity.SaveIdentity:
		s.saveIdentity(sc, op.Identity)
	case identity.DeleteIdentity:
		s.deleteIdentity(sc, op.ID)
	case identity.SaveSession:
		s.saveSession(sc, op.Session)
	case identity.TouchSession:
		sc.Do("UPDATE identity_session SET seen = $3 WHERE network = $1 AND id = $2 AND seen <= $4", n, op.ID, micros(op.SeenAt), micros(op.Before))
	case identity.LimitSessions:
		s.limit(sc, op)
	case identity.RevokeSessions:
		s.revoke(sc, op)
	case identity.NoteEnded:
		e := op.Ended
		sc.Do(`INSERT INTO identity_ended (network, identity, session, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (network, identity, session) DO UPDATE SET at = excluded.at`, n, e.Identity, e.Session, micros(e.At))
	case identity.ForgetEnded:
		for _, e := range op.Ended {
			sc.Do("DELETE FROM identity_ended WHERE network = $1 AND identity = $2 AND session = $3 AND at = $4", n, e.Identity, e.Session, micros(e.At))
		}
	case identity.SaveFlow:
		s.saveFlow(sc, op.Flow)
	case identity.PutCode:
		c := op.Code
		sc.Do(`INSERT INTO identity_code (network, id, flow, purpose, hash, identity, via, address, issued, expires, used)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0)`+unlessAgain(sc),
			n, c.ID, c.Flow, c.Purpose, c.Hash, c.Identity, c.Via, c.Address, micros(c.IssuedAt), micros(c.ExpiresAt))
	case identity.UseCode:
		sc.Must(errs.New(errs.Refused, "the code was used before, or has expired"),
			"UPDATE identity_code SET used = $3 WHERE network = $1 AND id = $2 AND used = 0 AND expires > $3", n, op.ID, micros(op.Now))
	case identity.DropCodes:
		sc.Do("DELETE FROM identity_code WHERE network = $1 AND flow = $2 AND purpose = $3 AND used = 0", n, op.Flow, op.Purpose)
	case identity.PutMessage:
		s.putMessage(sc, op.Message)
	case identity.ReturnMessage:
		s.returnMessage(sc, op)
	case identity.Record:
		e := op.Event
		sc.Do(`INSERT INTO identity_event (network, id, at, type, identity, session, client, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`+unlessAgain(sc),
			n, e.ID, micros(e.At), e.Type, e.Identity, e.Session, e.Client, string(e.Detail))
	case identity.SaveGroup:
		s.saveGroup(sc, op.Group)
	case identity.DeleteGroup:
		s.deleteGroup(sc, op)
	case identity.PutInvitation:
		s.putInvitation(sc, op.Invitation)
	case identity.UseInvitation:
		sc.Must(errs.New(errs.Refused, "the invitation was used before, has expired, or was withdrawn"),
			"UPDATE identity_invitation SET used = $3, identity = $4 WHERE network = $1 AND id = $2 AND used = 0 AND expires > $3", n, op.ID, micros(op.Now), op.Identity)
	case identity.DropInvitation:
		sc.Must(errs.New(errs.NotFound, "there is no invitation %s", op.ID),
			"DELETE FROM identity_invitation WHERE network = $1 AND id = $2 AND kind = $3 AND group_id = $4", n, op.ID, string(op.Kind), op.Group)
	case identity.HoldGroup:
		sc.Must(errs.New(errs.NotFound, "there is no %s %s", op.Kind, op.ID),
			"UPDATE identity_group SET version = version WHERE network = $1 AND kind = $2 AND id = $3", n, string(op.Kind), op.ID)
	case identity.HoldIdentity:
		sc.Must(errs.New(errs.NotFound, "there is no identity %s", op.ID),
			"UPDATE identity SET version = version WHERE network = $1 AND id = $2", n, op.ID)
	case identity.ReturnAttempt:
		const wait = "CASE WHEN tries <= $3 THEN 0 WHEN wait >= $4 THEN wait ELSE wait >> 1 END" // as it was before
		sc.Do("UPDATE identity_attempt SET tries = tries - 1, wait = "+wait+", at = at - "+wait+" WHERE network = $1 AND key = $2 AND tries > 0",
			n, hashed(op.Key), int64(op.Limit.Free), op.Limit.MaxDelay.Microseconds())
	case identity.Forgive:
		for _, key := range op.Keys {
			sc.Do("DELETE FROM identity_attempt WHERE network = $1 AND key = $2", n, hashed(key))
		}
	default:
		panic(fmt.Sprintf("people: an op %T that is not known", op))
	}
}

// unlessAgain lets an insertion of something with a random id find that the script was
// done before.
func unlessAgain(sc *script.Script) string {
	if sc.Again {
		return " ON CONFLICT (network, id) DO NOTHING"
	}
	return ""
}

func (s *Store) saveFlow(sc *script.Script, f identity.StoredFlow) {
	n := s.run.Network()
	conflict := errs.New(errs.Conflict, "flow %s was submitted by another request at the same time", f.ID)
	if f.Version == 0 {
		sc.Must(conflict, "INSERT INTO identity_flow (network, id, version, expires, data) VALUES ($1, $2, 1, $3, $4) ON CONFLICT DO NOTHING",
			n, f.ID, micros(f.ExpiresAt), f.Data)
		return
	}
	sc.Must(conflict, "UPDATE identity_flow SET version = version + 1, expires = $3, data = $4 WHERE network = $1 AND id = $2 AND version = $5",
		n, f.ID, micros(f.ExpiresAt), f.Data, f.Version)
}
