package graph

import "time"

// A pace is that of work in the background, which is in no hurry. A goroutine that goes on has
// its processor for 10 ms at a time, in which a check may wait behind it: the other processors
// come for that only when they have nothing to do. To yield is not enough, since who
// yields is next again if nothing else waits for the same processor. The nil pace never rests.
type pace struct{ rested time.Time }

func newPace() *pace { return &pace{time.Now()} }

// rest sleeps for as long as was worked since it last did, if that is a millisecond: in less,
// the runtime wakes nobody.
func (p *pace) rest() {
	if p == nil {
		return
	}
	if worked := time.Since(p.rested); worked >= time.Millisecond {
		time.Sleep(worked)
		p.rested = time.Now()
	}
}
