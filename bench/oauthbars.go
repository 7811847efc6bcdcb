package bench

// OAuthBars are what is promised of operations.
var OAuthBars = map[string]struct {
	// Trips are the most round trips to a database server.
	Trips float64

	// Floor is the operation of OAuthFloor with at most 1.5 times less processor time;
	// "": nothing is promised.
	Floor string

	// Hydra is the processor time of the server for one, in milliseconds, that was
	// recorded of Hydra with PostgreSQL on another machine, and Less by how many times
	// ours is less; 0: not recorded.
	Hydra, Less float64
}{
	OAuthCredentials:      {Trips: 1, Floor: FloorInsert, Hydra: 5.2, Less: 10},
	OAuthJWT:              {Trips: 1, Floor: FloorSign, Hydra: 15.6, Less: 10},
	OAuthIntrospect:       {Trips: 1, Floor: FloorSelect, Hydra: 0.62, Less: 5},
	OAuthIntrospectClient: {Trips: 1},
	OAuthRefresh:          {Trips: 2, Floor: FloorSign, Hydra: 17, Less: 10},
	OAuthLogin:            {Trips: 8, Hydra: 32, Less: 10},
	OAuthDiscovery:        {Trips: noTrips, Floor: FloorNothing},
	OAuthJWKS:             {Trips: noTrips, Floor: FloorNothing},
}

// noTrips is none, but for keys that are read again now and then.
const noTrips = 0.05

// AddOAuth adds the rounds of operations of a server, with their bars.
func (r *Result) AddOAuth(rounds map[string][]HTTPReport) {
	of := func(name string, value func(HTTPReport) float64) (out []float64) {
		for _, x := range rounds[name] {
			out = append(out, value(x))
		}
		return out
	}
	cpu := func(x HTTPReport) float64 { return x.CPU }
	for _, name := range []string{OAuthCredentials, OAuthJWT, OAuthIntrospect, OAuthIntrospectClient, OAuthRefresh, OAuthLogin, OAuthDiscovery, OAuthJWKS,
		FloorNothing, FloorInsert, FloorSign, FloorSelect} {
		ours, bars := of(name, cpu), OAuthBars[name]
		r.Add(name+": CPU", "µs", nil, ours...)
		r.Add(name+": p50", "µs", nil, of(name, func(x HTTPReport) float64 { return x.P50 })...)
		r.Add(name+": p99", "µs", nil, of(name, func(x HTTPReport) float64 { return x.P99 })...)
		if bars.Floor != "" {
			r.Add(name+": CPU by that of the "+bars.Floor, "times", AtMost(1.5), each(ours, of(bars.Floor, cpu), func(a, b float64) float64 { return a / b })...)
		}
		if bars.Hydra > 0 {
			r.Add(name+": Hydra's CPU, recorded on another machine, by ours", "times", AtLeast(bars.Less),
				each(ours, ours, func(a, _ float64) float64 { return bars.Hydra * 1000 / a })...)
		}
	}
}

func each(a, b []float64, f func(a, b float64) float64) (out []float64) {
	for i := range a {
		out = append(out, f(a[i], b[i]))
	}
	return out
}
