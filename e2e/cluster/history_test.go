package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// A register is a document that one of many users may view: value v is that user
// v may. Every value is written once at most, so a value says which write it is
// of. The state of the model is all values that the register had, in their order.

const nothing = -1 // the value of a register before its first write

type opKind uint8

const (
	opSet     opKind = iota // made it value, whatever it was
	opSwap                  // made it value; it was before
	opFully                 // read value, fully consistent
	opAsFresh               // read value with a token that shows before
	opExactly               // read value at the token of the write of before
	opTorn                  // read something that no state can give
)

// An op is one call of a client that ended with an answer, or, if it is a write,
// one whose outcome is not known.
type op struct {
	kind     opKind
	register int
	before   int
	value    int
	unknown  bool // a write that nobody said has happened
}

func (o op) String() string {
	name := [...]string{"set", "swap", "fully", "as fresh", "exactly", "torn"}[o.kind]
	if o.unknown {
		name += "?"
	}
	return fmt.Sprintf("%s(%d) %d", name, o.before, o.value)
}

// step says whether o can come after the values in past, and which it leaves.
func (o op) step(past string) (bool, string) {
	last := nothing
	if past != "" {
		last = int(past[len(past)-1])
	}
	switch o.kind {
	case opSet:
		return true, past + string([]byte{byte(o.value)})
	case opSwap:
		if last != o.before {
			return o.unknown, past // it may have come too late
		}
		return true, past + string([]byte{byte(o.value)})
	case opFully:
		return last == o.value, past
	case opAsFresh:
		return o.knows(past) && position(past, o.value) >= position(past, o.before), past
	case opExactly:
		return o.knows(past) && o.value == o.before, past
	default:
		return false, past
	}
}

// knows reports whether both values of o were written before.
func (o op) knows(past string) bool {
	return (o.before == nothing || position(past, o.before) >= 0) && (o.value == nothing || position(past, o.value) >= 0)
}

func position(past string, value int) int {
	if value == nothing {
		return -1
	}
	return strings.IndexByte(past, byte(value))
}

var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		var parts [][]porcupine.Operation
		for _, o := range history {
			r := o.Input.(op).register
			for len(parts) <= r {
				parts = append(parts, nil)
			}
			parts[r] = append(parts[r], o)
		}
		return slices.DeleteFunc(parts, func(part []porcupine.Operation) bool { return len(part) == 0 })
	},
	Init: func() any { return "" },
	Step: func(state, input, _ any) (bool, any) {
		ok, next := input.(op).step(state.(string))
		return ok, next
	},
	DescribeOperation: func(input, _ any) string { return input.(op).String() },
}

// A history records what clients did. Its clock only counts, so that no two
// moments are the same.
type history struct {
	clock atomic.Int64

	mu  sync.Mutex
	ops []porcupine.Operation
}

func (h *history) now() int64 { return h.clock.Add(1) }

// add records o, which client called at the moment call and which has ended.
func (h *history) add(client int, call int64, o op) {
	h.record(client, call, h.now(), o)
}

// addUnknown records a write that may happen at any time, or never, which is as if
// it happened last.
func (h *history) addUnknown(client int, call int64, o op) {
	o.unknown = true
	h.record(client, call, 1<<62, o)
}

func (h *history) record(client int, call, end int64, o op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: o, Call: call, Return: end})
}

// check fails the test if no order of the operations explains the history.
func (h *history) check(t *testing.T) {
	t.Helper()
	counts := map[opKind]int{}
	for _, o := range h.ops {
		counts[o.Input.(op).kind]++
	}
	t.Logf("%d sets, %d swaps, %d reads fully consistent, %d with tokens, %d exact",
		counts[opSet], counts[opSwap], counts[opFully], counts[opAsFresh], counts[opExactly])
	result, info := porcupine.CheckOperationsVerbose(registers, h.ops, patience)
	switch result {
	case porcupine.Ok:
	case porcupine.Unknown:
		t.Error("the history could not be checked in time")
	default:
		parts := registers.Partition(h.ops)
		for i, orders := range info.PartialLinearizationsOperations() {
			if best := longest(orders); len(best) < len(parts[i]) {
				t.Errorf("no order explains this.\nThe end of the best order:\n%s\nCannot come next:\n%s",
					describe(best[max(0, len(best)-15):]), describe(without(parts[i], best)))
			}
		}
	}
}

