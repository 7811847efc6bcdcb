package pg

import (
	"hash/fnv"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
)

// Transactions of PostgreSQL lock names before they look at anything, in one
// statement and in ascending order, so that what they have checked still holds
// when they write, and none waits for another in a circle:
//
//   - Objects are spread over buckets. A write of one tuple shares its bucket:
//     the row itself decides between two of them. A write of several tuples has
//     their buckets alone, since it must come before or after another one with all
//     of them. A precondition or a deletion by query has the buckets alone that it
//     looks at, which are all if it does not name an object.
//   - A write that was checked against a model shares the model's name, and a new
//     model has it alone.
//   - A write with an idempotency key has the key's name alone.
//
// Each name is a number: eight bits that say cardea, the network, and 24 bits.
const (
	lockSpace  = 0xca
	buckets    = 64
	modelSlot  = buckets
	keySlots   = 1 << 23 // a bit: the slots above are of keys
	purgeSlot  = modelSlot + 1
	schemaSlot = modelSlot + 2
)

func lockName(network int64, slot uint32) int64 {
	return int64(uint64(lockSpace)<<56 | uint64(uint32(network))<<24 | uint64(slot))
}

func bucket(o engine.Object) uint32 {
	h := fnv.New32a()
	h.Write([]byte(o.Namespace))
	h.Write([]byte{0})
	h.Write([]byte(o.ID))
	return h.Sum32() % buckets
}

// lockNames returns what the job locks, in order, and which of it alone.
func (j *job) lockNames() (names []int64, alone []bool) {
	slots := map[uint32]bool{}
	lock := func(slot uint32, alone bool) { slots[slot] = slots[slot] || alone }
	look := func(q engine.Query) {
		if q.Namespace != nil && q.Object != nil {
			lock(bucket(engine.Object{Namespace: *q.Namespace, ID: *q.Object}), true)
			return
		}
		for b := range uint32(buckets) {
			lock(b, true)
		}
	}
	several := len(j.inserts)+len(j.deletes) > 1 && j.members == nil // a group is many writes of one tuple
	for _, ts := range [...][]engine.Tuple{j.inserts, j.deletes} {
		for _, t := range ts {
			lock(bucket(t.Object), several)
		}
	}
	for _, p := range j.w.If {
		look(p.Query)
	}
	for _, q := range j.w.Delete {
		look(q)
	}
	if j.put || j.expected != 0 {
		lock(modelSlot, j.put)
	}
	if j.w.Key != "" {
		h := fnv.New32a()
		h.Write([]byte(j.w.Key))
		lock(keySlots|h.Sum32()%keySlots, true)
	}
	for _, slot := range slices.Sorted(maps.Keys(slots)) {
		names = append(names, lockName(j.s.network, slot))
		alone = append(alone, slots[slot])
	}
	return names, alone
}

const lockAll = `SELECT CASE WHEN l.alone THEN pg_advisory_xact_lock(l.name) ELSE pg_advisory_xact_lock_shared(l.name) END
	FROM unnest($1::bigint[], $2::bool[]) AS l (name, alone)`

// queueLocks takes the job's locks, which go with the transaction.
func (j *job) queueLocks(b *pgx.Batch) {
	if names, alone := j.lockNames(); len(names) > 0 {
		b.Queue(lockAll, names, alone).Exec(ignored)
	}
}
