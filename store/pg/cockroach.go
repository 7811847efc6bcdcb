package pg

type cockroach struct{ server }
