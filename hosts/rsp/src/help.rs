//! What the help of commands says at its end.

pub(crate) const REGISTRAR_HELP: &str = "\
Examples:
  rsp registrar
  rsp registrar --listen 127.0.0.1:3863 --max-elements 1000000
  rsp registrar --config /etc/rsp.toml --log info
  rsp registrar --enrp-port 9901               (finds others, and others it)
  rsp registrar --peer 10.0.0.1                (joins the scope of that one)

Prints a line when it is ready, with the address to give to the others, and
one for each further address:
  registrar 0x1234abcd ready at 10.0.0.1:3863
    also at 127.0.0.1:3863
and one more if it meets peers, with the address for their --peer:
  registrar 0x1234abcd meets peers at 10.0.0.1:9901
and one more if it serves pool users by TCP, too:
  registrar 0x1234abcd serves pool users by TCP at port 3863

Configuration file: sections [scope] and [registrar], keys as the flags
(`registrars`, `peers`, `timers` and `limits` are lists), those about TCP in
[registrar.tcp]. See `rsp --help` for the exit codes.";

pub(crate) const SERVE_HELP: &str = "\
Examples:
  rsp serve
  rsp serve --registrar 10.0.0.1 --elements 8 --policy WeightedRandom:50
  head -c 32 /dev/urandom > pool.key; rsp serve --pool-key-file pool.key
  rsp serve pingpong --max-sessions 100
  rsp serve scripting --scripts signed --keyring friends.gpg

Prints one line when it is registered:
  element 0x1234abcd in ComputePool ready at 127.0.0.1:40123

SIGINT and SIGTERM: takes no more packages, hands unfinished ones on with
their state, deregisters, and ends with 0.

Configuration file: sections [scope], [serve] and, for SERVICE (`kind`) and the
flags of services, [service]; keys as the flags (`addresses` and `registrars`
are lists). See `rsp --help` for the exit codes.";

pub(crate) const RUN_HELP: &str = "\
Examples:
  rsp run
  rsp run fractal --size 3840x2160 --center -0.75,0.1 --span 0.01 --out valley.png
  rsp run montecarlo --samples 1000000000 --json
  rsp run sha-prefix --text hello --bits 28
  rsp run load --deadline 1m

Progress is shown only on a terminal. Configuration file: sections [scope]
and [run], keys as the flags. See `rsp --help` for the exit codes.";

pub(crate) const RESOLVE_HELP: &str = "\
Examples:
  rsp resolve ComputePool
  rsp resolve ComputePool --registrar 10.0.0.1 --json
  rsp resolve ComputePool --tcp
  rsp resolve ComputePool --watch

Exit code 4 says that the registrar knows no such pool, 3 that there is no
registrar. See `rsp --help` for the others.";

pub(crate) const DEMO_HELP: &str = "\
Examples:
  cargo demo
  rsp demo --elements 5 --kill 2 --out picture.png
  cargo demo --boards 2
  rsp demo --size 3840x2160 --center -1.25066,0.02012 --span 0.0005

Needs no privileges, no free well-known port and nothing else running. Exit
code 0 says that the picture was made and equals a local render.";
