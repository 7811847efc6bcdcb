package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Organization has providers of its own (Provider.Organization), and domains of e-mail
// addresses whose people log in at those, and in no other way.
type Organization struct {
	ID      string   `json:"id"`
	Label   string   `json:"label"`
	Domains []string `json:"domains"`

	// SessionLifespan is how long sessions of its people last; 0: as those of others.
	SessionLifespan Lifespan `json:"session_lifespan"`
}

// A Lifespan is how long something lasts. In JSON it is a text such as 12h.
type Lifespan time.Duration

// UnmarshalJSON reads the text.
func (l *Lifespan) UnmarshalJSON(text []byte) error {
	var written string
	err := json.Unmarshal(text, &written)
	if err == nil {
		var d time.Duration
		if d, err = time.ParseDuration(written); err == nil && d > 0 {
			*l = Lifespan(d)
			return nil
		}
	}
	return fmt.Errorf("expected a duration above 0, such as 1m, got %.40s", text)
}

// lifespan is how long a session of an identity lasts.
func (s *Service) lifespan(i *Identity) time.Duration {
	if org := s.organization(i.OrganizationID); org != nil && org.SessionLifespan > 0 {
		return time.Duration(org.SessionLifespan)
	}
	return s.options.SessionLifespan
}

// validateOrganizations reports all that is wrong with them and their providers.
func (o *OIDCOptions) validateOrganizations() error {
	var bad []error
	domains, ids := map[string]bool{}, map[string]bool{}
	for _, org := range o.Organizations {
		if _, ok := parseUUID(org.ID); !ok || ids[org.ID] {
			bad = append(bad, fmt.Errorf("organization %q: expected a UUID that no other one has, as id", org.ID))
		}
		ids[org.ID] = true
		for _, d := range org.Domains {
			if d == "" || strings.ToLower(d) != d || strings.ContainsAny(d, "@ /") || domains[d] {
				bad = append(bad, fmt.Errorf("organization %q: domain %q: expected one in lower case that no other one has", org.ID, d))
			}
			domains[d] = true
		}
		if !slices.ContainsFunc(o.Providers, func(p Provider) bool { return p.Organization == org.ID }) {
			bad = append(bad, fmt.Errorf("organization %q: expected a provider with its organization_id", org.ID))
		}
	}
	for _, p := range o.Providers {
		if p.Organization != "" && !ids[p.Organization] {
			bad = append(bad, fmt.Errorf("provider %q: there is no organization %q", p.ID, p.Organization))
		}
	}
	return errors.Join(bad...)
}

// organization returns the one with an id, nil if there is none.
func (s *Service) organization(id string) *Organization {
	if s.oidc() == nil || id == "" {
		return nil
	}
	for i := range s.options.OIDC.Organizations {
		if org := &s.options.OIDC.Organizations[i]; org.ID == id {
			return org
		}
	}
	return nil
}

// organizationOf returns the one that an identifier is of by its domain, nil if none.
func (s *Service) organizationOf(identifier string) *Organization {
	at := strings.LastIndexByte(identifier, '@')
	if at < 0 || s.oidc() == nil {
		return nil
	}
	for i := range s.options.OIDC.Organizations {
		if org := &s.options.OIDC.Organizations[i]; org.has(identifier) {
			return org
		}
	}
	return nil
}

// has reports whether an address is of the organization.
func (o *Organization) has(address string) bool {
	address, _ = normalize(address)
	at := strings.LastIndexByte(address, '@')
	return at >= 0 && slices.ContainsFunc(o.Domains, func(domain string) bool { return asciiDomain("@"+domain) == address[at:] })
}

// claimed is the organization whose people must log in another way than the form says.
// It looks at the domain alone, so it tells nothing of accounts.
func (s *Service) claimed(st *Step) *Organization {
	f := st.Flow
	if f.State != Choose || f.requestedAAL() != AAL1 || st.Form.Method() == string(OIDC) || st.Form.Has("provider") {
		return nil // where the address becomes known at the end
	}
	switch f.Kind {
	case Login:
		return s.organizationOf(st.identifier())
	case Registration:
		for _, a := range st.Schema.read(st.Form.traits(st.Schema)).verifiable {
			if org := s.organizationOf(a.Value); org != nil {
				return org
			}
		}
	}
	return nil
}

// route leads to the providers of an organization: to its form, or where there is only
// one at once.
func (s *Service) route(ctx context.Context, st *Step, org *Organization) (Outcome, error) {
	f, o := st.Flow, s.oidc()
	f.Organization = org.ID
	all := o.offered(f)
	if len(all) != 1 || f.API {
		return Again, nil
	}
	f.Active = o.Method()
	return o.leave(ctx, st, all[0])
}

// onlySSO is a hook of logins and recoveries: members of an organization come in by its
// providers alone, whatever else they could prove, unless an administrator lets them.
func (s *Service) onlySSO(_ context.Context, st *Step) error {
	org := s.organization(st.Identity.OrganizationID)
	if st.Flow.Kind == Recovery && st.Flow.Granted == st.Identity.ID {
		return nil
	}
	if org == nil || st.Proof.Organization == org.ID || st.Proof.AAL == AAL2 && st.Proof.Method != string(OIDC) {
		return nil
	}
	return Wrong(textOnlySSO)
}

// member checks that somebody whom a provider of an organization sends is of its
// domains: providers of one must not speak for another.
func (o *oidcStrategy) member(u *upstream, who *account) error {
	org := o.s.organization(u.Organization)
	if org == nil {
		return nil
	}
	text, _ := who.Claims["email"].(string)
	if _, value, ok := addressOf(text); !ok || !org.has(value) {
		return Wrong(textNotMember)
	}
	return nil
}
