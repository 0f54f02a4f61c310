//! Database clients.

use crate::far::{POSTGRES, REDIS};
use crate::place::{self, NAME, Place, through_each};

through_each! {
    /// libpq connects without waiting, and poll tells it when; Debian's psql is a Perl program that
    /// starts the real one.
    fn psql_and_pg_dump(place: &Place) {
        place.start_postgres();
        let database = format!("host={NAME} user=far dbname=postgres");
        let script = "CREATE TABLE numbers AS SELECT n FROM generate_series(1, 20000) AS n;\n\
                      SELECT sum(n) FROM numbers;\n";
        let sum = place.wrapped("psql").args(["-XAtq", "-d", &database]).input(script).run().success();
        assert_eq!(sum, "200010000\n");
        let dump = place.wrapped("pg_dump").args(["-d", &database]).run().success();
        assert_eq!(dump.lines().filter(|line| line.parse::<u32>().is_ok()).count(), 20_000);
        place.proxied(POSTGRES, 2);
    }
}

#[test]
fn redis_cli() {
    place::dante(|place| {
        place.start_redis();
        let cli = || place.wrapped("redis-cli").args(["-h", NAME]);
        assert_eq!(cli().args(["set", "key", "value"]).run().success(), "OK\n");
        assert_eq!(cli().args(["get", "key"]).run().success(), "value\n");
        let many: String = (0..10_000).map(|n| format!("SET key-{n} {n}\r\n")).collect();
        let piped = cli().arg("--pipe").input(many).run().success();
        assert!(piped.contains("errors: 0, replies: 10000"), "{piped}");
        place.proxied(REDIS, 3);
    });
}
