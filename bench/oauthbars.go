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

// AddOAuth adds the rounds of operations of a server and of a floor, with their bars.
func (r *Result) AddOAuth(names []string, rounds map[string][]HTTPReport) {
	for _, name := range names {
		bars := OAuthBars[name]
		cpu := r.addHTTP(name, rounds, nil, bars.Floor)
		if bars.Hydra > 0 {
			r.Add(name+": Hydra's CPU, recorded on another machine, by ours", "times", AtLeast(bars.Less),
				each(cpu, cpu, func(a, _ float64) float64 { return bars.Hydra * 1000 / a })...)
		}
	}
	for _, name := range []string{FloorNothing, FloorInsert, FloorSign, FloorSelect} {
		r.addHTTP(name, rounds, nil, "")
	}
}
