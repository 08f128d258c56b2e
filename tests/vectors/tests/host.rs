//! All checks, on the host.

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let digest = rserpool_vectors::$name();
            assert_eq!(digest, rserpool_vectors::$name(), "the same again gives something else");
            println!("{digest:016x}");
        }
    )*};
}

rserpool_vectors::for_each_check!(tests);
