package engine

import "slices"

// A reach is a program read backwards: which questions may be answered "yes"
// because another one is. It is what lists of objects are found with. Where a
// "yes" does not follow for sure (one arm of an intersection is not enough), what
// is found is only a candidate, and is checked.
type reach struct {
	program *program

	// same has what follows for the same object, and across what follows for the
	// objects that have it in a relation, by the relation or expression that is
	// answered.
	same   map[uint32][]consequence
	across map[uint32][]consequence

	// everywhere has the questions that may be "yes" without any tuple that leads
	// to the subject, because of a negation or a constant.
	everywhere map[id]bool
}

// An id is a relation of a namespace, or an expression in any.
type id struct{ namespace, relation uint32 }

const anyNamespace = never

// A consequence is a question that becomes "yes".
type consequence struct {
	id
	via  uint32 // across: the relation
	sure bool
	rest []ask // what else has to be "yes"
}

// reach returns the reach of p, which is made on first use.
func (p *program) reach() *reach {
	p.backwards.once.Do(func() { p.backwards.reach = newReach(p) })
	return p.backwards.reach
}

func newReach(p *program) *reach {
	r := &reach{
		program: p,
		same:    map[uint32][]consequence{}, across: map[uint32][]consequence{},
		everywhere: map[id]bool{},
	}
	r.findEverywhere()
	r.rules(func(of id, rule *rule) { r.link(of, rule.alts, true) })
	return r
}

// rules calls do for every rule: those of relations, and those of expressions.
func (r *reach) rules(do func(id, *rule)) {
	for number, ns := range r.program.namespaces {
		if ns == nil {
			continue
		}
		for relation, rule := range ns.rules {
			if rule != nil {
				of := id{uint32(number), uint32(relation)}
				do(of, rule)
				expressions(uint32(number), rule.alts, do)
			}
		}
	}
}

// expressions calls do for the expressions in alts of a namespace.
func expressions(namespace uint32, alts []alt, do func(id, *rule)) {
	for _, a := range alts {
		in := namespace
		if a.op == opTraverse {
			in = anyNamespace
		}
		for _, arg := range a.args {
			if arg.relation >= isExpression {
				do(id{in, arg.relation}, arg.rule)
				expressions(in, arg.rule.alts, do)
			}
		}
	}
}

// link notes what the alternatives of a question make follow.
func (r *reach) link(of id, alts []alt, sure bool) {
	for _, a := range alts {
		switch a.op {
		case opAsk:
			from := a.args[0].relation
			r.same[from] = append(r.same[from], consequence{id: of, sure: sure})
		case opTraverse:
			from := a.args[0].relation
			r.across[from] = append(r.across[from], consequence{id: of, via: a.via, sure: sure})
		case opAnd:
			if arm, ok := r.arm(of.namespace, a); ok {
				r.same[a.args[arm].relation] = append(r.same[a.args[arm].relation], consequence{
					id: of, sure: sure, rest: slices.Delete(slices.Clone(a.args), arm, arm+1),
				})
			}
		}
	}
}

// arm chooses the arm of an intersection that leads to candidates.
func (r *reach) arm(namespace uint32, a alt) (int, bool) {
	for i, arg := range a.args {
		if !r.asksEverywhere(namespace, arg.relation) {
			return i, true
		}
	}
	return 0, false
}

// findEverywhere computes the least set that is closed under its rules.
func (r *reach) findEverywhere() {
	for changed := true; changed; {
		changed = false
		r.rules(func(of id, rule *rule) {
			if r.everywhere[of] {
				return
			}
			for _, a := range rule.alts {
				if r.isEverywhere(of.namespace, a) {
					r.everywhere[of], changed = true, true
					return
				}
			}
		})
	}
}

func (r *reach) isEverywhere(namespace uint32, a alt) bool {
	switch a.op {
	case opTrue, opNot:
		return true
	case opAsk:
		return r.asksEverywhere(namespace, a.args[0].relation)
	case opTraverse:
		return r.asksEverywhere(anyNamespace, a.args[0].relation)
	default:
		for _, arg := range a.args {
			if !r.asksEverywhere(namespace, arg.relation) {
				return false
			}
		}
		return true
	}
}

// asksEverywhere is everywhere for a question in a namespace, or in whichever.
func (r *reach) asksEverywhere(namespace, relation uint32) bool {
	if r.everywhere[id{namespace, relation}] || r.everywhere[id{anyNamespace, relation}] {
		return true
	}
	if namespace != anyNamespace {
		return false
	}
	for of := range r.everywhere {
		if of.relation == relation {
			return true
		}
	}
	return false
}
