//! The core on the emulated board: each test is started in a machine of its own by `cargo xtask
//! firmware test`, which reads their list from the section `.embedded_test`.
#![no_std]
#![no_main]

use mps2_an385_bsp as _;

/// Makes a test of each check: it must not panic, and must see what it saw on the host.
macro_rules! checks {
    ($($name:ident)*) => {
        #[embedded_test::tests(default_timeout = 60)]
        mod checks {$(
            #[test]
            fn $name() {
                let expected = target_tests::host_digest(stringify!($name));
                assert_eq!(rserpool_vectors::$name(), expected, "the host saw something else");
            }
        )*}
    };
}

rserpool_vectors::for_each_check!(checks);

/// Six virtual hours by the board's real timer: QEMU's instruction counter is the time, and what
/// the processor sleeps through costs nothing.
#[embedded_test::tests(default_timeout = 300)]
mod virtual_hours {
    use target_tests::BoardClock;

    #[test]
    fn the_timers_act_as_often_as_they_should() {
        let counts = rserpool_vectors::hours(&mut BoardClock::start());
        semihosting::println!("{counts:?}");
    }
}

/// What the runner must notice. Without the feature there is no such test.
#[cfg(feature = "failing")]
#[embedded_test::tests]
mod failing {
    #[test]
    fn an_assertion_fails() {
        assert_eq!(1 + 1, 3, "on purpose");
    }

    #[test]
    fn an_error_is_returned() -> Result<(), ()> {
        Err(())
    }

    #[test]
    fn the_processor_faults() {
        cortex_m::asm::udf();
    }

    #[test]
    #[timeout(2)]
    fn it_hangs() {
        loop {
            core::hint::spin_loop();
        }
    }

    #[test]
    #[should_panic]
    fn a_panic_that_does_not_come() {}

    #[test]
    #[should_panic]
    fn a_panic_that_is_wanted() {
        panic!("as wanted");
    }

    #[test]
    #[ignore]
    fn what_is_ignored_does_not_run() {
        panic!("it ran");
    }
}
