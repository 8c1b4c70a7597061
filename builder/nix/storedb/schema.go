package storedb

// tables are made before the first row. The column types and constraints, and
// the names of all that has one, are those of Nix: it prepares its statements
// against them, and its migrations name the indexes.
var tables = []string{
	`create table ValidPaths (
	id integer primary key autoincrement not null,
	path text unique not null,
	hash text not null,
	registrationTime integer not null,
	deriver text,
	narSize integer,
	ultimate integer,
	sigs text,
	ca text)`,
	`create table Refs (
	referrer integer not null,
	reference integer not null,
	primary key (referrer, reference),
	foreign key (referrer) references ValidPaths(id) on delete cascade,
	foreign key (reference) references ValidPaths(id) on delete restrict)`,
	// Without it an object that refers to itself could not be deleted: its own
	// reference would restrict that.
	`create trigger DeleteSelfRefs before delete on ValidPaths begin
	delete from Refs where referrer = old.id and reference = old.id; end`,
	`create table DerivationOutputs (
	drv integer not null,
	id text not null,
	path text not null,
	primary key (drv, id),
	foreign key (drv) references ValidPaths(id) on delete cascade)`,
}

// indexes are made after the last row: of sorted keys, so that their pages are
// full, and in a fraction of the time.
var indexes = []string{
	`create index IndexReferrer on Refs(referrer)`,
	`create index IndexReference on Refs(reference)`,
	`create index IndexDerivationOutputs on DerivationOutputs(path)`,
}
