package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
)

// A DB is a database with its networks, as the suite uses it.
type DB interface {
	// Network returns the store of a network, which is made if it is new.
	Network(ctx context.Context, name string) (engine.Store, error)

	// Purge forgets what was removed before t. Rows that another transaction may
	// still look at can stay for the next time.
	Purge(ctx context.Context, t time.Time) (int64, error)

	Ping(ctx context.Context) error
	Close() error
}

// Of makes a DB of one whose stores have a type of their own.
func Of[S engine.Store](db source[S]) DB { return adapter[S]{db} }

type source[S engine.Store] interface {
	Network(ctx context.Context, name string) (S, error)
	Purge(ctx context.Context, t time.Time) (int64, error)
	Ping(ctx context.Context) error
	Close() error
}

type adapter[S engine.Store] struct{ source[S] }

func (a adapter[S]) Network(ctx context.Context, name string) (engine.Store, error) {
	s, err := a.source.Network(ctx, name)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// A test is one of the suite. If it is shared, it spreads its calls over several
// handles on the database, where there are several.
type test struct {
	name   string
	run    func(*harness)
	shared bool
}

var suite = []test{
	{"ReadYourWrite", readYourWrite, false},
	{"OldRevisionIsStable", oldRevisionIsStable, false},
	{"EmptyStore", emptyStore, false},
	{"EmptyWrite", emptyWrite, false},
	{"WriteIsAtomic", writeIsAtomic, false},
	{"InsertIsIdempotent", insertIsIdempotent, false},
	{"DeleteIsIdempotent", deleteIsIdempotent, false},
	{"UpdatesApplyInOrder", updatesApplyInOrder, false},
	{"TextComparesByBytes", textComparesByBytes, false},
	{"EmptyStrings", emptyStrings, false},
	{"NamesAtTheLimits", namesAtTheLimits, false},
	{"KindsOfSubjects", kindsOfSubjects, false},

	{"EveryQuery", everyQuery, false},
	{"AfterAnyTuple", afterAnyTuple, false},
	{"PagesWhileWriting", pagesWhileWriting, true},
	{"ManyRows", manyRows, false},
	{"IteratorsBrokenOff", iteratorsBrokenOff, false},
	{"StoreUsedWhileIterating", storeUsedWhileIterating, false},

	{"SetsAreWhatReadShows", setsAreWhatReadShows, true},
	{"LargeSets", largeSets, false},
	{"ManySubjectSets", manySubjectSets, false},
	{"ManySets", manySets, false},
	{"SetsWhileWriting", setsWhileWriting, true},

	{"WritesMatchTheOracle", writesMatchTheOracle, true},
	{"NetCounts", netCounts, false},
	{"DeleteEveryQuery", deleteEveryQuery, false},
	{"DeleteMany", deleteMany, false},
	{"PreconditionsAreNamed", preconditionsAreNamed, false},
	{"PreconditionsSeeTheStateBefore", preconditionsSeeTheStateBefore, false},
	{"ManyPreconditions", manyPreconditions, false},
	{"OneOfManyWins", oneOfManyWins, true},
	{"GuardAgainstDelete", guardAgainstDelete, true},
	{"AbsenceAgainstInsert", absenceAgainstInsert, true},
	{"NoWriteSkew", noWriteSkew, true},
	{"SwapsAreInSomeOrder", swapsAreInSomeOrder, true},
	{"CountsAddUp", countsAddUp, true},

	{"KeyRepeats", keyRepeats, true},
	{"KeyOfANoOp", keyOfANoOp, false},
	{"KeyOutlivesItsPreconditions", keyOutlivesItsPreconditions, false},
	{"KeyOfOtherContents", keyOfOtherContents, false},
	{"KeyOfARefusedWrite", keyOfARefusedWrite, false},
	{"KeyLimits", keyLimits, false},
	{"KeyRepeatsAtOnce", keyRepeatsAtOnce, true},

	{"ChangesAreTheDifference", changesAreTheDifference, true},
	{"ChangesInOrder", changesInOrder, false},
	{"ChangesOfNothing", changesOfNothing, false},
	{"ChangesBackwards", changesBackwards, false},
	{"CoversOrdersWrites", coversOrdersWrites, true},
	{"RevisionsOfNoStore", revisionsOfNoStore, false},
	{"TailIsChangesToTheHead", tailIsChangesToTheHead, true},
	{"TailOfNothing", tailOfNothing, false},
	{"TailOfMany", tailOfMany, false},
	{"TailStops", tailStops, false},
	{"TailUnderWriters", tailUnderWriters, true},
	{"TailCoversAcknowledged", tailCoversAcknowledged, true},

	{"ModelsAreNumbered", modelsAreNumbered, true},
	{"ModelText", modelText, false},
	{"ModelConflict", modelConflict, false},
	{"ModelRace", modelRace, true},
	{"WriteUnderModel", writeUnderModel, false},
	{"WriteRacesModel", writeRacesModel, true},

	{"NetworksAreApart", networksAreApart, true},
	{"NetworkNames", networkNames, false},
	{"NetworkMadeAtOnce", networkMadeAtOnce, true},
	{"NetworkIdentity", networkIdentity, true},
	{"NetworksInParallel", networksInParallel, true},

	{"PurgeKeepsWhatLives", purgeKeepsWhatLives, false},
	{"PurgeOfLongAgo", purgeOfLongAgo, false},
	{"PurgeManyRows", purgeManyRows, false},
	{"PurgeEveryNetwork", purgeEveryNetwork, true},
	{"PurgeWhileReading", purgeWhileReading, true},
	{"PurgeWhileReadingSets", purgeWhileReadingSets, false},
	{"PurgeUnderLoad", purgeUnderLoad, true},

	{"ParallelWriters", parallelWriters, true},
	{"PairsAreNeverHalf", pairsAreNeverHalf, true},
	{"FollowerStaysExact", followerStaysExact, true},
	{"HeadCoversAcknowledged", headCoversAcknowledged, true},
	{"RevisionsShowWhatCameBefore", revisionsShowWhatCameBefore, true},
	{"RevisionsOfParallelWriters", revisionsOfParallelWriters, true},
	{"CancelledBefore", cancelledBefore, false},
	{"CancelledMeanwhile", cancelledMeanwhile, true},
	{"CancelledWithAKey", cancelledWithAKey, true},
	{"Ping", ping, true},
}

// Run runs all tests, some at the same time, each on a database of its own. open
// returns an empty one, or calls tb.Skip if there is none to be had. Run closes
// the databases.
func Run(t *testing.T, open func(tb testing.TB) DB) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.on(t, open(t))
		})
	}
}

// RunShared runs the tests in which several nodes can meet, each node with a
// handle of its own on one database. create makes an empty database, and the
// function that it returns opens another handle on it.
func RunShared(t *testing.T, create func(tb testing.TB) (open func() DB)) {
	for _, c := range suite {
		if !c.shared {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			open := create(t)
			c.on(t, open(), open(), open())
		})
	}
}

// on runs the test and closes the handles, after all that the test has started has
// ended.
func (c test) on(t *testing.T, dbs ...DB) {
	h := newHarness(t, dbs...)
	panicked := false
	t.Cleanup(func() {
		if !panicked {
			h.close()
		}
	})
	defer func() {
		if p := recover(); p != nil {
			panicked = true // to close might be to wait for what was left half done
			panic(p)
		}
	}()
	c.run(h)
}
