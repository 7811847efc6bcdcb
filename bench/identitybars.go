package bench

import "fmt"

// An IdentityBar is what is promised of an operation, and what Kratos was measured to
// take.
type IdentityBar struct {
	Floor  string  // the operation of a floor with at most 1.5 times less processor time
	CPU    float64 // of the server for one, in microseconds at most; 0: see Kratos
	Trips  float64 // to a database server, at most; 0: nothing is promised
	Kratos float64 // its processor time for one, in milliseconds; 0: not recorded
}

// IdentityBars are the bars by the names of operations. Kratos was measured with SQLite on
// a machine like that of the saved results.
var IdentityBars = map[string]IdentityBar{
	IdentityWhoami:       {CPU: 200, Floor: FloorSelect, Trips: 1, Kratos: 1.11},
	IdentityWhoamiCookie: {CPU: 200, Floor: FloorSelect, Trips: 1, Kratos: 1.22},
	IdentityWhoamiBad:    {Trips: 1, Kratos: 0.30},
	IdentityLoginFlow:    {CPU: 500, Trips: noTrips, Kratos: 4.4},
	IdentityLoginNative:  {CPU: 500, Trips: noTrips},
	IdentityFetch:        {Trips: 1, Kratos: 0.48},
	IdentityLoginPage:    {Trips: 1},
	IdentitySettingsFlow: {CPU: 1000, Trips: 2, Kratos: 15.2},
	IdentitySessions:     {Trips: 2, Kratos: 1.74},
	IdentityAdminGet:     {Trips: 1, Kratos: 0.61},
	IdentityAdminList:    {Trips: 1, Kratos: 1.53},
	IdentityExtend:       {Kratos: 0.72},
	IdentityLogin:        {Kratos: 10},
	IdentityRegistration: {},
	IdentityLogout:       {},
}

// kratosLess is by how many times less processor time ours takes at least, where nothing
// else is promised.
const kratosLess = 2

// AddIdentity adds the rounds of operations. rounds has those of the floor, too.
func (r *Result) AddIdentity(names []string, rounds map[string][]HTTPReport) {
	for _, name := range names {
		bar := IdentityBars[name]
		var most *Bar
		if bar.CPU > 0 {
			most = AtMost(bar.CPU)
		}
		cpu := r.addHTTP(name, rounds, most, bar.Floor)
		if bar.Kratos > 0 {
			r.Add(name+": Kratos's CPU by ours", "times", AtLeast(kratosLess), each(cpu, cpu, func(a, _ float64) float64 { return bar.Kratos * 1000 / a })...)
		}
	}
}

// AddHashing adds what a login takes without the hash of a password, and with it.
func (r *Result) AddHashing(without, with []HTTPReport) {
	var cpu, share []float64
	for i := range with {
		cpu, share = append(cpu, with[i].CPU), append(share, without[i].CPU/with[i].CPU)
	}
	r.Add("login as configured by default: CPU", "µs", nil, cpu...)
	r.Add("all of a login but the hash: CPU by that of the whole", "", AtMost(0.05), share...)
}

// AddCrowd adds what n logins at the same time did. beside is the same with hashes that
// need no memory; bound is how many bytes all hashes may take.
func (r *Result) AddCrowd(n int, c, beside CrowdReport, bound int64) {
	at := fmt.Sprintf("%d logins at the same time: ", n)
	r.Add(at+"logged in", "", nil, float64(c.Done))
	r.Add(at+"told to try again", "", nil, float64(c.Refused))
	r.Add(at+"resident memory at most", "MiB", nil, float64(c.Peak)/(1<<20))
	r.Add(at+"resident memory at most, without the hash", "MiB", nil, float64(beside.Peak)/(1<<20))
	r.Add(at+"memory that hashes add, by the bound", "times", AtMost(1), float64(c.Peak-beside.Peak)/float64(bound))
}