func longest(orders [][]porcupine.Operation) []porcupine.Operation {
	if len(orders) == 0 {
		return nil
	}
	return slices.MaxFunc(orders, func(a, b []porcupine.Operation) int { return len(a) - len(b) })
}

// without returns the first of all that are not in some, by call.
func without(all, some []porcupine.Operation) []porcupine.Operation {
	in := map[int64]bool{}
	for _, o := range some {
		in[o.Call] = true
	}
	rest := slices.DeleteFunc(slices.Clone(all), func(o porcupine.Operation) bool { return in[o.Call] })
	slices.SortFunc(rest, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	return rest[:min(15, len(rest))]
}

func describe(ops []porcupine.Operation) string {
	var text strings.Builder
	for _, o := range ops {
		fmt.Fprintf(&text, "%6d to %6d, client %d: %s\n", o.Call, o.Return, o.ClientId, o.Input)
	}
	return text.String()
}

// TestModel: the model accepts what may happen and nothing else.
func TestModel(t *testing.T) {
	type call struct {
		from, to int64
		op       op
	}
	tests := map[string]struct {
		calls []call
		want  bool
	}{
		"a read sees the write before":       {[]call{{1, 2, op{kind: opSet, value: 7}}, {3, 4, op{kind: opFully, value: 7}}}, true},
		"a read misses the write before":     {[]call{{1, 2, op{kind: opSet, value: 7}}, {3, 4, op{kind: opFully, value: nothing}}}, false},
		"a read beside a write may miss it":  {[]call{{1, 4, op{kind: opSet, value: 7}}, {2, 3, op{kind: opFully, value: nothing}}}, true},
		"a read goes back":                   {[]call{{1, 6, op{kind: opSet, value: 7}}, {2, 3, op{kind: opFully, value: 7}}, {4, 5, op{kind: opFully, value: nothing}}}, false},
		"a token may miss what came later":   {[]call{{1, 2, op{kind: opSet, value: 7}}, {3, 4, op{kind: opSet, value: 8}}, {5, 6, op{kind: opAsFresh, before: 7, value: 7}}}, true},
		"a token shows its write":            {[]call{{1, 2, op{kind: opSet, value: 7}}, {3, 4, op{kind: opSet, value: 8}}, {5, 6, op{kind: opAsFresh, before: 8, value: 7}}}, false},
		"a token may show more":              {[]call{{1, 2, op{kind: opSet, value: 7}}, {3, 4, op{kind: opSet, value: 8}}, {5, 6, op{kind: opAsFresh, before: 7, value: 8}}}, true},
		"exactly shows no more":              {[]call{{1, 2, op{kind: opSet, value: 7}}, {3, 4, op{kind: opSet, value: 8}}, {5, 6, op{kind: opExactly, before: 7, value: 8}}}, false},
		"a value from nowhere":               {[]call{{1, 2, op{kind: opSet, value: 7}}, {3, 4, op{kind: opAsFresh, before: 7, value: 9}}}, false},
		"a swap of what is there":            {[]call{{1, 2, op{kind: opSwap, before: nothing, value: 7}}, {3, 4, op{kind: opSwap, before: 7, value: 8}}}, true},
		"a swap of what is no longer there":  {[]call{{1, 2, op{kind: opSwap, before: nothing, value: 7}}, {3, 4, op{kind: opSwap, before: nothing, value: 8}}}, false},
		"a torn read":                        {[]call{{1, 2, op{kind: opTorn}}}, false},
		"an unknown swap that never happens": {[]call{{1, 1 << 62, op{kind: opSwap, before: nothing, value: 7, unknown: true}}, {2, 3, op{kind: opSet, value: 8}}, {4, 5, op{kind: opFully, value: 8}}}, true},
		"an unknown write that happens late": {[]call{{1, 1 << 62, op{kind: opSet, value: 7}}, {2, 3, op{kind: opFully, value: nothing}}, {4, 5, op{kind: opFully, value: 7}}}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var h history
			for i, c := range tt.calls {
				h.record(i, c.from, c.to, c.op)
			}
			got := porcupine.CheckOperationsTimeout(registers, h.ops, time.Minute) == porcupine.Ok
			if got != tt.want {
				t.Errorf("accepted: %t, want %t\n%s", got, tt.want, describe(h.ops))
			}
		})
	}
}
